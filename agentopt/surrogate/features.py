"""What a surrogate looks at: the parameters as numbers, and quantities derived from them by stated formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from agentopt.errors import UsageError
from agentopt.space import Choice, Parameter, SearchSpace
from agentopt.surrogate.expression import Column, Expression, compile_expression
from agentopt.trial import Params

Matrix: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""Shape (configurations, features)."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Features:
    """The columns of a configuration: log-scale numbers as logarithms, choices one-hot, then the derived ones.

    `derived` maps a name to an expression over the parameters and the names before it; a name with a leading
    underscore is a step on the way and no column.
    """

    space: SearchSpace
    derived: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in self.derived:
            if name in self.space.names:
                raise UsageError(f"The derived feature {name!r} has the name of a parameter.")
        self._expressions  # noqa: B018 - compiled here so that a wrong formula is refused at once

    @cached_property
    def _expressions(self) -> dict[str, Expression]:
        known = list(self.space.names)
        compiled = {}
        for name, text in self.derived.items():
            compiled[name] = compile_expression(text, known)
            known.append(name)
        return compiled

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        names: list[str] = []
        for p in self.space.parameters:
            names.extend([f"{p.name}={choice}" for choice in p.choices] if isinstance(p, Choice) else [p.name])
        return (*names, *(name for name in self.derived if not name.startswith("_")))

    def columns(self, configurations: Sequence[Params]) -> dict[str, Column]:
        """Returns each parameter and each derived quantity by name, shape (configurations,)."""
        columns: dict[str, Column] = {}
        for p in self.space.parameters:
            kind: Any = object if isinstance(p, Choice) else np.float64
            columns[p.name] = np.array([c[p.name] for c in configurations], dtype=kind)
        with np.errstate(all="ignore"):
            for name, expression in self._expressions.items():
                columns[name] = np.broadcast_to(np.asarray(expression(columns), np.float64), (len(configurations),))
        return columns

    def matrix(self, columns: Mapping[str, Column]) -> Matrix:
        """Returns the features of configurations whose `columns` are given; what is not finite becomes 0."""
        stacked: list[Column] = []
        for p in self.space.parameters:
            stacked.extend(_numbers(p, columns[p.name]))
        stacked.extend(columns[name] for name in self.derived if not name.startswith("_"))
        matrix = np.column_stack(stacked).astype(np.float64)
        matrix[~np.isfinite(matrix)] = 0.0
        return matrix


def _numbers(parameter: Parameter, column: Column) -> list[Column]:
    if isinstance(parameter, Choice):
        return [np.asarray(column == choice, dtype=np.float64) for choice in parameter.choices]
    if parameter.values is not None:
        return [np.searchsorted(parameter.values, column).astype(np.float64)]
    logged = parameter.log or getattr(parameter, "powers_of", None) is not None
    return [np.log(column) if logged else column]
