"""Which numbers of a code may be tuned: the parameters of its task's space that still stand in it as literals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentopt.code.literals import read_literals
from agentopt.code.source import SourceError
from agentopt.space import Choice, Float, Parameter, SearchSpace
from agentopt.trial import Params, Value


def tunable(space: SearchSpace, text: str) -> SearchSpace | None:
    """Returns the part of the space whose parameters the text has as literals within their range.

    Its defaults are the text's own values. None where no parameter is left, or the text is no Python.
    """
    try:
        found = read_literals(text).values
    except SourceError:
        return None
    kept: list[Parameter] = []
    standing: Any
    for parameter in space.parameters:
        standing = found.get(parameter.name)
        if standing is not None and not isinstance(standing, tuple) and _admits(parameter, standing):
            kept.append(replace(parameter, default=standing))
    names = {parameter.name for parameter in kept}
    repairs = tuple(r for r in space.repairs if {r.name, r.other} <= names)
    return SearchSpace(parameters=tuple(kept), repairs=repairs) if kept else None


def changed_numbers(text: str, params: Params) -> dict[str, Value]:
    """Returns those of `params` that the text has at another value."""
    before = read_literals(text).values
    return {name: value for name, value in params.items() if value != before[name]}


def _admits(parameter: Parameter, value: Value) -> bool:
    """Whether the literal is of the parameter's type and one of its values."""
    kind = type(value) is (float if isinstance(parameter, Float) else int)
    if not (kind or isinstance(parameter, Choice)):
        return False
    try:
        return parameter.clip(value) == value
    except ValueError:
        return False
