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
Bools: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
# Points on the upper faces are taken for points just below them: a cut on a face would leave a box without inside.
_END = 1.0 - 1e-12


@dataclass(frozen=True)
class Cuts:
    """The inner nodes of the tree, N of them, the root first."""

    axis: Ints
    """Shape (N,)."""
    at: Floats
    """Where each axis is cut, shape (N,): a point at the cut goes to the upper side."""
    sides: Ints
    """What is on the lower and on the upper side, shape (N, 2): another node, or leaf k as -1 - k."""


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
    cuts: Cuts

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def counts(self) -> Ints:
        """How many points each leaf holds, shape (K,)."""
        return np.diff(self.start)

    def locate(self, queries: Floats) -> Ints:
        """Returns the leaf of each point of the unit box, shape (m, d) to (m,): one step of all points per level."""
        found = np.full(len(queries), 0 if len(self.cuts.axis) else -1, dtype=np.int64)
        going = np.flatnonzero(found >= 0)
        while len(going):
            node = found[going]
            side = queries[going, self.cuts.axis[node]] >= self.cuts.at[node]
            found[going] = self.cuts.sides[node, side.astype(np.int64)]
            going = going[found[going] >= 0]
        return -1 - found


def grow(points: Floats, capacity: int, rule: Rule = "median", levels: Sequence[Floats | None] | None = None) -> Leaves:
    """Returns the leaves of points of shape (n, d) in the unit box, each cut until it holds `capacity` at most.

    Points that coincide stay together, however many they are. `levels` has, for each axis that is discrete, the
    coordinates that are possible on it, ascending: cuts then lie half way between two of them. All cells of a level of
    the tree are cut at once, so that the cost is O(n d) for each, without a loop over cells.
    """
    n, d = points.shape
    points = np.minimum(points, _END)
    ranks = _ranks(points) if rule == "median" and n else None
    cells = _Cells(np.arange(n), np.array([n]), np.zeros((1, d)), np.ones((1, d)), np.array([-1]))
    done: list[_Cells] = []
    made: list[tuple[Ints, Floats, Ints]] = []
    count = 0
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
        own = values[np.arange(len(values)), np.repeat(axis, cells.sizes)]
        middle = mean[every, axis] if ranks is None else _median(cells, axis, ranks, points)
        at = _place(own, cells, (low[every, axis], high[every, axis]), middle)
        at = _between_levels(axis, at, levels)
        made.append((axis, at, cells.slot))
        cells = _halves(own, cells, axis, at, count)
        count += len(axis)
    return _leaves(done, made)


@dataclass(frozen=True)
class _Cells:
    """Some cells of the tree; their points one cell after the other."""

    order: Ints
    sizes: Ints
    lower: Floats
    upper: Floats
    slot: Ints
    """Where a cell hangs in the tree: twice its parent's number, and 1 more on the upper side; -1 for the root."""

    @property
    def starts(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    def where(self, chosen: Bools) -> _Cells:
        """Returns some of the cells."""
        rows = np.repeat(chosen, self.sizes)
        return _Cells(self.order[rows], self.sizes[chosen], self.lower[chosen], self.upper[chosen], self.slot[chosen])


def _leaves(done: list[_Cells], made: list[tuple[Ints, Floats, Ints]]) -> Leaves:
    """Returns the finished cells as leaves; `made` has axis, place and slot of the cuts, level by level."""
    counts = np.concatenate([part.sizes for part in done])
    axis = np.concatenate([np.zeros(0, dtype=np.int64), *(cut[0] for cut in made)])
    at = np.concatenate([np.zeros(0), *(cut[1] for cut in made)])
    slots = np.concatenate([np.zeros(0, dtype=np.int64), *(cut[2] for cut in made)])
    leaves = np.concatenate([part.slot for part in done])
    sides = np.zeros(2 * len(axis), dtype=np.int64)
    sides[slots[1:]] = np.arange(1, len(axis))
    if len(axis):
        sides[leaves] = -1 - np.arange(len(leaves))
    return Leaves(
        np.concatenate([part.order for part in done]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.lower for part in done]),
        np.concatenate([part.upper for part in done]),
        Cuts(axis, at, sides.reshape(-1, 2)),
    )


