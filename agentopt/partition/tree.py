"""Cuts the unit box into cells along the points that lie in it: a k-d tree, built level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Rule: TypeAlias = Literal["median", "mean", "midpoint"]
"""`median` (MOHOLLM, arXiv 2601.13892) and `mean` (HOLLM, arXiv 2505.21372) cut the axis of the largest variance;
`midpoint` cuts the axis of the largest extent in its middle, as the released code of both does through SciPy."""
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_END = 1.0 - 1e-12
"""Cuts lie below it, so that no cell is the upper face of the unit box alone."""


@dataclass(frozen=True)
class Leaves:
    """A partition of [0, 1]^d into K boxes, and the n points in them.

    A box holds its lower faces and not its upper ones, except those of the unit box itself.
    """

    order: Ints
    """The points by leaf, shape (n,): leaf k has `order[start[k]:start[k + 1]]`."""
    start: Ints
    """Shape (K + 1,)."""
    lower: Floats
    """Shape (K, d)."""
    upper: Floats
    """Shape (K, d)."""

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def counts(self) -> Ints:
        """How many points each leaf holds, shape (K,)."""
        return np.diff(self.start)

    def locate(self, queries: Floats) -> Ints:
        """Returns the leaf of each point, shape (m, d) to (m,)."""
        found = np.empty(len(queries), dtype=np.int64)
        for i, point in enumerate(queries):
            found[i] = np.flatnonzero(inside(self.lower, self.upper, point))[0]
        return found


def inside(lower: Floats, upper: Floats, point: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns which boxes hold a point: shapes (..., d) and (d,) to (...)."""
    below = (point < upper) | ((upper == 1.0) & (point <= 1.0))
    held: np.ndarray[Any, np.dtype[np.bool_]] = ((lower <= point) & below).all(axis=-1)
    return held


def grow(points: Floats, capacity: int, rule: Rule = "median", levels: Sequence[Floats | None] | None = None) -> Leaves:
    """Returns the leaves of points of shape (n, d) in the unit box, each cut until it holds `capacity` at most.

    Points that coincide stay together, however many they are. `levels` has, for each axis that is discrete, the
    coordinates that are possible on it, ascending: cuts then lie half way between two of them. All cells of a level of
    the tree are cut at once, so that the cost is O(n d) for each, without a loop over cells.
    """
    n, d = points.shape
    points = np.minimum(points, _END)
    ranks, ascending = _ranks(points)
    cells = _Cells(np.arange(n), np.array([n]), np.zeros((1, d)), np.ones((1, d)))
    done: list[_Cells] = []
    while True:
        small = cells.sizes <= capacity
        done.append(cells.where(small))
        cells = cells.where(~small)
        if not len(cells.sizes):
            break
        values, starts = points[cells.order], cells.starts
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        single = (low == high).all(axis=1)
        if single.any():
            done.append(cells.where(single))
            rest = ~single
            values, low, high = values[np.repeat(rest, cells.sizes)], low[rest], high[rest]
            cells = cells.where(rest)
            if not len(cells.sizes):
                break
        spread, mean = _spread(values, cells, low, high, rule)
        axis = np.argmax(np.where(high > low, spread, -1.0), axis=1)
        every = np.arange(len(axis))
        own = _sorted(cells, axis, ranks, ascending)
        ends = (low[every, axis], high[every, axis])
        at = _place(own, cells, ends, mean[every, axis], rule)
        cells = _halves(values, cells, axis, _between_levels(axis, at, levels))
    counts = np.concatenate([part.sizes for part in done])
    return Leaves(
        np.concatenate([part.order for part in done]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.lower for part in done]),
        np.concatenate([part.upper for part in done]),
    )


