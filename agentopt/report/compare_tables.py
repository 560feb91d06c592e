"""The tables of a comparison as rows: for CSV files, and for pages that render them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from agentopt.report.cells import Array, Axis
from agentopt.report.comparison import Comparison
from agentopt.report.curves import CHECKPOINTS, Curve, checkpoints, ranks_over_trials, targets_reached
from agentopt.report.standings import standings
from agentopt.report.statistics import PairTest, pair_tests, ranking, task_tests
from agentopt.report.tables import Cell, Table

AXES: Mapping[Axis, str] = {
    "trials": "trials",
    "evaluate": "seconds of evaluation",
    "total": "seconds in all, the language model's among them",
}


def comparison_tables(comparison: Comparison, curves: Mapping[Axis, Sequence[Curve]]) -> dict[str, Table]:
    """Returns each table by its name; `curves` are those of `anytime` by axis."""
    tests = pair_tests(comparison)
    return {
        "methods": methods_table(comparison),
        "cells": cells_table(comparison),
        "checkpoints": checkpoints_table(comparison),
        "tests": tests_table(tests),
        "tests-by-task": tests_table(task_tests(comparison)),
        "wins": wins_table(comparison.labels, tests),
        **{f"anytime-{axis}": anytime_table(found, axis) for axis, found in curves.items()},
        "ranks": ranks_table(comparison),
        **{f"targets-{axis}": targets_table(comparison, axis) for axis in AXES},
    }


def methods_table(comparison: Comparison) -> Table:
    """Returns one row for each method."""
    columns = ("method", "finished", "average_rank", "normalised_regret", "median_best", "trials", "failed_share")
    shares = ("oom_share", "llm_share", "fallback_share")
    costs = ("seconds_total", "seconds_llm", "seconds_evaluate", "seconds_overhead", "prompt_tokens")
    rows = tuple(
        (
            *(s.label, s.finished, s.average_rank, s.normalised_regret, s.median_best, s.trials, s.failed_share),
            *(s.oom_share, s.llm_share, s.fallback_share, *s.seconds.values(), *s.tokens.values()),
        )
        for s in standings(comparison, ranking(comparison))
    )
    return Table((*columns, *shares, *costs, "completion_tokens"), rows)


def cells_table(comparison: Comparison) -> Table:
    """Returns one row for each run; `best` is in the task's units."""
    columns = ("task", "method", "seed", "status", "trials", "best", "regret", "failed", "oom", "seconds_total")
    more = ("seconds_llm", "seconds_evaluate", "seconds_overhead", "prompt_tokens", "completion_tokens", "run")
    places = {task.name: i for i, task in enumerate(comparison.tasks)}
    rows: list[tuple[Cell, ...]] = []
    for c in comparison.cells:
        place = places[c.task]
        known = math.isfinite(c.final)
        best = comparison.tasks[place].objective.loss(c.final) if known else None
        regret = float(c.final - comparison.references[place]) if known else None
        total, complete = sum(c.counts.values()), c.counts["complete"]
        failed, s = total - complete, c.seconds
        row: tuple[Cell, ...] = (c.task, c.label, c.seed, c.status, total, best, regret, failed, c.counts["oom"])
        cost: tuple[Cell, ...] = (s.total, s.llm, s.evaluate, s.overhead, *c.tokens.values(), c.run.as_posix())
        rows.append(row + cost)
    return Table((*columns, *more), tuple(rows))


def checkpoints_table(comparison: Comparison) -> Table:
    """Returns the regrets after each share of the trials, long form."""
    columns = ("task", "method", "share", "trials", "seeds", "median_regret", "low", "high", "mean_regret")
    rows = [
        (c.task, c.label, share, *_point(c.costs, i), c.seeds, *_values(c, i))
        for c in checkpoints(comparison)
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


def wins_table(labels: Sequence[str], tests: Sequence[PairTest]) -> Table:
    """Returns wins, ties and losses of each row's method against each column's."""
    found = {(t.a, t.b): f"{t.wins}/{t.ties}/{t.losses}" for t in tests}
    found |= {(t.b, t.a): f"{t.losses}/{t.ties}/{t.wins}" for t in tests}
    rows = tuple((row, *(found.get((row, column), "") for column in labels)) for row in labels)
    return Table(("", *labels), rows)


def ranks_table(comparison: Comparison) -> Table:
    """Returns the average ranks over the trials."""
    labels, trials, ranks = ranks_over_trials(comparison)
    rows = tuple((int(n), *(_number(rank) for rank in ranks[:, i])) for i, n in enumerate(trials))
    return Table(("trials", *labels), rows)


def targets_table(comparison: Comparison, axis: Axis) -> Table:
    """Returns the share of targets reached over the cost."""
    found = targets_reached(comparison, axis)
    costs: Array = found[0].costs if found else np.empty(0)
    rows = tuple((*_point(costs, i), *(float(r.share[i]) for r in found)) for i in range(len(costs)))
    return Table((axis, *(r.label for r in found)), rows)


def _point(costs: Array, i: int) -> tuple[Cell]:
    return (float(costs[i]),)


def _values(curve: Curve, i: int) -> tuple[Cell, ...]:
    return tuple(_number(values[i]) for values in (curve.median, curve.low, curve.high, curve.mean))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
