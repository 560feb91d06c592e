"""What a comparison's folder says: the runs of several methods on the same tasks and seeds, as one frozen value."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agentopt.errors import JournalError
from agentopt.journal import FILE as JOURNAL
from agentopt.log import read_log
from agentopt.protocols import Objective
from agentopt.report.candidates import candidates_of
from agentopt.report.comparison.cells import Array, Axis, Cell, Measure, Method, TaskFacts
from agentopt.report.comparison.family import Family, controls_of, count
from agentopt.report.comparison.fronts import HYPERVOLUME, front_facts, front_losses
from agentopt.report.comparison.made_of import code_notes
from agentopt.report.load import RunReport, load_run
from agentopt.report.scale import bounded
from agentopt.sessions import Budget
from agentopt.trial import Origin, SeedRule

FILE = "comparison.json"
VERSION = 1
_LONGEST = 255
"""The longest name of a folder."""


@dataclass(frozen=True)
class Comparison:
    """Several methods on the same tasks and seeds."""

    folder: Path
    methods: tuple[Method, ...]
    tasks: tuple[TaskFacts, ...]
    seeds: tuple[int, ...]
    trials: int
    """The trials of a run: as planned, else those of the longest one."""
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know about how the runs were put together."""
    family: Family = Family.ALL
    """Which pairs of methods are tested."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The methods' labels."""
        return tuple(method.label for method in self.methods)

    @cached_property
    def by_key(self) -> Mapping[tuple[str, str, int], Cell]:
        """The cells by label, task and seed."""
        return {(cell.label, cell.task, cell.seed): cell for cell in self.cells}

    @property
    def planned(self) -> int:
        """How many cells there are to be."""
        return len(self.methods) * len(self.tasks) * len(self.seeds)

    def controls(self, method: Method) -> list[Method]:
        """Returns a method's model-free twins: those made as such, and those that differ in their sampler alone."""
        return controls_of(method, self.methods)

    def of(self, label: str, task: str | None = None) -> list[Cell]:
        """Returns the cells of a method, on one task or on all."""
        return [cell for cell in self.cells if cell.label == label and task in {None, cell.task}]

    def measures(self, label: str, task: str) -> frozenset[Measure]:
        """Returns what the losses of a method's finished runs on a task are."""
        return frozenset(cell.measure for cell in self.of(label, task) if cell.finished)

    def alike(self, a: str, b: str, task: str) -> bool:
        """Whether the losses of two methods on a task are the same thing: else neither is better by them."""
        return len(self.measures(a, task) | self.measures(b, task)) <= 1

    @cached_property
    def curves(self) -> Array:
        """The best loss by task, method, seed and trial; nan for a run that is not finished."""
        return np.stack(
            [
                self.on(task, np.arange(1, self.trials + 1, dtype=np.float64), "trials")
                for task in range(len(self.tasks))
            ]
        )

    def on(self, task: int, costs: Array, axis: Axis) -> Array:
        """Returns the best loss of a task's runs at each cost, by method and seed; nan for an unfinished run."""
        found = np.full((len(self.methods), len(self.seeds), len(costs)), math.nan)
        for i, label in enumerate(self.labels):
            for j, seed in enumerate(self.seeds):
                cell = self.by_key.get((label, self.tasks[task].name, seed))
                if cell is not None and cell.finished:
                    found[i, j] = cell.at(costs, axis)
        return found

    @cached_property
    def finals(self) -> Array:
        """The best loss of each run by task, method and seed; nan for a run that is not finished."""
        shape = (len(self.tasks), len(self.methods), len(self.seeds))
        found = np.full(shape, math.nan)
        for i, task in enumerate(self.tasks):
            for j, label in enumerate(self.labels):
                for k, seed in enumerate(self.seeds):
                    cell = self.by_key.get((label, task.name, seed))
                    if cell is not None and cell.finished:
                        found[i, j, k] = cell.final
        return found

    @cached_property
    def references(self) -> Array:
        """The loss that a regret is counted from, by task: its reference, else the best that any run found."""
        return np.array([self._reference(task) for task in self.tasks])

    def _reference(self, task: TaskFacts) -> float:
        if task.reference is not None:
            return task.reference
        found = [cell.final for cell in self.cells if cell.task == task.name and math.isfinite(cell.final)]
        return min(found, default=math.nan)

    @cached_property
    def scales(self) -> Array:
        """The regret that counts as 1, by task: the median configuration's, or all of the hypervolume; else nan."""
        return np.array([t.median - t.reference if t.normalised else math.nan for t in self.tasks])  # type: ignore[operator]


def read_plan(folder: Path) -> dict[str, Any]:
    """Returns what a comparison's file says; raises JournalError where there is none, or one that cannot be read."""
    path = folder / FILE
    if not path.is_file():
        raise JournalError(f"{folder} is not a comparison: it has no {FILE}.")
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error
    if plan.get("version") != VERSION:
        raise JournalError(f"{folder} was written by another version of agentopt (comparison {plan.get('version')}).")
    return plan


def load_comparison(folder: Path) -> Comparison:
    """Returns the comparison of a folder, whether or not all of its runs are finished."""
    plan = read_plan(folder)
    methods = [_method(entry) for entry in plan["methods"]]
    tasks, seeds = tuple(plan["tasks"]), tuple(plan["seeds"])
    reports: dict[tuple[str, str, int], RunReport] = {}
    for method in methods:
        for task in tasks:
            for seed in seeds:
                if (report := _readable(cell_folder(folder, task, method.label, seed))) is not None:
                    reports[method.label, task, seed] = report
    planned = Budget(plan.get("trials"), plan.get("budget"))
    other = sum(report.budget != planned for report in reports.values())
    notes = [f"{other} of the runs were given another budget than the comparison's."] if other else []
    return assemble(
        folder,
        methods,
        reports,
        tasks=tasks,
        seeds=seeds,
        trials=planned.trials,
        notes=[*notes, *_growth(plan.get("stages", ()))],
        family=Family(plan.get("family", Family.ALL)),
    )


