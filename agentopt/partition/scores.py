"""How much a cell deserves a look: its best trial, its size, how little is known of it (arXiv 2505.21372)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from agentopt.pareto import front_mask
from agentopt.partition.tree import Floats, Ints, Leaves

UnknownForm: TypeAlias = Literal["budget", "count"]
"""The numerator of the bonus for cells with few points: the whole `budget` (released code) or the `count` of trials so
far (paper), which leaves no bonus for any cell of at least average occupancy."""
Norm: TypeAlias = Literal["minmax", "softmax"]
Hypervolume: TypeAlias = Callable[[Floats, Floats], float]
"""Takes points to be minimised, shape (n, m), and a reference point, shape (m,)."""
SINGLE_VARIANCE = 0.01
"""The variance of a cell with one point, in units of the range of all losses (released code)."""


@dataclass(frozen=True)
class Terms:
    """The three terms of a score, one value for each of K cells, each in [0, 1]."""

    exploitation: Floats
    volume: Floats
    unknown: Floats

    def score(self, alpha: float, beta: tuple[float, float] = (0.5, 0.5)) -> Floats:
        """Returns B = exploitation + alpha (beta1 volume + beta2 unknown), shape (K,)."""
        total: Floats = self.exploitation + alpha * (beta[0] * self.volume + beta[1] * self.unknown)
        return total


def worth(losses: Floats) -> Floats:
    """Returns how good each loss is, from 0 for the worst to 1 for the best, shape (n,); NaN where it is not finite.

    Losses above the upper quartile by more than 1.5 times the range of the middle half count as that edge: one
    disaster must not make all others look alike. Where the middle half is all the same, nothing is cut off.
    """
    finite = np.isfinite(losses)
    found = np.full(losses.shape, np.nan)
    if not finite.any():
        return found
    own = losses[finite]
    own = own / max(float(np.abs(own).max()), 1.0)  # differences of the largest numbers are no numbers
    low, quarter, three = (float(q) for q in np.quantile(own, [0.0, 0.25, 0.75]))
    high = float(np.max(own))
    if three > quarter:
        high = min(high, three + 1.5 * (three - quarter))
    width = high - low
    found[finite] = 1.0 if width <= 0 else 1.0 - (np.minimum(own, high) - low) / width
    return found


def single_terms(
    leaves: Leaves, losses: Floats, *, total: int, form: UnknownForm = "budget", constant: float = 1.0
) -> Terms:
    """Returns the terms for one objective.

    `losses`, shape (n,), are those of the points that the leaves hold, not finite for failures, which count as points
    and have no value; `total` is the budget of trials. Exploitation is the best loss in the cell; the unknown is
    sqrt(2 v L / n) + c L / n for the variance v of the worths in a cell of n points and L = ln(numerator / (K n)), at
    least 0.
    """
    value = worth(losses)[leaves.order]
    best = np.maximum.reduceat(np.append(np.where(np.isnan(value), 0.0, value), 0.0), leaves.start[:-1])
    best = np.where(leaves.counts > 0, best, 0.0)
    return Terms(minmax(best), minmax(volumes(leaves)), minmax(_unknown(leaves, value, total, form, constant)))


def hypervolume_terms(
    leaves: Leaves,
    gains: Floats,
    each: Floats,
    *,
    total: int,
    form: UnknownForm = "budget",
    constant: float = 1.0,
    norm: Norm = "minmax",
    temperature: float = 1.0,
) -> Terms:
    """Returns the terms for several objectives.

    `gains`, shape (K,), is what the cells hold of the hypervolume (`cell_contributions`); `each`, shape (n,), what each
    point adds to it alone, NaN for failures: its variance in a cell makes the unknown.
    """

    def scale(values: Floats) -> Floats:
        return minmax(values) if norm == "minmax" else softmax(values, temperature)

    return Terms(
        scale(gains),
        scale(volumes(leaves)),
        scale(_unknown(leaves, each[leaves.order], total, form, constant)),
    )


def volumes(leaves: Leaves) -> Floats:
    """Returns the d-th root of each cell's volume: the geometric mean of its sides, shape (K,)."""
    sides: Floats = np.exp(np.mean(np.log(leaves.upper - leaves.lower), axis=1))
    return sides


def _unknown(leaves: Leaves, value: Floats, total: int, form: UnknownForm, constant: float) -> Floats:
    count = leaves.counts
    numerator = max(total, len(value)) if form == "budget" else len(value)
    with np.errstate(divide="ignore"):
        bonus = np.where(count > 0, np.maximum(0.0, np.log(numerator / (len(leaves) * np.maximum(count, 1)))), 1.0)
    held = np.maximum(count, 1)
    unknown: Floats = np.sqrt(2 * variances(leaves, value) * bonus / held) + constant * bonus / held
    return unknown


