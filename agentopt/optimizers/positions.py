"""Values as libraries know them that have ranges and sets alone: grids and choices go by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentopt.space import Choice, Parameter
from agentopt.trial import Value


def listed(parameter: Parameter) -> Sequence[Value] | None:
    """Returns the values of a choice or a grid; None for a plain range."""
    if isinstance(parameter, Choice):
        return parameter.choices
    grid = parameter.grid
    return None if grid is None or (isinstance(grid, range) and grid.step == 1) else grid


def to_library(parameter: Parameter, value: Value) -> Value:
    """Returns a value as the library is told it."""
    if isinstance(parameter, Choice):
        return parameter.index(value)
    values = listed(parameter)
    return value if values is None else values.index(parameter.clip(value))


def from_library(parameter: Parameter, value: Any) -> Value:
    """Returns the value that the library's stands for."""
    values = listed(parameter)
    return parameter.clip(value) if values is None else values[int(value)]
