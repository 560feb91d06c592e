"""The tables of a comparison as rows: for CSV files, and for pages that render them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.cells import Array, Axis, TaskFacts
from agentopt.report.comparison.curves import CHECKPOINTS, Curve, RankCurves, Reached
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.fronts import QUARTILES, Surfaces
from agentopt.report.comparison.standings import Standing
from agentopt.report.comparison.statistics import Duel, PairTest
from agentopt.report.tables import Entry, Table


def comparison_tables(analysis: Analysis) -> dict[str, Table]:
    """Returns each table by its name."""
    several = any(task.front is not None for task in analysis.comparison.tasks)
    return {
        "methods": methods_table(analysis.standings),
        "tasks": tasks_table(analysis.comparison),
        "cells": cells_table(analysis.comparison),
        "checkpoints": checkpoints_table(analysis.checkpoints),
        "tests": tests_table(analysis.tests),
        "tests-by-task": tests_table(analysis.task_tests),
        "wins": wins_table(analysis.comparison.labels, analysis.duels),
        **{f"anytime-{axis}": anytime_table(found, axis) for axis, found in analysis.anytime.items()},
        "ranks": ranks_table(analysis.ranks),
        **{f"targets-{axis}": targets_table(found, axis) for axis, found in analysis.targets.items()},
        **({"fronts": fronts_table(analysis.comparison)} if several else {}),
        **({"attainment": attainment_table(analysis.comparison, analysis.surfaces)} if analysis.surfaces else {}),
    }


def methods_table(standings: Sequence[Standing]) -> Table:
    """Returns one row for each method."""
    columns = ("method", "finished", "average_rank", "normalised_regret", "median_best", "trials", "failed_share")
    shares = ("oom_share", "llm_share", "fallback_share")
    costs = ("seconds_total", "seconds_llm", "seconds_evaluate", "seconds_overhead", "prompt_tokens")
    rows = tuple(
        (
            *(s.label, s.finished, s.average_rank, s.normalised_regret, s.median_best, s.trials, s.failed_share),
            *(s.oom_share, s.llm_share, s.fallback_share, *s.seconds.values(), *s.tokens.values()),
        )
        for s in standings
    )
    return Table((*columns, *shares, *costs, "completion_tokens"), rows)


def tasks_table(comparison: Comparison) -> Table:
    """Returns one row for each task, with the value that its regrets count from and what that is.

    Where some task has several objectives, they and the point that their hypervolumes count from have columns, too.
    """
    several = any(task.front is not None for task in comparison.tasks)
    rows: list[tuple[Entry, ...]] = []
    for task, reference in zip(comparison.tasks, comparison.references, strict=True):
        value = task.objective.loss(float(reference)) if math.isfinite(reference) else None
        median = None if task.median is None or task.front is not None else task.objective.loss(task.median)
        row: tuple[Entry, ...] = (
            task.name,
            task.objective.name,
            task.objective.direction,
            value,
            task.reference_is,
            median,
        )
        rows.append((*row, *_point_of(task)) if several else row)
    columns = ("task", "objective", "direction", "reference", "reference_is", "median_configuration")
    return Table((*columns, "objectives", "reference_point", "reference_point_is") if several else columns, tuple(rows))


def _point_of(task: TaskFacts) -> tuple[Entry, ...]:
    """Returns the objectives, the point that hypervolumes count from, and whose it is."""
    if task.front is None:
        return (None, None, None)
    objectives, reference = task.front.objectives, task.front.reference
    point = " ".join(f"{value:.10g}" for value in reference.values)
    return (" ".join(f"{o.name}:{o.direction}" for o in objectives), point, reference.source)


def cells_table(comparison: Comparison) -> Table:
    """Returns one row for each run; `best` is in the task's units.

    Where some run asked for candidates, there are columns for those accepted and for how predictions did.
    """
    asked = any(c.accepted is not None for c in comparison.cells)
    columns = ("task", "method", "seed", "status", "trials", "best", "regret", "failed", "oom", "seconds_total")
    more = ("seconds_llm", "seconds_evaluate", "seconds_overhead", "prompt_tokens", "completion_tokens", "run")
    places = {task.name: i for i, task in enumerate(comparison.tasks)}
    rows: list[tuple[Entry, ...]] = []
    for c in comparison.cells:
        place = places[c.task]
        known = math.isfinite(c.final)
        best = comparison.tasks[place].objective.loss(c.final) if known else None
        regret = float(c.final - comparison.references[place]) if known else None
        total, complete = sum(c.counts.values()), c.counts["complete"]
        failed, s = total - complete, c.seconds
        row: tuple[Entry, ...] = (c.task, c.label, c.seed, c.status, total, best, regret, failed, c.counts["oom"])
        cost: tuple[Entry, ...] = (s.total, s.llm, s.evaluate, s.overhead, *c.tokens.values(), c.run.as_posix())
        rows.append(row + cost + ((c.accepted, c.correlation) if asked else ()))
    candidates = ("accepted_share", "prediction_correlation") if asked else ()
    return Table((*columns, *more, *candidates), tuple(rows))


def fronts_table(comparison: Comparison) -> Table:
    """Returns one row for each trial on the front of each run, and each objective, in the task's units; long form."""
    facts = {task.name: task.front for task in comparison.tasks}
    rows = tuple(
        (cell.task, cell.label, cell.seed, n, objective.name, objective.loss(float(value)))
        for cell in comparison.cells
        if cell.front is not None and (shared := facts[cell.task]) is not None
        for n, losses in enumerate(cell.front)
        for objective, value in zip(shared.objectives, losses, strict=True)
    )
    return Table(("task", "method", "seed", "point", "objective", "value"), rows)


