"""Cells of a mixed search space: which configurations lie in one, how one is drawn from and put into words."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from agentopt.partition.tree import Floats, Leaves, Rule, grow
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

    def points(self, observed: Sequence[Params]) -> Floats:
        """Returns the points of configurations, shape (n, d)."""
        columns = [self._column(p, [params[p.name] for params in observed]) for p in self.space.parameters]
        return np.array(columns, dtype=float).T.reshape(len(observed), len(self.space))

    def _column(self, parameter: Parameter, values: Sequence[Value]) -> list[float]:
        if isinstance(parameter, Float) and parameter.grid is None:
            return [parameter.encode(value) for value in values]
        keys = [(type(value), value) for value in values]
        known = {key: self.coordinate(parameter, key[1]) for key in set(keys)}
        return [known[key] for key in keys]

    def coordinate(self, parameter: Parameter, value: Value) -> float:
        """Returns the place of a value on its axis."""
        if isinstance(parameter, Choice):
            return (self.places[parameter.name][parameter.index(value)] + 0.5) / parameter.levels
        return parameter.encode(value)

    @cached_property
    def places(self) -> Mapping[str, Mapping[int, int]]:
        """For each categorical parameter, where each of its choices stands in the order."""
        return {name: {index: place for place, index in enumerate(order)} for name, order in self.choices.items()}

    @cached_property
    def values(self) -> tuple[Sequence[Value] | None, ...]:
        """The values of each discrete axis in their order; None for reals."""
        return tuple(self._values(parameter) for parameter in self.space.parameters)

    def _values(self, parameter: Parameter) -> Sequence[Value] | None:
        if isinstance(parameter, Choice):
            return [parameter.choices[i] for i in self.choices[parameter.name]]
        return parameter.grid

    @cached_property
    def levels(self) -> tuple[Floats | None, ...]:
        """The coordinates of those values; None for reals and for more values than `MOST_LEVELS`."""
        pairs = zip(self.space.parameters, self.values, strict=True)
        return tuple(
            None if v is None or len(v) > MOST_LEVELS else np.array([self.coordinate(p, one) for one in v])
            for p, v in pairs
        )


def encoding_of(space: SearchSpace, observed: Sequence[Params] = (), losses: Sequence[float] = ()) -> Encoding:
    """Returns the encoding of a space, the choices ordered by the mean loss of the configurations that have them.

    Ordering categories by their mean response makes contiguous cuts lose nothing against arbitrary subsets, for one
    parameter (Fisher, JASA 53, 1958). Choices that nobody tried stand in the middle; without observations the order is
    the space's own, and so is that of numbers that ascend or descend. Losses that are not finite are left out.
    """
    orders: dict[str, tuple[int, ...]] = {}
    for parameter in space.parameters:
        if not isinstance(parameter, Choice):
            continue
        if _ordered(parameter.choices):
            orders[parameter.name] = tuple(range(parameter.levels))
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


def _ordered(choices: Sequence[Value]) -> bool:
    """Whether the choices are numbers that ascend or descend."""
    numbers = [choice for choice in choices if isinstance(choice, (int, float)) and not isinstance(choice, bool)]
    return len(numbers) == len(choices) and numbers in (sorted(numbers), sorted(numbers, reverse=True))


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
        return all(self._holds(axis, parameter, params[parameter.name]) for axis, parameter in self._narrowed)

    def _holds(self, axis: int, parameter: Parameter, value: Value) -> bool:
        x, upper = self.encoding.coordinate(parameter, value), self.upper[axis]
        return bool(self.lower[axis] <= x and (x < upper or upper == 1.0))

    @cached_property
    def _narrowed(self) -> tuple[tuple[int, Parameter], ...]:
        """The axes that were cut, the narrowest first: most configurations fall out at the first."""
        width = self.upper - self.lower
        axes = [int(axis) for axis in np.argsort(width, kind="stable") if width[axis] < 1.0]
        return tuple((axis, self.encoding.space.parameters[axis]) for axis in axes)

    def sample(self, rng: np.random.Generator, n: int) -> list[dict[str, Value]]:
        """Returns `n` configurations drawn uniformly from the cell and repaired.

        A repair that leads out of the cell leads to another draw, up to fifty times.
        """
        return [self._draw(rng) for _ in range(n)]

    def _draw(self, rng: np.random.Generator) -> dict[str, Value]:
        space = self.encoding.space
        params: dict[str, Value] = {}
        for _ in range(_TRIES):
            u = self.lower + (self._reach - self.lower) * rng.random(len(space))
            params = {
                p.name: self.value_at(axis, x) for axis, (p, x) in enumerate(zip(space.parameters, u, strict=True))
            }
            params = space.repair(params)
            if self.contains(params):
                break
        return params

    @cached_property
    def _reach(self) -> Floats:
        """The upper faces, lower where a repair is sure to lead out of the cell: it raises a parameter beyond its face.

        Shape (d,). Draws beyond these faces would all be rejected; some below them may be.
        """
        space, reach = self.encoding.space, self.upper.copy()
        for rule in space.repairs * len(space.repairs):
            raised, other = space.names.index(rule.name), space.names.index(rule.other)
            most: Value = float(self.value_at(raised, reach[raised])) / rule.times
            values = self.encoding.values[other]
            if values is not None:
                most = values[min(len(values) - 1, bisect_right(values, most))]
            place = self.encoding.coordinate(space.parameters[other], most)
            reach[other] = max(self.lower[other], min(reach[other], place))
        return reach

    def value_at(self, axis: int, x: float) -> Value:
        """Returns the value of a parameter at a coordinate of the cell: of a discrete one, the nearest it holds."""
        parameter, held = self.encoding.space.parameters[axis], self.held[axis]
        if held is None:
            return parameter.decode(float(x))
        if isinstance(parameter, Choice):
            first = self.encoding.places[parameter.name][parameter.index(held[0])]
            return held[min(len(held) - 1, max(0, int(x * parameter.levels) - first))]
        value = parameter.decode(float(x))
        return held[0] if value < float(held[0]) else held[-1] if value > float(held[-1]) else value

    @cached_property
    def held(self) -> tuple[Sequence[Value] | None, ...]:
        """The values of each discrete parameter that lie in the cell, in their order; None for reals."""
        return tuple(self._held(axis, parameter) for axis, parameter in enumerate(self.encoding.space.parameters))

    def _held(self, axis: int, parameter: Parameter) -> Sequence[Value] | None:
        values = self.encoding.values[axis]
        if values is None:
            return None
        first, end = (
            bisect_left(values, float(x), key=lambda value: self.encoding.coordinate(parameter, value))
            for x in (self.lower[axis], self.upper[axis])
        )
        return values[first:] if self.upper[axis] == 1.0 else values[first:end]

    @cached_property
    def ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """The range of each real parameter in its own units; None for discrete ones.

        The ends are rounded inwards to some hundredths of the width, so that what is shown lies inside.
        """
        pairs = zip(self.encoding.space.parameters, self.held, strict=True)
        return tuple(None if held is not None else self._range(axis, p) for axis, (p, held) in enumerate(pairs))

    def _range(self, axis: int, parameter: Parameter) -> tuple[float, float]:
        assert isinstance(parameter, Float)
        lower, upper = float(self.lower[axis]), float(self.upper[axis])
        low, high = parameter.decode(lower), parameter.decode(upper)

        def holds(x: float) -> bool:
            return self._holds(axis, parameter, x)

        # Steps of a hundredth of the width, or of the lower end where that is a log scale's.
        width = min(high - low, abs(low)) if parameter.log else high - low
        if width > 0:
            step = 10.0 ** (math.floor(math.log10(width)) - 2)
            shown_low = low if lower == 0.0 else _rounded(low, step, up=True)
            shown_high = high if upper == 1.0 else _rounded(high, step, up=False)
            if shown_low < shown_high and holds(shown_low) and holds(shown_high):
                return shown_low, shown_high
        return _inwards(low, high, holds), _inwards(high, low, holds)

    def describe(self) -> list[str]:
        """Returns what of each parameter lies in the cell, in words."""
        words = []
        for parameter, held, ends in zip(self.encoding.space.parameters, self.held, self.ranges, strict=True):
            if held is None:
                assert ends is not None
                log = ", log scale" if isinstance(parameter, Float) and parameter.log else ""
                words.append(f"real, {_number(ends[0])} to {_number(ends[1])}{log}")
            elif len(held) == 1:
                words.append(f"{held[0]}")
            elif len(held) <= _LISTED or not isinstance(held, range):
                words.append(f"one of {', '.join(map(str, held))}")
            else:
                _, *more = parameter.describe().split(",")
                words.append(",".join([f"integer, {held[0]} to {held[-1]}", *more[1:]]))
        return words

    def schema(self, form: Literal["object", "array"]) -> dict[str, Any]:
        """Returns the JSON schema of a configuration in the cell, in the forms of `SearchSpace.json_schema`."""
        schemas = []
        for held, ends in zip(self.held, self.ranges, strict=True):
            if held is None:
                assert ends is not None
                schemas.append({"type": "number", "minimum": ends[0], "maximum": ends[1]})
            elif isinstance(held, range) and (held.step == 1 or len(held) > _LISTED):
                schemas.append({"type": "integer", "minimum": held[0], "maximum": held[-1]})
            else:
                schemas.append({"enum": list(held)})
        return self.encoding.space.with_schemas(form, schemas)


def _rounded(x: float, step: float, *, up: bool) -> float:
    digits = max(0, -math.floor(math.log10(step) + 0.5))
    count = math.ceil(x / step) if up else math.floor(x / step)
    return round(count * step, digits)


def _inwards(end: float, other: float, holds: Callable[[float], bool]) -> float:
    """Returns an end of a range, moved towards the other one until the cell holds it: by some last digits."""
    moved, step = end, math.copysign(math.ulp(end), other - end)
    while not holds(moved) and abs(step) < abs(other - end):
        moved, step = end + step, 2 * step
    return moved if holds(moved) else end


def _number(value: float) -> str:
    short = f"{value:.12g}"
    return short if float(short) == value else repr(value)


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
    return Partition(encoding, grow(encoding.points(observed), capacity, rule, encoding.levels))