def _method(entry: Mapping[str, Any]) -> Method:
    asks = entry.get("asks", False)
    return Method(entry["label"], entry["method"], entry["options"], entry.get("control_of"), asks)


def _growth(stages: Sequence[Mapping[str, int]]) -> list[str]:
    """Says how a comparison grew after it had results."""
    if not stages:
        return []
    sizes = ", ".join(
        " and ".join(count(stage[kind], kind.removesuffix("s")) for kind in ("methods", "tasks", "seeds"))
        for stage in stages
    )
    text = f"The comparison was made larger after it had results (it had {sizes}): its p-values take no account of"
    return [f"{text} results that were looked at before there was more."]


def _readable(run: Path) -> RunReport | None:
    """Returns the report of a run folder; none where the run has not come to its first record."""
    if not (run / JOURNAL).is_file():
        return None
    try:
        return load_run(run)
    except JournalError:
        if read_log(run / JOURNAL)[0]:
            raise
        return None


def assemble(
    folder: Path,
    methods: Sequence[Method],
    reports: Mapping[tuple[str, str, int], RunReport],
    *,
    tasks: Sequence[str],
    seeds: Sequence[int],
    trials: int | None,
    notes: Sequence[str] = (),
    family: Family = Family.ALL,
) -> Comparison:
    """Returns the comparison of runs that are at hand, by label, task and seed."""
    asking = {label for (label, _, _), report in reports.items() if report.header.get("model") or report.exchanges}
    asking |= {method.control_of for method in methods if method.control_of is not None}
    longest = max((len(report.trials) for report in reports.values()), default=0)
    facts = {task: _facts(task, [r for (_, name, _), r in reports.items() if name == task]) for task in tasks}
    return Comparison(
        folder=folder,
        methods=tuple(Method(m.label, m.method, m.options, m.control_of, m.asks or m.label in asking) for m in methods),
        tasks=tuple(facts.values()),
        seeds=tuple(seeds),
        trials=max(1, longest if trials is None else trials),
        cells=tuple(_cell(*key, report, facts[key[1]]) for key, report in reports.items()),
        notes=(*notes, *code_notes(reports.values())),
        family=family,
    )


def _facts(name: str, reports: Sequence[RunReport]) -> TaskFacts:
    if not reports:
        return TaskFacts(name, Objective())
    goals = dict.fromkeys(" and ".join(f"{o.direction} {o.name}" for o in report.objectives) for report in reports)
    if len(goals) > 1:
        raise JournalError(
            f"The runs on {name} cannot be compared: some {', others '.join(goals)}. Compare under another --name."
        )
    several = len(reports[0].objectives) > 1
    objective, front = HYPERVOLUME if several else reports[0].objectives[0], front_facts(reports)
    known: dict[str, Any] = {}
    stated = not several or (front is not None and front.reference.source == "task")
    for fact in ("optimum", "best_known", "median"):
        values = [report.header[fact] for report in reports if stated and report.header.get(fact) is not None]
        known[fact] = bounded(objective.loss(float(values[0]))) if values else None
    if several:
        known["median"] = 0.0
    return TaskFacts(name, objective, **known, front=front)


def _cell(label: str, task: str, seed: int, report: RunReport, facts: TaskFacts) -> Cell:
    front: Array | None = None
    if len(report.objectives) > 1:
        losses, front = front_losses(report, facts.front)
    else:
        loss = report.objectives[0].loss
        losses = tuple(math.inf if math.isnan(value) else bounded(loss(value)) for value in report.best_so_far)
    clock: dict[int, float] = {}
    for record in read_log(report.run / JOURNAL)[0]:
        if record.get("event") == "finished":
            clock.setdefault(record["id"], float(record.get("t", 0.0)))
    candidates = candidates_of(report)
    return Cell(
        label=label,
        task=task,
        seed=seed,
        run=report.run,
        status=report.status,
        losses=losses,
        evaluated=tuple(np.cumsum([trial.seconds for trial in report.trials]).tolist()),
        elapsed=tuple(clock[trial.id] for trial in report.trials),
        counts=report.counts,
        origins={o.value: n for o in Origin if (n := sum(trial.origin is o for trial in report.trials))},
        tokens=report.tokens,
        seconds=report.seconds,
        measure=_measure(report),
        front=front,
        accepted=None if candidates is None else candidates.share,
        correlation=None if candidates is None else candidates.correlation,
    )


def cell_folder(folder: Path, task: str, label: str, seed: int) -> Path:
    """Returns where a comparison keeps the run of a method on a task with a seed."""
    return folder / "cells" / safe_name(task) / safe_name(label) / f"s{seed}"


def _measure(report: RunReport) -> Measure:
    if report.standing.keeper is not None:
        return Measure.KEPT
    return Measure.SHARED if report.header.get("seeds") == SeedRule.SHARED else Measure.OWN


def safe_name(label: str) -> str:
    """Returns a task's or a method's label as a folder's name; one that no file system takes is cut, with a hash."""
    name = re.sub(r"[^A-Za-z0-9._=,\[\]-]", "_", label)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(label.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST - len(digest) - 1]}-{digest}"
