"""How far the methods of a comparison had come at what cost: medians with intervals, ranks, targets reached."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from agentopt.report.comparison.cells import Array, Axis
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.statistics import average_ranks, ranked_labels

CHECKPOINTS = (0.25, 0.5, 1.0)
"""The shares of the budget of trials after which regrets are tabled."""
CONFIDENCE = 0.95
TARGETS = np.logspace(0, -3, 31)
"""The shares of the way from the start to the reference that are still to go."""
_RESAMPLES = 1000
_FEWEST = 3
"""Fewer seeds than this have no interval."""
_POINTS = 60


@dataclass(frozen=True)
class Curve:
    """The loss or regret of one method on one task over its cost: the median over seeds, with a bootstrap interval."""

    task: str
    label: str
    seeds: int
    costs: Array
    median: Array
    mean: Array
    low: Array
    """The ends of the 95 % interval of the median; nan where there is none."""
    high: Array


@dataclass(frozen=True)
class RankCurves:
    """The average rank of each method over the trials; 1 is best."""

    labels: tuple[str, ...]
    trials: Array
    ranks: Array
    """By label and number of trials."""


@dataclass(frozen=True)
class Reached:
    """The share of all targets of all finished runs of a method that were reached by each cost."""

    label: str
    costs: Array
    share: Array


def grid(comparison: Comparison, axis: Axis, task: int | None = None) -> Array:
    """Returns the costs at which curves are taken: every trial, else evenly spaced seconds."""
    names = {t.name for i, t in enumerate(comparison.tasks) if task in {None, i}}
    ends = [c.costs(axis)[-1] for c in comparison.cells if c.finished and c.losses and c.task in names]
    if axis == "trials":
        return np.unique(np.round(np.linspace(1, comparison.trials, min(comparison.trials, 2 * _POINTS))))
    return np.linspace(0.0, max(ends, default=0.0), _POINTS + 1)[1:]


def curve(comparison: Comparison, task: int, method: int, costs: Array, axis: Axis = "trials") -> Curve:
    """Returns the regret of a method on a task at the given costs; nan before its runs have found anything."""
    losses = comparison.on(task, costs, axis)[method]
    losses = losses[~np.isnan(losses).any(axis=1)] - comparison.references[task]
    label, name = comparison.labels[method], comparison.tasks[task].name
    if not len(losses):
        nothing = np.full(len(costs), math.nan)
        return Curve(name, label, 0, costs, nothing, nothing, nothing, nothing)
    low, high = interval(losses)
    with np.errstate(invalid="ignore"):
        return Curve(name, label, len(losses), costs, np.median(losses, axis=0), np.mean(losses, axis=0), low, high)


def interval(values: Array) -> tuple[Array, Array]:
    """Returns the bootstrap interval of the median over the first axis; nan where it cannot be had."""
    nothing = np.full(values.shape[1:], math.nan)
    usable = np.isfinite(values).all(axis=0)
    if len(values) < _FEWEST or not usable.any():
        return nothing, nothing.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (values[:, usable],),
            np.median,
            axis=0,
            n_resamples=_RESAMPLES,
            batch=200,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    low, high = nothing, nothing.copy()
    low[usable], high[usable] = found.low, found.high
    return low, high


def anytime(comparison: Comparison, axis: Axis = "trials") -> list[Curve]:
    """Returns the curve of each method on each task that it finished a run on, up to the cost of its longest run."""
    found = []
    for k, task in enumerate(comparison.tasks):
        costs = grid(comparison, axis, k)
        for i, label in enumerate(comparison.labels):
            ends = [c.costs(axis)[-1] for c in comparison.of(label, task.name) if c.finished and c.losses]
            if ends:
                mine = costs[: int(np.searchsorted(costs, max(ends))) + 1] if axis != "trials" else costs
                found.append(curve(comparison, k, i, mine, axis))
    return found


def checkpoints(comparison: Comparison) -> list[Curve]:
    """Returns the regret of each method on each task at a quarter, a half and the whole of the budget of trials."""
    costs = np.array([float(max(1, math.ceil(share * comparison.trials))) for share in CHECKPOINTS])
    return [
        curve(comparison, k, i, costs) for k in range(len(comparison.tasks)) for i in range(len(comparison.methods))
    ]


def normalised_regrets(comparison: Comparison) -> list[float | None]:
    """Returns for each method the mean, over the tasks where it is known, of the normalised median regret at the end.

    None where no task has one, where the method finished no run on one of those tasks, or where most of its runs had no
    complete trial.
    """
    known = [k for k, task in enumerate(comparison.tasks) if task.normalised]
    found: list[float | None] = []
    for i in range(len(comparison.methods)):
        regrets = []
        for k in known:
            finals = comparison.finals[k, i]
            finals = finals[~np.isnan(finals)]
            median = np.median(finals) if finals.size else math.nan
            regrets.append((median - comparison.references[k]) / comparison.scales[k])
        mean = float(np.mean(regrets)) if regrets else math.nan
        found.append(mean if math.isfinite(mean) else None)
    return found


def rank_curves(comparison: Comparison) -> RankCurves:
    """Returns the average rank of each method over the trials."""
    rows, costs = ranked_labels(comparison), grid(comparison, "trials")
    at = comparison.curves[:, rows][..., costs.astype(int) - 1]
    ranks = [average_ranks(at[..., i])[0] for i in range(len(costs))]
    return RankCurves(tuple(comparison.labels[i] for i in rows), costs, np.stack(ranks, axis=1))


def targets_reached(comparison: Comparison, axis: Axis = "trials") -> list[Reached]:
    """Returns how many targets each method reached by which cost, over all tasks and seeds that it finished.

    The targets of a task lie between its start (the median configuration where that is known, else the median loss
    after the first trial) and its reference: at 31 distances from all of the way down to a thousandth of it.
    """
    costs = grid(comparison, axis)
    gaps = [_gaps(comparison, task, costs, axis) for task in range(len(comparison.tasks))]
    found = []
    for i, label in enumerate(comparison.labels):
        mine = [gap[i] for gap in gaps if gap is not None]
        runs = [run for gap in mine for run in gap if not np.isnan(run).any()]
        if runs:
            share = np.mean([(run[:, None] <= TARGETS[None, :]).mean(axis=1) for run in runs], axis=0)
            found.append(Reached(label, costs, share))
    return found


def _gaps(comparison: Comparison, task: int, costs: Array, axis: Axis) -> Array | None:
    """Returns the share of the way to the reference that is left, by method, seed and cost; none without a way."""
    facts, reference = comparison.tasks[task], comparison.references[task]
    first = comparison.curves[task, :, :, 0]
    first = first[np.isfinite(first)]
    start = facts.median if facts.normalised else float(np.median(first)) if first.size else math.nan
    if start is None or not start > reference:
        return None
    left: Array = (comparison.on(task, costs, axis) - reference) / (start - reference)
    return left