def attainment_table(comparison: Comparison, found: Sequence[Surfaces]) -> Table:
    """Returns the attainment surfaces, long form: what shares of the runs attain, in the task's units."""
    facts = {task.name: task.front for task in comparison.tasks}
    rows: list[tuple[Entry, ...]] = []
    for one in found:
        shared = facts[one.task]
        assert shared is not None
        first, second = shared.objectives
        for share, surface in zip(QUARTILES, one.second, strict=True):
            for x, y in zip(one.first, surface, strict=True):
                if math.isfinite(y):
                    rows.append((one.task, one.label, share, first.loss(float(x)), second.loss(float(y))))
    return Table(("task", "method", "share", "first", "second"), tuple(rows))


def checkpoints_table(curves: Sequence[Curve]) -> Table:
    """Returns the regrets after each share of the trials, long form."""
    columns = ("task", "method", "share", "trials", "seeds", "median_regret", "low", "high", "mean_regret")
    rows = [
        (c.task, c.label, share, *_point(c.costs, i), c.seeds, *_values(c, i))
        for c in curves
        for i, share in enumerate(CHECKPOINTS)
    ]
    return Table(columns, tuple(rows))


def anytime_table(curves: Sequence[Curve], axis: Axis) -> Table:
    """Returns the regrets over the cost, long form."""
    columns = ("task", "method", axis, "seeds", "median_regret", "low", "high", "mean_regret")
    rows = [
        (c.task, c.label, *_point(c.costs, i), c.seeds, *_values(c, i)) for c in curves for i in range(len(c.costs))
    ]
    return Table(columns, tuple(rows))


def tests_table(tests: Sequence[PairTest]) -> Table:
    """Returns one row for each test."""
    columns = ("task", "a", "b", "pairs", "a_wins", "ties", "b_wins", "median_difference", "unit", "effect", "a12", "p")
    rows = tuple(
        (
            *(t.task or "all", t.a, t.b, t.n, t.wins, t.ties, t.losses, _number(t.median_difference), t.unit),
            *(t.effect, _number(t.a12), t.p, t.p_holm, t.least_p, t.claim),
        )
        for t in tests
    )
    return Table((*columns, "p_holm", "least_p", "claim"), rows)


def wins_table(labels: Sequence[str], duels: Sequence[Duel]) -> Table:
    """Returns wins, ties and losses of each row's method against each column's."""
    found = {(d.a, d.b): f"{d.wins}/{d.ties}/{d.losses}" for d in duels}
    found |= {(d.b, d.a): f"{d.losses}/{d.ties}/{d.wins}" for d in duels}
    rows = tuple((row, *(found.get((row, column), "") for column in labels)) for row in labels)
    return Table(("", *labels), rows)


def ranks_table(curves: RankCurves) -> Table:
    """Returns the average ranks over the trials."""
    rows = tuple((int(n), *(_number(rank) for rank in curves.ranks[:, i])) for i, n in enumerate(curves.trials))
    return Table(("trials", *curves.labels), rows)


def targets_table(found: Sequence[Reached], axis: Axis) -> Table:
    """Returns the share of targets reached over the cost."""
    costs: Array = found[0].costs if found else np.empty(0)
    rows = tuple((*_point(costs, i), *(float(r.share[i]) for r in found)) for i in range(len(costs)))
    return Table((axis, *(r.label for r in found)), rows)


def _point(costs: Array, i: int) -> tuple[Entry]:
    return (float(costs[i]),)


def _values(curve: Curve, i: int) -> tuple[Entry, ...]:
    return tuple(_number(values[i]) for values in (curve.median, curve.low, curve.high, curve.mean))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
