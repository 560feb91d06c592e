"""The hypervolume that points dominate up to a reference point, and what single points add to it. All is minimised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from agentopt.pareto.fronts import Floats, front_mask

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def hypervolume(points: Floats | Sequence[Sequence[float]], reference: Floats | Sequence[float]) -> float:
    """Returns the volume between points of shape (n, m) and a reference point of shape (m,).

    Points that are not better than the reference in every objective add nothing; those with NaN are left out. It is
    exact for any number of objectives, in time that grows quickly with it; the package `moocore` (extra `moo`) does the
    work where it is installed.
    """
    edge = np.asarray(reference, dtype=float)
    own = np.asarray(points, dtype=float).reshape(-1, len(edge))
    own = own[(own < edge).all(axis=1)]
    if not len(own):
        return 0.0
    own = own[front_mask(own)]
    library = _library()
    return float(library(own, edge)) if library is not None else exact(own, edge)


@cache
def _library() -> Callable[[Floats, Floats], float] | None:
    if find_spec("moocore") is None:
        return None
    import moocore

    def measured(points: Floats, reference: Floats) -> float:
        return float(moocore.hypervolume(points, ref=reference))

    return measured


def exact(front: Floats, reference: Floats) -> float:
    """Returns the hypervolume of a front, all of it better than the reference, without a library.

    Two objectives take one sweep; more are the sum of what each point adds to those before it, which is its own box
    without what those others, pushed into it, take of it (WFG: While, Bradstreet and Barone, IEEE TEC 16, 2012).
    """
    if front.shape[1] == 1:
        return float(reference[0] - front.min())
    if front.shape[1] == 2:
        ordered = front[np.argsort(front[:, 0], kind="stable")]
        heights = np.concatenate([[reference[1]], np.minimum.accumulate(ordered[:, 1])])
        return float(((reference[0] - ordered[:, 0]) * np.maximum(0.0, heights[:-1] - heights[1:])).sum())
    if front.shape[1] == 3:
        return _swept(front, reference)
    ordered = front[np.argsort(-front[:, -1], kind="stable")]
    total = 0.0
    for i, point in enumerate(ordered):
        # The others are better in the last objective: pushed into the box, they reach through all of its depth.
        pushed = np.maximum(ordered[i + 1 :, :-1], point[:-1])
        shared = exact(pushed[front_mask(pushed)], reference[:-1]) if len(pushed) else 0.0
        total += float(reference[-1] - point[-1]) * (float(np.prod(reference[:-1] - point[:-1])) - shared)
    return total


def _swept(front: Floats, reference: Floats) -> float:
    """Returns the hypervolume of three objectives: the area below the points so far, from one height to the next."""
    ordered = front[np.argsort(front[:, 2], kind="stable")]
    heights = np.append(ordered[:, 2], reference[2])
    stairs, area, total = np.empty((0, 2)), 0.0, 0.0
    for i, point in enumerate(ordered[:, :2]):
        if not (stairs <= point).all(axis=1).any():
            stairs = np.vstack([stairs[~(stairs >= point).all(axis=1)], point])
            area = exact(stairs, reference[:2])
        total += area * float(heights[i + 1] - heights[i])
    return total


def contributions(points: Floats, reference: Floats) -> Floats:
    """Returns how much less the hypervolume would be without each point, shape (n, m) to (n,).

    Points outside of the front add nothing; equal points have no contribution each, for the others stay.
    """
    whole = hypervolume(points, reference)
    found = np.zeros(len(points))
    inside = (points < reference).all(axis=1)
    for i in np.flatnonzero(inside & front_mask(points)):
        found[i] = max(0.0, whole - hypervolume(np.delete(points, i, axis=0), reference))
    return found


def improvements(candidates: Floats, points: Floats, reference: Floats) -> Floats:
    """Returns how much the hypervolume of `points` grows by each candidate alone, shapes (k, m), (n, m) to (k,)."""
    front = points[front_mask(points)] if len(points) else points
    return np.array([_gain(row, front, reference) for row in candidates])


def _gain(point: Floats, front: Floats, reference: Floats) -> float:
    """Returns what a point adds to a front: its own box, without what the front holds of it."""
    if not (point < reference).all() or (front <= point).all(axis=1).any():
        return 0.0
    box = float(np.prod(reference - point))
    return max(0.0, box - hypervolume(np.maximum(front, point), reference)) if len(front) else box


class Archive:
    """The front of points that come one by one, and its hypervolume up to a reference point of shape (m,)."""

    def __init__(self, reference: Floats | Sequence[float]) -> None:
        self.reference: Floats = np.asarray(reference, dtype=float)
        self.front: Floats = np.empty((0, len(self.reference)))
        """The points that no other one dominates, shape (n, m), those beyond the reference point among them."""
        self.hypervolume = 0.0

    def add(self, point: Floats | Sequence[float]) -> bool:
        """Takes a point, and returns whether it belongs to the front; of equal points the first one does."""
        own = np.asarray(point, dtype=float)
        if np.isnan(own).any() or (self.front <= own).all(axis=1).any():
            return False
        self.hypervolume += _gain(own, self.front, self.reference)
        self.front = np.vstack([self.front[~(own <= self.front).all(axis=1)], own])
        return True


def hypervolume_curve(points: Floats, reference: Floats | Sequence[float]) -> Floats:
    """Returns the hypervolume of the first 1, 2, ... n of points of shape (n, m), shape (n,); it never falls."""
    archive, curve = Archive(reference), np.zeros(len(points))
    for i, point in enumerate(points):
        archive.add(point)
        curve[i] = archive.hypervolume
    return curve


def choose_batch(candidates: Floats, points: Floats, reference: Floats, count: int) -> list[int]:
    """Returns up to `count` candidates that grow the hypervolume together: each the best after those before it.

    Where none grows it any more, the rest are those of the lowest front among the candidates, and of these the ones
    farthest from all points and candidates chosen before.
    """
    from agentopt.pareto.fronts import front_ranks

    chosen: list[int] = []
    held = points
    ranks = front_ranks(candidates) if len(candidates) else np.zeros(0, dtype=np.int64)
    left = list(range(len(candidates)))
    while left and len(chosen) < count:
        gains = improvements(candidates[left], held, reference)
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            best = _novel(candidates[left], ranks[left], held)
        chosen.append(left.pop(best))
        held = np.vstack([held, candidates[chosen[-1]]])
    return chosen


def _novel(candidates: Floats, ranks: Ints, held: Floats) -> int:
    """Returns the candidate of the lowest rank that is farthest from what is held, in ranges of the candidates."""
    width = np.ptp(np.vstack([candidates, held]), axis=0)
    scale = np.where(width > 0, width, 1.0)
    apart = np.full(len(candidates), np.inf)
    for row in held:
        apart = np.minimum(apart, (((candidates - row) / scale) ** 2).sum(axis=1))
    order = np.lexsort((-apart, ranks))
    return int(order[0])
