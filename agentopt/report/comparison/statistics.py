"""What a comparison allows to be claimed: paired tests, effect sizes, ranks.

Only finished runs count, and only where both methods of a pair finished one on the same task with the same seed. A run
in which no trial completed is worse than any other. Losses are minimised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy import stats

from agentopt.report.comparison.cells import Array
from agentopt.report.comparison.family import every_pair, family_pairs
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.signed_rank import ALPHA, differences, holm, least_p, signed_rank, superiority

Claim: TypeAlias = Literal["a better", "b better", "none"]


@dataclass(frozen=True, slots=True)
class PairTest:
    """Whether method `a` ends better or worse than method `b`, by the two-sided Wilcoxon signed-rank test."""

    a: str
    b: str
    task: str | None
    """None: over all tasks, a pair for each task and seed."""
    n: int
    wins: int
    """The pairs in which `a` ended better."""
    ties: int
    losses: int
    median_difference: float
    """The median of the paired differences a - b in `unit`; below 0 where `a` is better."""
    unit: str
    p: float
    p_holm: float
    """Corrected for all tests of its kind in the comparison's family: over all tasks, or one by one."""
    least_p: float
    """The smallest corrected value that this number of pairs can give."""
    effect: float
    """The matched-pairs rank-biserial correlation, from -1 (`b` is always better) to 1 (`a` is); ties count."""
    a12: float
    """Vargha and Delaney's A: how often a run of `a` beats a run of `b` on the same task, whatever their seeds."""
    claim: Claim = "none"
    alike: bool = True
    """Whether the losses of both are the same thing (`Comparison.alike`): else nothing is claimed."""

    @property
    def possible(self) -> bool:
        """Whether these losses and this number of pairs could have led to a claim at all."""
        return self.alike and self.least_p <= ALPHA


@dataclass(frozen=True, slots=True)
class Duel:
    """How often each of two methods ended better, over all tasks and seeds that both finished; this is no test."""

    a: str
    b: str
    wins: int
    """The pairs in which `a` ended better."""
    ties: int
    losses: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the methods rank within the blocks: the tasks and seeds on which all of them finished. 1 is best."""

    labels: tuple[str, ...]
    """Those that are ranked: methods that finished nowhere are not."""
    average: tuple[float, ...]
    """Every task weighs the same."""
    blocks: int
    friedman_p: float
    """The p-value of "all methods are the same"; nan where it cannot be had."""
    critical: float
    """Nemenyi's critical difference of average ranks; nan without blocks."""

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """The largest groups of two or more methods, by rank, whose ranks are within the critical difference."""
        order = [int(i) for i in np.argsort(self.average, kind="stable")]
        found: list[tuple[int, ...]] = []
        for start in range(len(order)):
            first = self.average[order[start]]
            group = tuple(i for i in order[start:] if self.average[i] - first <= self.critical)
            if len(group) > 1 and not any(set(group) <= set(other) for other in found):
                found.append(group)
        return found


def pair_tests(comparison: Comparison) -> list[PairTest]:
    """Returns the test of each pair of methods of the comparison's family, over all tasks."""
    scaled, unit = comparable(comparison)
    pairs = family_pairs(comparison.methods, comparison.family)
    return _corrected([_test(comparison, scaled, pair, None, unit) for pair in pairs])


def task_tests(comparison: Comparison) -> list[PairTest]:
    """Returns the test of each pair of methods of the family on each task, all of them corrected together."""
    return _corrected(
        [
            _test(comparison, comparison.finals, pair, k, task.objective.name)
            for k, task in enumerate(comparison.tasks)
            for pair in family_pairs(comparison.methods, comparison.family)
        ]
    )


def duels(comparison: Comparison) -> list[Duel]:
    """Returns how every two methods did against each other, whether or not they are tested."""
    found, labels = [], comparison.labels
    for i, j in every_pair(comparison.methods):
        difference = differences(*_paired(comparison.finals, (i, j), range(len(comparison.tasks))))
        found.append(Duel(labels[i], labels[j], *_score(difference)))
    return found


def comparable(comparison: Comparison) -> tuple[Array, str]:
    """Returns the final losses in a unit that the tasks have in common, and the unit's name.

    That is the loss itself where there is one task, the normalised regret where it is known for all of them, and else
    the loss over the distance between the quartiles of all final losses of the task.
    """
    finals = comparison.finals
    if len(comparison.tasks) == 1:
        return finals, comparison.tasks[0].objective.name
    if all(task.normalised for task in comparison.tasks):
        scale = comparison.scales[:, None, None]
        return (finals - comparison.references[:, None, None]) / scale, "normalised regret"
    return finals / np.array([_spread(values) for values in finals])[:, None, None], "interquartile ranges"


def _spread(values: Array) -> float:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 1.0
    return float(stats.iqr(finite) or np.ptp(finite) or 1.0)


