"""Tests of paired losses: Wilcoxon's signed ranks, Holm's correction, effect sizes, and what can be claimed at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agentopt.report.comparison.cells import Array

ALPHA = 0.05
_SAME = 1e-12
"""Losses whose relative difference is at most this are a tie."""
_EXACT = 200
"""Up to so many pairs the p-value is exact; above, by the normal approximation."""


def holm(values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number by Holm's step-down rule."""
    p = np.asarray(values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in corrected]


def least_p(n: int) -> float:
    """Returns the smallest two-sided p-value that the signed-rank test of `n` pairs can give."""
    return min(1.0, 2.0 ** (1 - n))


def pairs_needed(tests: int) -> int:
    """Returns how many pairs each of so many tests needs for a claim to be possible."""
    return next(n for n in range(1, 1000) if least_p(n) * tests <= ALPHA)


def signed_rank(a: Array, b: Array) -> tuple[float, float]:
    """Returns the p-value and the effect of paired losses (`rank_biserial`).

    The test leaves out pairs that are a tie, as Wilcoxon did; the effect counts them. Where there are so many that the
    effect has the other sign, nothing speaks for either side, and the p-value is 1.
    """
    difference = differences(a, b)
    effect = rank_biserial(difference)
    difference = difference[difference != 0]
    if effect * rank_biserial(difference) <= 0:
        return 1.0, effect
    ranks = stats.rankdata(np.abs(difference))
    if difference.size > _EXACT:
        most = 2 * np.abs(difference[np.isfinite(difference)]).max(initial=1.0)
        found = stats.wilcoxon(np.clip(difference, -most, most), correction=True, method="asymptotic")
        return float(min(1.0, found.pvalue)), effect
    return _exact_p(ranks, difference > 0), effect


def rank_biserial(difference: Array) -> float:
    """Returns the matched-pairs rank-biserial correlation: 1 where every pair is below 0, -1 where every one is above.

    Ties are ranked with the others, below them, and speak for neither side (Pratt's way): one win and two ties are 0.5.
    """
    ranks = stats.rankdata(np.abs(difference))
    total = ranks.sum()
    return float((ranks[difference < 0].sum() - ranks[difference > 0].sum()) / total) if total else 0.0


def _exact_p(ranks: Array, positive: NDArray[np.bool_]) -> float:
    """Returns the two-sided p-value of the sum of the positive ranks, each of which has either sign equally often.

    SciPy's exact distribution is for ranks without ties; its way with ties tries all signs, and is normal above 13 of
    them. This one counts the ways to each sum of doubled ranks, which are whole numbers.
    """
    doubled = np.rint(2 * ranks).astype(int)
    total = int(doubled.sum())
    ways = np.zeros(total + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways /= 2
        ways[rank:] += ways[: total + 1 - rank].copy()
    least = min(int(doubled[positive].sum()), int(doubled[~positive].sum()))
    return min(1.0, 2 * float(ways[: least + 1].sum()))


def differences(a: Array, b: Array) -> Array:
    """Returns a - b, with 0 for ties, two runs without a complete trial among them."""
    with np.errstate(invalid="ignore"):
        return np.where((a == b) | np.isclose(a, b, rtol=_SAME, atol=0.0), 0.0, a - b)


def superiority(a: Array, b: Array) -> float:
    """Returns the share of all pairs of a run of `a` and one of `b` in which `a` is lower, ties counted half."""
    if not a.size or not b.size:
        return math.nan
    difference = differences(a[:, None], b[None, :])
    return float(np.mean(difference < 0) + np.mean(difference == 0) / 2)