def variances(leaves: Leaves, value: Floats) -> Floats:
    """Returns the unbiased variance of the values in each cell, those that are NaN left out; 0.01 for fewer than two.

    `value` has shape (n,), in the order of `leaves.order`.
    """
    known = ~np.isnan(value)
    filled = np.where(known, value, 0.0)
    count = _sums(leaves, known.astype(float))
    mean = _sums(leaves, filled) / np.maximum(count, 1.0)
    apart = np.where(known, filled - np.repeat(mean, leaves.counts), 0.0)
    return np.where(count > 1, _sums(leaves, apart * apart) / np.maximum(count - 1, 1.0), SINGLE_VARIANCE)


def _sums(leaves: Leaves, values: Floats) -> Floats:
    """Returns the sum of values over each cell; a cell without points has 0."""
    if not len(values):  # the one leaf of no points
        return np.zeros(len(leaves))
    found: Floats = np.add.reduceat(values, leaves.start[:-1])
    return found


def minmax(values: Floats) -> Floats:
    """Returns the values moved and scaled to [0, 1] over the cells; zeros where they are all the same."""
    width = float(values.max() - values.min())
    return (values - values.min()) / width if width > 0 else np.zeros_like(values)


def softmax(values: Floats, temperature: float = 1.0) -> Floats:
    """Returns shares that sum to 1, in proportion to exp(value / temperature)."""
    powers = np.exp((values - values.max()) / temperature)
    shares: Floats = powers / powers.sum()
    return shares


def annealed(t: int, total: int, highest: float = 1.0, lowest: float = 0.01) -> float:
    """Returns alpha after `t` of `total` evaluations: half a cosine from `highest` to `lowest`."""
    share = min(1.0, max(0.0, t / max(1, total)))
    return lowest + (highest - lowest) / 2 * (1 + math.cos(math.pi * share))


def capacity(m0: int, growth: float, t: int) -> int:
    """Returns how many points a cell may hold after `t` evaluations: m0 + ceil(growth ln(1 + t)) (arXiv 2505.21372)."""
    return max(1, m0 + math.ceil(growth * math.log(1 + t)))


def long_run(m0: int, t: int) -> int:
    """Returns m0, or half the square root of `t` where that is more: the number of cells then grows like the root."""
    return max(m0, math.ceil(math.sqrt(t) / 2))


def probabilities(score: Floats, floor: float = 0.01) -> Floats:
    """Returns the chance of each cell, in proportion to its score, shape (K,): (1 - floor) B / sum B + floor / K."""
    total = score.sum()
    share = score / total if total > 0 else np.full(len(score), 1.0 / len(score))
    mixed: Floats = (1 - floor) * share + floor / len(score)
    return mixed


def choose(chances: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Returns `count` distinct cells, drawn one after the other in proportion to the chances of those that are left.

    All cells where there are no more. Adding Gumbel noise to the logarithms and taking the largest is that very draw
    (Kool et al., ICML 2019).
    """
    if len(chances) <= count:
        return np.arange(len(chances))
    with np.errstate(divide="ignore"):
        keys = np.log(chances) + rng.gumbel(size=len(chances))
    return np.argsort(-keys, kind="stable")[:count]


def cell_contributions(
    leaves: Leaves, losses: Floats, reference: Floats, hypervolume: Hypervolume, rule: Literal["front", "all"]
) -> Floats:
    """Returns how much hypervolume is lost without the points of each cell, shape (K,) (arXiv 2601.13892).

    `losses`, shape (n, m), of the points in the cells, NaN for failures. `front`: lost by the front (paper); `all`: by
    all points, whose dominated ones may take the place of others (released code).
    """
    cell = np.empty(len(losses), dtype=np.int64)
    cell[leaves.order] = np.repeat(np.arange(len(leaves)), leaves.counts)
    alive = np.isfinite(losses).all(axis=1) & (losses < reference).all(axis=1)
    best = np.zeros(len(losses), dtype=bool)
    best[alive] = front_mask(losses[alive])
    counted = best if rule == "front" else alive
    whole = hypervolume(losses[counted], reference) if counted.any() else 0.0
    found = np.zeros(len(leaves))
    for number in np.unique(cell[best]):
        rest = counted & (cell != number)
        found[number] = max(0.0, whole - (hypervolume(losses[rest], reference) if rest.any() else 0.0))
    return found