def _ranks(points: Floats) -> tuple[Ints, Ints]:
    """Returns the rank of each coordinate on its axis, and the point of each rank; shapes (d, n)."""
    by_rank = np.argsort(points, axis=0, kind="stable").T
    ranks = np.empty(by_rank.shape, dtype=np.int64)
    np.put_along_axis(ranks, by_rank, np.arange(len(points))[None, :], axis=1)
    return ranks, by_rank


def _spread(values: Floats, cells: _Cells, low: Floats, high: Floats, rule: Rule) -> tuple[Floats, Floats]:
    """Returns what decides on each cell's axis, and where it would be cut, each shape (cells, d)."""
    if rule == "midpoint":
        return high - low, low + (high - low) / 2
    mean = np.add.reduceat(values, cells.starts) / cells.sizes[:, None]
    apart = values - np.repeat(mean, cells.sizes, axis=0)
    return np.add.reduceat(apart * apart, cells.starts) / cells.sizes[:, None], mean


def _place(own: Floats, cells: _Cells, ends: tuple[Floats, Floats], middle: Floats) -> Floats:
    """Returns where each cell is cut: in the middle, but above its lowest coordinate and at its highest at most."""
    low, high = ends
    # A cut at the first coordinate above the lowest has points on both sides, whatever rounding did to the others.
    least = np.minimum.reduceat(np.where(own > np.repeat(low, cells.sizes), own, np.inf), cells.starts)
    return np.where(middle > low, np.minimum(middle, high), least)


def _median(cells: _Cells, axis: Ints, ranks: tuple[Ints, Ints], points: Floats) -> Floats:
    """Returns the median of each cell's coordinates on its axis; where it is shared, the most even cut beside it."""
    n, axes = len(points), np.repeat(axis, cells.sizes)
    # One sort of whole numbers, the cell first and then the rank, is many times faster than sorting by two keys.
    keys = np.repeat(np.arange(len(axis)) * n, cells.sizes) + ranks[0][axes, cells.order]
    own = points[ranks[1][axes, np.sort(keys) % n], axes]
    starts, sizes = cells.starts, cells.sizes
    middle, before = own[starts + sizes // 2], own[starts + (sizes - 1) // 2]
    repeated = np.repeat(middle, sizes)
    below = np.add.reduceat((own < repeated).astype(np.int64), starts)
    upto = np.add.reduceat((own <= repeated).astype(np.int64), starts)
    after = np.minimum.reduceat(np.where(own > repeated, own, np.inf), starts)
    later = (np.abs(2 * upto - sizes) < np.abs(2 * below - sizes)) & np.isfinite(after)
    between = before + (middle - before) / 2
    return np.where(later, after, np.where(between > before, between, middle))


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


def _halves(own: Floats, cells: _Cells, axis: Ints, at: Floats, first: int) -> _Cells:
    """Returns the two halves of each cell, side by side; `own` are the coordinates on its axis, `first` its number."""
    key = 2 * np.repeat(np.arange(len(axis)), cells.sizes) + (own >= np.repeat(at, cells.sizes))
    sizes = np.bincount(key, minlength=2 * len(axis)).astype(np.int64)
    lower, upper = np.repeat(cells.lower, 2, axis=0), np.repeat(cells.upper, 2, axis=0)
    every = np.arange(len(axis))
    upper[2 * every, axis] = at
    lower[2 * every + 1, axis] = at
    slots = 2 * first + np.arange(2 * len(axis))
    return _Cells(cells.order[np.argsort(key, kind="stable")], sizes, lower, upper, slots)
