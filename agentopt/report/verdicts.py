"""What became of each trial of a run of code, and the way from its first version to the best one."""

from __future__ import annotations

from dataclasses import dataclass

from agentopt.code.keeper import Keeper, Verdict
from agentopt.code.keeper import Version as Kept
from agentopt.protocols import Objective
from agentopt.report.keeping import standing_of
from agentopt.report.load import RunReport
from agentopt.report.versions import Versions, parent_of
from agentopt.trial import Trial


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One trial of a run of code; values are in the task's units."""

    trial: Trial
    verdict: str
    """What became of it (`agentopt.code.keeper.Verdict`); empty for a method that keeps or discards nothing."""
    value: float | None
    """The first objective's value; None where the trial has none."""
    change: float | None
    """The value less that of the version it was judged against, at its first run: the base of the search, or for a
    method without one the version it was made from."""
    gain: float | None
    """The same change as a gain: positive where it is better."""
    added: int
    """Lines that it has and its parent has not."""
    removed: int
    parent: int | None
    """The trial whose version it was made from; None: the first version."""
    summary: str
    cause: str
    """Why it has no value: the last line of its error."""


@dataclass(frozen=True, slots=True)
class Step:
    """A version on the way from the first one to the best."""

    trial: int | None
    """The trial of its first run; None: the first version."""
    verdict: str
    """What became of it; one that crashed stands here where it was mended."""
    value: float | None
    """The mean of its runs; None where none came to an end."""
    runs: int
    """How many runs it had."""
    change: float | None
    """The mean less that of the step before it that has one."""
    added: int
    """Lines that it has and the step before has not."""
    removed: int
    summary: str


def experiment_rows(report: RunReport, versions: Versions) -> tuple[ExperimentRow, ...]:
    """Returns one row for each trial, in the order in which they ended."""
    keeper, objective = report.keeper, report.objectives[0]
    judged = {} if keeper is None else {experiment.trial: experiment for experiment in keeper.experiments}
    losses = {trial.id: objective.loss(trial.values[0]) for trial in report.trials if trial.complete}
    first = next((losses[t.id] for t in report.trials if t.id in losses and _is_first(t, versions)), None)
    rows = []
    for trial in report.trials:
        parent, experiment = parent_of(trial), judged.get(trial.id)
        if keeper is not None and experiment is not None:
            gain, changes = experiment.gain, (experiment.added, experiment.removed)
            summary, verdict = experiment.summary, keeper.verdicts[trial.id].value
        else:
            base = first if parent is None else losses.get(parent)
            gain = None if base is None or trial.id not in losses else base - losses[trial.id]
            gain = None if _is_first(trial, versions) else gain
            changes = _line_changes(versions, parent, trial.id)
            summary, verdict = versions.summary(trial), ""
        rows.append(
            ExperimentRow(
                trial=trial,
                verdict=verdict,
                value=trial.values[0] if trial.complete else None,
                change=None if gain is None else _change(gain, objective),
                gain=gain,
                added=changes[0],
                removed=changes[1],
                parent=parent,
                summary=" ".join(summary.split()),
                cause=(trial.outcome.error.strip().splitlines() or [""])[-1],
            )
        )
    return tuple(rows)


def best_version(report: RunReport) -> int | None:
    """Returns the trial of the best version: of those that were kept, else of the best value; None is the first one."""
    if report.keeper is not None:
        return report.keeper.best.trial
    return None if report.best is None else report.best.id


def lineage(report: RunReport) -> tuple[Step, ...]:
    """Returns the versions from the first to the best that was kept; nothing for a run that keeps none."""
    keeper, objective = report.keeper, report.objectives[0]
    if keeper is None:
        return ()
    judged = {experiment.trial: experiment for experiment in keeper.experiments}
    steps: list[Step] = []
    for version in _way(keeper):
        value = objective.loss(version.mean) if version.values else None
        before = next((step.value for step in reversed(steps) if step.value is not None), None)
        experiment = None if version.trial is None else judged[version.trial]
        steps.append(
            Step(
                trial=version.trial,
                verdict=(Verdict.KEEP if version.trial is None else keeper.verdicts[version.trial]).value,
                value=value,
                runs=len(version.values),
                change=None if value is None or before is None else value - before,
                added=0 if experiment is None else experiment.added,
                removed=0 if experiment is None else experiment.removed,
                summary=" ".join(version.summary.split()),
            )
        )
    return tuple(steps)


def _way(keeper: Keeper) -> list[Kept]:
    """Returns the versions that the best one was made from, the first one first, and the best one."""
    found = [keeper.best]
    while found[-1].trial is not None and len(found) <= len(keeper.versions):
        found.append(keeper.versions[found[-1].base])
    return found[::-1]


def best_kept(report: RunReport, keeper: Keeper) -> tuple[float, ...]:
    """Returns after each experiment the mean of the best version that was kept until then, in the task's units.

    Means are those of all runs that a version had in the end. nan where no version that was kept has run.
    """
    known = {trial.id: trial for trial in report.trials}
    standing = standing_of(report.trials, report.objectives[0], keeper)
    return standing.curve([known[experiment.trial] for experiment in keeper.experiments])


def _is_first(trial: Trial, versions: Versions) -> bool:
    return versions.texts.get(trial.id) == versions.first


def _line_changes(versions: Versions, parent: int | None, number: int) -> tuple[int, int]:
    """Returns how many lines a patch adds and removes."""
    lines = versions.patch(parent, number).split("\n")[2:]
    return sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)


def _change(gain: float, objective: Objective) -> float:
    return 0.0 - gain if objective.direction == "minimize" else gain
