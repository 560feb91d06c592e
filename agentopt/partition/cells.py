"""Cells of a mixed search space: which configurations lie in one, how one is drawn from and put into words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from agentopt.partition.tree import Floats, Leaves, Rule, grow, inside
from agentopt.space import Choice, Float, Parameter, SearchSpace
from agentopt.trial import Params, Value

MOST_LEVELS = 4096
"""Integers with more values than that are cut like reals."""
_LISTED = 24
"""Up to so many values of a cell are listed; more are given by their ends."""
_TRIES = 50


@dataclass(frozen=True)
class Encoding:
    """The picture of a space in the unit box that is cut: `SearchSpace.encode`, with the choices in an order."""

    space: SearchSpace
    choices: Mapping[str, tuple[int, ...]]
    """For each categorical parameter, its positions in the order along its axis: a cell holds neighbours in it."""

    def point(self, params: Params) -> Floats:
        """Returns the point of a configuration, shape (d,)."""
        return np.array([self.coordinate(p, params[p.name]) for p in self.space.parameters])

    def coordinate(self, parameter: Parameter, value: Value) -> float:
        """Returns the place of a value on its axis."""
        if isinstance(parameter, Choice):
            return (self._places[parameter.name][parameter.index(value)] + 0.5) / parameter.levels
        return parameter.encode(value)

    @cached_property
    def _places(self) -> Mapping[str, Mapping[int, int]]:
        return {name: {index: place for place, index in enumerate(order)} for name, order in self.choices.items()}

    @cached_property
    def values(self) -> tuple[Sequence[Value] | None, ...]:
        """The values of each discrete axis in their order; None for reals and very long ranges."""
        return tuple(self._values(parameter) for parameter in self.space.parameters)

    def _values(self, parameter: Parameter) -> Sequence[Value] | None:
        if isinstance(parameter, Choice):
            return [parameter.choices[i] for i in self.choices[parameter.name]]
        grid = parameter.grid
        return None if grid is None or len(grid) > MOST_LEVELS else grid

    @cached_property
    def levels(self) -> tuple[Floats | None, ...]:
        """The coordinates of those values."""
        pairs = zip(self.space.parameters, self.values, strict=True)
        return tuple(None if v is None else np.array([self.coordinate(p, one) for one in v]) for p, v in pairs)


def encoding_of(space: SearchSpace, observed: Sequence[Params] = (), losses: Sequence[float] = ()) -> Encoding:
    """Returns the encoding of a space, the choices ordered by the mean loss of the configurations that have them.

    Ordering categories by their mean response makes contiguous cuts lose nothing against arbitrary subsets, for one
    parameter (Fisher, JASA 53, 1958). Choices that nobody tried stand in the middle; without observations the order is
    the space's own. Losses that are not finite are left out.
    """
    orders: dict[str, tuple[int, ...]] = {}
    for parameter in space.parameters:
        if not isinstance(parameter, Choice):
            continue
        held: list[list[float]] = [[] for _ in range(parameter.levels)]
        for params, loss in zip(observed, losses, strict=True):
            if math.isfinite(loss):
                held[parameter.index(params[parameter.name])].append(loss)
        known = [float(np.mean(own)) for own in held if own]
        middle = float(np.median(known)) if known else 0.0
        means = [float(np.mean(own)) if own else middle for own in held]
        orders[parameter.name] = tuple(sorted(range(parameter.levels), key=lambda i: (means[i], i)))
    return Encoding(space, orders)


@dataclass(frozen=True)
class Cell:
    """A box of the unit box, and the configurations whose points lie in it."""

    encoding: Encoding
    lower: Floats
    upper: Floats

    @property
    def whole(self) -> bool:
        """Whether it is the whole space."""
        return bool((self.lower == 0.0).all() and (self.upper == 1.0).all())

    def contains(self, params: Params) -> bool:
        """Whether a configuration lies in the cell; every one lies in exactly one cell of a partition."""
        return bool(inside(self.lower, self.upper, self.encoding.point(params)))

    def sample(self, rng: np.random.Generator, n: int) -> list[dict[str, Value]]:
        """Returns `n` configurations drawn uniformly from the cell and repaired.

        A repair that leads out of the cell leads to another draw, up to fifty times.
        """
        return [self._draw(rng) for _ in range(n)]

    def _draw(self, rng: np.random.Generator) -> dict[str, Value]:
        space = self.encoding.space
        params: dict[str, Value] = {}
        for _ in range(_TRIES):
            u = self.lower + (self.upper - self.lower) * rng.random(len(space))
            for parameter, held, x in zip(space.parameters, self.held, u.tolist(), strict=True):
                params[parameter.name] = parameter.decode(x) if held is None else held[int(rng.integers(len(held)))]
            params = space.repair(params)
            if self.contains(params):
                break
        return params

    @cached_property
    def held(self) -> tuple[Sequence[Value] | None, ...]:
        """The values of each discrete parameter that lie in the cell, in their order; None for reals."""
        found: list[Sequence[Value] | None] = []
        for axis, (values, levels) in enumerate(zip(self.encoding.values, self.encoding.levels, strict=True)):
            if values is None or levels is None:
                found.append(None)
                continue
            first, end = np.searchsorted(levels, [self.lower[axis], self.upper[axis]])
            found.append(values[int(first) :] if self.upper[axis] == 1.0 else values[int(first) : int(end)])
        return tuple(found)

    @cached_property
    def ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """The range of each real parameter in its own units; None for discrete ones.

        The ends are rounded inwards to some hundredths of the width, so that what is shown lies inside.
        """
        pairs = zip(self.encoding.space.parameters, self.held, strict=True)
        return tuple(None if held is not None else self._range(axis, p) for axis, (p, held) in enumerate(pairs))

    def _range(self, axis: int, parameter: Parameter) -> tuple[float, float]:
        assert not isinstance(parameter, Choice)
        low, high = parameter.decode(float(self.lower[axis])), parameter.decode(float(self.upper[axis]))
        if not isinstance(parameter, Float):
            return float(low), float(high)
        # Steps of a hundredth of the width, or of the lower end where that is a log scale's.
        width = min(high - low, abs(low)) if parameter.log else high - low
        step = 10.0 ** (math.floor(math.log10(width)) - 2) if width > 0 else 0.0
        shown_low = low if self.lower[axis] == 0.0 or not step else _rounded(low, step, up=True)
        shown_high = high if self.upper[axis] == 1.0 or not step else _rounded(high, step, up=False)
        fits = shown_low < shown_high and all(
            self.lower[axis] <= parameter.encode(x) and (parameter.encode(x) < self.upper[axis] or x == parameter.high)
            for x in (shown_low, shown_high)
        )
        return (shown_low, shown_high) if fits else (low, high)

    def describe(self) -> list[str]:
        """Returns what of each parameter lies in the cell, in words."""
        words = []
        for parameter, held, ends in zip(self.encoding.space.parameters, self.held, self.ranges, strict=True):
            if held is None:
                assert ends is not None
                number = "real" if isinstance(parameter, Float) else "integer"
                log = ", log scale" if getattr(parameter, "log", False) else ""
                words.append(f"{number}, {_number(ends[0])} to {_number(ends[1])}{log}")
            elif len(held) == 1:
                words.append(f"{held[0]}")
            elif len(held) <= _LISTED:
                words.append(f"one of {', '.join(map(str, held))}")
            else:
                words.append(f"{parameter.describe().split(',')[0]}, {held[0]} to {held[-1]}")
        return words

    def schema(self, form: Literal["object", "array"]) -> dict[str, Any]:
        """Returns the JSON schema of a configuration in the cell, in the forms of `SearchSpace.json_schema`."""
        schemas = []
        for parameter, held, ends in zip(self.encoding.space.parameters, self.held, self.ranges, strict=True):
            if held is None:
                assert ends is not None
                kind = "number" if isinstance(parameter, Float) else "integer"
                schemas.append({"type": kind, "minimum": ends[0], "maximum": ends[1]})
            elif isinstance(held, range) and held.step == 1:
                schemas.append({"type": "integer", "minimum": held[0], "maximum": held[-1]})
            else:
                schemas.append({"enum": list(held)})
        return self.encoding.space.with_schemas(form, schemas)


def _rounded(x: float, step: float, *, up: bool) -> float:
    digits = max(0, -math.floor(math.log10(step) + 0.5))
    count = math.ceil(x / step) if up else math.floor(x / step)
    return round(count * step, digits)


def _number(value: float) -> str:
    return f"{value:.12g}"


def whole_space(space: SearchSpace) -> Cell:
    """Returns the cell that is the whole space."""
    return Cell(encoding_of(space), np.zeros(len(space)), np.ones(len(space)))


@dataclass(frozen=True)
class Partition:
    """A space cut into cells along the configurations that were observed in it."""

    encoding: Encoding
    leaves: Leaves

    def cell(self, number: int) -> Cell:
        """Returns the cell of a leaf."""
        return Cell(self.encoding, self.leaves.lower[number], self.leaves.upper[number])


def partition(
    space: SearchSpace, observed: Sequence[Params], losses: Sequence[float], capacity: int, rule: Rule = "median"
) -> Partition:
    """Returns the cells of a space, each with `capacity` observations at most; see `grow` and `encoding_of`."""
    encoding = encoding_of(space, observed, losses)
    points = np.array([encoding.point(params) for params in observed]).reshape(len(observed), len(space))
    return Partition(encoding, grow(points, capacity, rule, encoding.levels))
