"""What all definitions of a space share: names, errors that name the field, and when two values are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]*$", max_length=120)]


@dataclass(frozen=True, config=STRICT)
class Definition:
    """What all definitions share: an error about an argument names its field, however it was passed."""

    @model_validator(mode="before")
    @classmethod
    def _name_arguments(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return cls._fill(dict(given))
        if not isinstance(given, ArgsKwargs):
            return given
        names = [item.name for item in fields(cls) if not item.kw_only]
        named, others = dict(zip(names, given.args, strict=False)), given.kwargs or {}
        if named.keys() & others.keys():
            return given
        return ArgsKwargs(given.args[len(names) :], cls._fill({**named, **others}))

    @classmethod
    def _fill(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments with those added that follow from the others."""
        return given


def value_key(value: Any) -> tuple[str, Any]:
    """Tells True from 1 while taking 1 and 1.0 for the same."""
    return ("bool", value) if isinstance(value, bool) else ("value", value)
