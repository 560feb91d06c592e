"""Which points no other one dominates. All objectives are minimised."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Bools: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
_BLOCK = 256


def front_mask(points: Floats) -> Bools:
    """Returns which points of shape (n, m) belong to the front, shape (n,): of equal points the first one.

    Points with a value that is NaN do not.
    """
    n = len(points)
    kept = np.zeros(n, dtype=bool)
    valid = np.flatnonzero(~np.isnan(points).any(axis=1)) if n else np.zeros(0, dtype=np.int64)
    # In lexicographic order nothing is dominated by what comes later.
    order = valid[np.lexsort(points[valid].T[::-1])] if len(valid) else valid
    if points.shape[1] == 2:
        second = points[order, 1]
        before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]]) if len(order) else second
        kept[order[second < before]] = True
        return kept
    front = np.empty((0, points.shape[1]))
    for begin in range(0, len(order), _BLOCK):
        block = order[begin : begin + _BLOCK]
        own = points[block]
        block = block[~_dominated(own, front)]
        own = points[block]
        earlier = np.tri(len(block), k=-1, dtype=bool)
        inner = (earlier & _no_worse(own[None], own[:, None])).any(axis=1)
        kept[block[~inner]] = True
        front = np.concatenate([front, own[~inner]])
    return kept


def _dominated(points: Floats, front: Floats) -> Bools:
    """Returns which points are no better anywhere than one of the front, or equal to it."""
    found = np.zeros(len(points), dtype=bool)
    for begin in range(0, len(front), _BLOCK):
        found |= _no_worse(front[None, begin : begin + _BLOCK], points[:, None]).any(axis=1)
    return found


def _no_worse(a: Any, b: Any) -> Any:
    """Returns whether points are nowhere worse than others, the objectives on the last axis."""
    return (a <= b).all(axis=-1)


def front_ranks(points: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Returns the rank of each point, shape (n, m) to (n,): 0 for the front, 1 for the front of the rest, and so on.

    Equal points have the same rank (non-dominated sorting, Deb et al., IEEE TEC 6, 2002).
    """
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    ranks, left, rank = np.zeros(len(unique), dtype=np.int64), np.arange(len(unique)), 0
    while len(left):
        best = front_mask(unique[left])
        if not best.any():  # what is left has no order: values that are NaN
            best[:] = True
        ranks[left[best]] = rank
        left, rank = left[~best], rank + 1
    return ranks[inverse.reshape(-1)]
