"""Configurations as rows of numbers, many at a time: drawing them, stepping from them, keeping them admissible.

A row has one number per parameter in the order of the space: the coordinate in the unit cube of a real, integer or
listed parameter, and the position among its values of a choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from agentopt.space import Choice, SearchSpace
from agentopt.trial import Params, Value

Rows: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""Shape (n, d)."""
MOST_LEVELS = 1000
"""A parameter with more values than this is taken for continuous."""


class RowSpace:
    """A search space whose configurations are rows."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.choices = space.choice_mask
        """Which columns are choices: shape (d,)."""
        self.levels = np.array([p.levels if p.levels and p.levels <= MOST_LEVELS else 0 for p in space.parameters])
        """The number of values of each column; 0: continuous."""
        self._grids = [
            np.arange(n, dtype=float) if choice else np.array([p.encode(v) for v in _values(p)]) if n else np.empty(0)
            for p, n, choice in zip(space.parameters, self.levels, self.choices, strict=True)
        ]

    def row(self, params: Params) -> Rows:
        """Returns the row of a configuration, shape (d,)."""
        return np.array(
            [
                p.index(params[p.name]) if isinstance(p, Choice) else p.encode(params[p.name])
                for p in self.space.parameters
            ],
            dtype=float,
        )

    def rows(self, configurations: Sequence[Params]) -> Rows:
        """Returns the rows of configurations, shape (n, d)."""
        return np.array([self.row(params) for params in configurations]).reshape(len(configurations), len(self.space))

    def params(self, row: Rows) -> dict[str, Value]:
        """Returns the configuration of a row of shape (d,), repaired."""
        found = {
            p.name: p.choices[int(x)] if isinstance(p, Choice) else p.decode(float(x))
            for p, x in zip(self.space.parameters, row, strict=True)
        }
        return self.space.repair(found)

    def draw(self, n: int, rng: np.random.Generator) -> Rows:
        """Returns rows drawn uniformly from the unit cube."""
        return self.from_cube(rng.random((n, len(self.space))))

    def from_cube(self, points: Rows) -> Rows:
        """Returns the admissible rows at points of the unit cube, shape (n, d)."""
        found = np.where(self.choices, np.floor(points * self.levels), points)
        return self.admitted(found)

    def steps(
        self, rows: Rows, rng: np.random.Generator, *, move: Rows | float, width: Rows | float, change: float = 0.2
    ) -> Rows:
        """Returns a neighbour of each row: what `optimizers.local.incumbent_step` does, for many rows at a time.

        Each number is moved with probability `move` by N(0, `width`), by one level at least; each choice becomes
        another one with probability `change`; one parameter at least is moved. `move` and `width` are numbers or of
        shape (n, 1).
        """
        n, d = rows.shape
        moved = rng.random((n, d)) < np.where(self.choices, change, move)
        still = ~moved.any(axis=1)
        moved[still, rng.integers(d, size=int(still.sum()))] = True
        delta = rng.standard_normal((n, d)) * width
        other = rng.random((n, d))
        walked = np.abs(rows + delta)
        walked = np.where(walked > 1.0, np.maximum(2.0 - walked, 0.0), walked)  # mirrored at the edges
        found = np.where(moved & ~self.choices, walked, rows)
        for j in np.flatnonzero(self.levels):
            picked = moved[:, j]
            if self.choices[j]:
                shift = 1 + np.floor(other[picked, j] * (self.levels[j] - 1))
                found[picked, j] = (rows[picked, j] + shift) % self.levels[j]
                continue
            grid = self._grids[j]
            before, after = _nearest(grid, rows[picked, j]), _nearest(grid, found[picked, j])
            aside = np.where(delta[picked, j] > 0, 1, -1)
            aside = np.where((before + aside < 0) | (before + aside >= len(grid)), -aside, aside)
            found[picked, j] = grid[np.where(after == before, before + aside, after)]
        return self.repaired(found)

    def admitted(self, rows: Rows) -> Rows:
        """Returns the rows with every number on its grid and every repair of the space made."""
        found = rows.copy()
        for j in np.flatnonzero(self.levels):
            grid = self._grids[j]
            found[:, j] = grid[_nearest(grid, found[:, j])]
        return self.repaired(found)

    def repaired(self, rows: Rows) -> Rows:
        """Returns the rows with every repair of the space made."""
        rules = self.space.repairs
        if not rules:
            return rows
        names = sorted({name for rule in rules for name in (rule.name, rule.other)})
        columns = [self.space.names.index(name) for name in names]
        parameters = [self.space[name] for name in names]
        for row in rows:
            before = {p.name: p.decode(float(row[j])) for p, j in zip(parameters, columns, strict=True)}
            after = self.space.repair(before)
            for p, j in zip(parameters, columns, strict=True):
                if after[p.name] != before[p.name]:
                    row[j] = p.encode(after[p.name])
        return rows


def _values(parameter: Any) -> Sequence[Value]:
    """Returns the values of a parameter that lists them, in order."""
    found: Sequence[Value] = parameter.grid
    return found


def _nearest(grid: Rows, values: Rows) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Returns the position in an ascending grid that is nearest to each value."""
    right = np.clip(np.searchsorted(grid, values), 1, len(grid) - 1)
    return np.where(values - grid[right - 1] <= grid[right] - values, right - 1, right)
