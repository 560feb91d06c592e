"""How good a front is beside another: IGD+, the epsilon indicator, attainment surfaces. All is minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentopt.pareto.fronts import Floats, front_mask

MARGIN = 0.1
"""How far beyond the worst of a front an estimated reference point lies, in ranges of the front."""


def igd_plus(front: Floats, target: Floats) -> float:
    """Returns the mean distance from the target front's points to what `front` fails to reach of them.

    IGD+ (Ishibuchi et al., EMO 2015): of the difference to a point only what is worse than the target counts.
    """
    if not len(front):
        return float("inf")
    worse = np.maximum(0.0, front[None] - target[:, None])
    return float(np.sqrt((worse**2).sum(axis=2)).min(axis=1).mean())


def epsilon(front: Floats, target: Floats) -> float:
    """Returns the least number by which `front` must be moved to be nowhere worse than the target front (additive)."""
    if not len(front):
        return float("inf")
    return float((front[None] - target[:, None]).max(axis=2).min(axis=1).max())


def attainment(fronts: Sequence[Floats], share: float, at: Floats) -> Floats:
    """Returns the second objective that a share of the fronts reaches, for values `at` of the first, shape (k,).

    The empirical attainment surface (Grunert da Fonseca et al., EMO 2001) of two objectives; infinity where fewer
    fronts come that far.
    """
    reached = np.array([_stairs(front, at) for front in fronts]).reshape(len(fronts), len(at))
    needed = max(1, int(np.ceil(share * len(fronts))))
    surface: Floats = np.sort(reached, axis=0)[needed - 1]
    return surface


def _stairs(front: Floats, at: Floats) -> Floats:
    """Returns the least second objective of the points up to each value of the first one."""
    ordered = front[np.argsort(front[:, 0], kind="stable")]
    least = np.concatenate([[np.inf], np.minimum.accumulate(ordered[:, 1])])
    found: Floats = least[np.searchsorted(ordered[:, 0], at, side="right")]
    return found


def estimated_reference(points: Floats) -> Floats:
    """Returns a reference point from points of shape (n, m): the worst of their front, and a tenth of its range more.

    Where the front has no range in an objective, all points stand for it; where these have none, the size of the value
    does, or 1. Raises ValueError where there is no point.
    """
    own = points[~np.isnan(points).any(axis=1)]
    if not len(own):
        raise ValueError("there is no point to estimate a reference from")
    front = own[front_mask(own)]
    flat = np.ptp(front, axis=0) == 0
    worst = np.where(flat, own.max(axis=0), front.max(axis=0))
    width = np.where(flat, np.ptp(own, axis=0), np.ptp(front, axis=0))
    width = np.where(width > 0, width, np.where(worst != 0, np.abs(worst), 1.0))
    reference: Floats = worst + MARGIN * width
    return reference