@dataclass(frozen=True)
class _Cells:
    """Some cells of the tree; their points one cell after the other."""

    order: Ints
    sizes: Ints
    lower: Floats
    upper: Floats

    @property
    def starts(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    def where(self, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> _Cells:
        """Returns some of the cells."""
        rows = np.repeat(chosen, self.sizes)
        return _Cells(self.order[rows], self.sizes[chosen], self.lower[chosen], self.upper[chosen])


def _ranks(points: Floats) -> tuple[Ints, Floats]:
    """Returns the rank of each coordinate on its axis, and the coordinates of each axis in ascending order: (d, n)."""
    by_rank = np.argsort(points, axis=0, kind="stable").T
    ranks = np.empty(by_rank.shape, dtype=np.int64)
    np.put_along_axis(ranks, by_rank, np.arange(len(points))[None, :], axis=1)
    return ranks, np.take_along_axis(points.T, by_rank, axis=1)


def _sorted(cells: _Cells, axis: Ints, ranks: Ints, ascending: Floats) -> Floats:
    """Returns the coordinates on each cell's axis, in ascending order, cell after cell."""
    n = max(1, ranks.shape[1])
    axes = np.repeat(axis, cells.sizes)
    # One sort of whole numbers, the cell first and then the rank, is many times faster than sorting by two keys.
    keys = np.repeat(np.arange(len(axis)) * n, cells.sizes) + ranks[axes, cells.order]
    found: Floats = ascending[axes, np.sort(keys) % n]
    return found


def _spread(values: Floats, cells: _Cells, low: Floats, high: Floats, rule: Rule) -> tuple[Floats, Floats]:
    """Returns what decides on each cell's axis, and the means; shapes (cells, d)."""
    if rule == "midpoint":
        return high - low, low
    mean = np.add.reduceat(values, cells.starts) / cells.sizes[:, None]
    apart = values - np.repeat(mean, cells.sizes, axis=0)
    return np.add.reduceat(apart * apart, cells.starts) / cells.sizes[:, None], mean


def _place(own: Floats, cells: _Cells, ends: tuple[Floats, Floats], mean: Floats, rule: Rule) -> Floats:
    """Returns where each cell is cut: above its lowest coordinate and at its highest at most."""
    low, high = ends
    # A cut at the first coordinate above the lowest has points on both sides, whatever rounding did to the others.
    least = np.minimum.reduceat(np.where(own > np.repeat(low, cells.sizes), own, np.inf), cells.starts)
    if rule == "median":
        return np.clip(_median(own, cells), least, high)
    return np.clip(mean if rule == "mean" else (low + high) / 2, least, high)


def _median(own: Floats, cells: _Cells) -> Floats:
    """Returns the coordinate at which each cell's points are cut most evenly."""
    starts, sizes = cells.starts, cells.sizes
    middle = own[starts + sizes // 2]
    repeated = np.repeat(middle, sizes)
    below = np.add.reduceat((own < repeated).astype(np.int64), starts)
    upto = np.add.reduceat((own <= repeated).astype(np.int64), starts)
    after = np.minimum.reduceat(np.where(own > repeated, own, np.inf), starts)
    later = np.abs(2 * upto - sizes) < np.abs(2 * below - sizes)
    return np.where(later & np.isfinite(after), after, middle)


def _between_levels(axis: Ints, at: Floats, levels: Sequence[Floats | None] | None) -> Floats:
    """Returns the cuts, those of discrete axes half way between the levels on their two sides."""
    placed = at.copy()
    for number, known in enumerate(levels or ()):
        own = np.flatnonzero(axis == number)
        if known is None or not len(own):
            continue
        upper = np.clip(np.searchsorted(known, at[own] - 1e-12), 1, len(known) - 1)
        placed[own] = (known[upper - 1] + known[upper]) / 2
    return placed


def _halves(values: Floats, cells: _Cells, axis: Ints, at: Floats) -> _Cells:
    """Returns the two halves of each cell, side by side."""
    cell = np.repeat(np.arange(len(axis)), cells.sizes)
    right = values[np.arange(len(values)), axis[cell]] >= at[cell]
    key = 2 * cell + right
    sizes = np.bincount(key, minlength=2 * len(axis)).astype(np.int64)
    lower, upper = np.repeat(cells.lower, 2, axis=0), np.repeat(cells.upper, 2, axis=0)
    every = np.arange(len(axis))
    upper[2 * every, axis] = at
    lower[2 * every + 1, axis] = at
    return _Cells(cells.order[np.argsort(key, kind="stable")], sizes, lower, upper)