def _paired(values: Array, pair: tuple[int, int], rows: Sequence[int]) -> tuple[Array, Array]:
    """Returns the values of two methods on the tasks and seeds that both finished."""
    i, j = pair
    both = [~np.isnan(values[k, i]) & ~np.isnan(values[k, j]) for k in rows]
    a, b = (np.concatenate([values[k, one][there] for k, there in zip(rows, both, strict=True)]) for one in (i, j))
    return a, b


def _score(difference: Array) -> tuple[int, int, int]:
    """Returns how many differences are below 0, 0, and above it."""
    return int(np.sum(difference < 0)), int(np.sum(difference == 0)), int(np.sum(difference > 0))


def _test(comparison: Comparison, values: Array, pair: tuple[int, int], task: int | None, unit: str) -> PairTest:
    i, j = pair
    rows = range(len(comparison.tasks)) if task is None else (task,)
    a, b = _paired(values, pair, rows)
    difference = differences(a, b)
    wins, ties, losses = _score(difference)
    p, effect = signed_rank(a, b)
    better = [superiority(values[k, i][~np.isnan(values[k, i])], values[k, j][~np.isnan(values[k, j])]) for k in rows]
    known = [share for share in better if not math.isnan(share)]
    labels = comparison.labels
    return PairTest(
        a=labels[i],
        b=labels[j],
        task=None if task is None else comparison.tasks[task].name,
        n=len(a),
        wins=wins,
        ties=ties,
        losses=losses,
        median_difference=_median(difference),
        unit=unit,
        p=p,
        p_holm=p,
        least_p=least_p(len(a)),
        effect=effect,
        a12=float(np.mean(known)) if known else math.nan,
        alike=all(comparison.alike(labels[i], labels[j], comparison.tasks[k].name) for k in rows),
    )


def _median(values: Array) -> float:
    """Returns the median; of an even number of infinite ones, too."""
    if not values.size:
        return math.nan
    low, high = np.sort(values)[[(values.size - 1) // 2, values.size // 2]]
    return float(low if low == high else (low + high) / 2)


def _corrected(tests: Sequence[PairTest]) -> list[PairTest]:
    """Returns the tests with their corrected p-values, and the claims that these allow."""
    found = []
    for test, p, least in zip(tests, holm([t.p for t in tests]), holm([t.least_p for t in tests]), strict=True):
        claim: Claim = "none"
        if test.alike and p <= ALPHA and test.effect:
            claim = "a better" if test.effect > 0 else "b better"
        found.append(replace(test, p_holm=p, least_p=least, claim=claim))
    return found


def ranked_labels(comparison: Comparison) -> list[int]:
    """Returns the methods that finished at least one run, by their place."""
    return [i for i in range(len(comparison.methods)) if not np.isnan(comparison.finals[:, i]).all()]


def average_ranks(losses: Array) -> tuple[Array, Array]:
    """Returns the average rank of each method, and the ranks by block, of losses by task, method and seed.

    A block is a task and seed on which every method has a loss. Each task weighs the same.
    """
    tasks, blocks = [], []
    for task in losses:
        whole = task[:, ~np.isnan(task).any(axis=0)]
        if whole.shape[1]:
            ranks = stats.rankdata(_tied(whole), axis=0).T
            tasks.append(ranks.mean(axis=0))
            blocks.append(ranks)
    if not tasks:
        return np.full(losses.shape[1], math.nan), np.empty((0, losses.shape[1]))
    return np.mean(tasks, axis=0), np.concatenate(blocks)


def _tied(losses: Array) -> Array:
    """Returns numbers, by method and block, that are ordered like the losses and equal where these are a tie."""
    order = np.argsort(losses, axis=0)
    ordered = np.take_along_axis(losses, order, axis=0)
    steps = (differences(ordered[1:], ordered[:-1]) != 0).astype(float)
    numbers = np.zeros_like(losses)
    np.put_along_axis(numbers, order[1:], np.cumsum(steps, axis=0), axis=0)
    return numbers


def ranking(comparison: Comparison) -> Ranking:
    """Returns the methods' average ranks at the end, with Friedman's test and Nemenyi's critical difference."""
    rows = ranked_labels(comparison)
    average, blocks = average_ranks(comparison.finals[:, rows])
    n, k = blocks.shape
    friedman = math.nan
    if n > 1 and k > 2:
        alike = bool(np.all(blocks == blocks[:, :1]))
        friedman = 1.0 if alike else float(stats.friedmanchisquare(*blocks.T).pvalue)
    critical = math.nan
    if n and k > 1:
        critical = float(
            stats.studentized_range.ppf(1 - ALPHA, k, np.inf) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
        )
    return Ranking(
        labels=tuple(comparison.labels[i] for i in rows),
        average=tuple(float(rank) for rank in average),
        blocks=n,
        friedman_p=friedman,
        critical=critical,
    )
