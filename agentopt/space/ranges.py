"""What numeric parameters share: a range or a list of values, its levels, and what is wrong with a wrong one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from agentopt.space.definition import Definition

_N = TypeVar("_N", int, float)


class Ranged(Definition):
    """What Float and Int share: the range may be left out where the values are listed."""

    @classmethod
    def _fill(cls, given: dict[str, Any]) -> dict[str, Any]:
        values = given.get("values")
        if isinstance(values, (tuple, list)) and values:
            return {"low": values[0], "high": values[-1], **given}
        if values is None and not {"low", "high"} <= given.keys():
            raise ValueError(f"{cls.__name__} {given.get('name')!r}: give low and high, or values")
        return given


def as_number(name: str, value: Any) -> float:
    """Returns the value given for a parameter as a number; raises ValueError when it is no finite one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name}: {value!r:.80} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: {str(value)[:40]} is not a finite number")
    return number


def middle(grid: Sequence[float], value: float) -> float:
    """Returns the coordinate of a level where all have an equal share of the unit interval."""
    return (grid.index(value) + 0.5) / len(grid)


def level(grid: Sequence[_N], u: float) -> _N:
    """Returns the level at a coordinate in [0, 1]."""
    return grid[min(len(grid) - 1, int(u * len(grid)))]


def nearest(grid: Sequence[_N], x: float) -> _N:
    """Returns the level that is nearest to a number, ties down."""
    return min(grid, key=lambda level: (abs(level - x), level))


def check_values(where: str, values: Sequence[float] | None, low: float, high: float, *, log: bool) -> None:
    """Raises ValueError for listed values that cannot be; `where` is the kind and the name, as in `Float 'x'`."""
    if values is None:
        return
    if any(a >= b for a, b in pairwise(values)):
        raise ValueError(f"{where}: values must ascend")
    if (low, high) != (values[0], values[-1]):
        raise ValueError(f"{where}: low and high must be the first and the last of values, or be left out")
    if log:
        raise ValueError(f"{where}: values and log cannot both be given")


def check_range(where: str, low: float, high: float, default: float | None, *, log: bool) -> None:
    """Raises ValueError for a range that cannot be; `where` is the kind and the name, as in `Float 'x'`."""
    if low >= high:
        raise ValueError(f"{where}: low ({low:g}) must be below high ({high:g})")
    if not math.isfinite(high - low):
        raise ValueError(f"{where}: the range from low ({low:g}) to high ({high:g}) is too wide")
    if log and low <= 0:
        raise ValueError(f"{where}: a log scale needs low above 0, not {low:g}")
    if default is not None and not low <= default <= high:
        raise ValueError(f"{where}: default {default:g} is outside [{low:g}, {high:g}]")
