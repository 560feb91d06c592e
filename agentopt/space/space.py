"""The space of configurations: parameters in order and the repairs between them, and points of the unit cube."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import numpy as np
from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from agentopt.errors import UsageError, unknown
from agentopt.space.definition import STRICT, Definition, value_key
from agentopt.space.optuna import distributions, listed_to_positions, positions_to_listed
from agentopt.space.parameters import Choice, Parameter
from agentopt.space.repairs import AtLeast
from agentopt.trial import Params, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Cube: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
"""A point of the unit cube, shape (d,), one coordinate per parameter in the order of the space."""


@dataclass(frozen=True, config=STRICT)
class SearchSpace(Definition):
    """An ordered set of parameters, and the constraints between them as repairs."""

    parameters: tuple[Annotated[Parameter, Field(discriminator="type")], ...]
    repairs: tuple[AtLeast, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> SearchSpace:
        if not self.parameters:
            raise ValueError("the space has no parameter")
        names = [parameter.name for parameter in self.parameters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the space has two parameters named {', '.join(map(repr, twice))}")
        for repair in self.repairs:
            if repair.name == repair.other:
                raise ValueError(f"a repair compares {repair.name!r} with itself")
            for name in (repair.name, repair.other):
                if name not in names:
                    raise ValueError(f"a repair names {name!r}, which is not a parameter")
                if isinstance(self[name], Choice):
                    raise ValueError(f"a repair names {name!r}, which is a choice: it has no order")
        return self

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def choice_mask(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which coordinates are choices: shape (d,)."""
        return np.array([isinstance(parameter, Choice) for parameter in self.parameters])

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """Returns a configuration drawn uniformly from the unit cube, repaired."""
        return self.repair(self.decode(rng.random(len(self))))

    def encode(self, params: Params) -> Cube:
        """Returns the configuration's point in the unit cube, shape (d,)."""
        return np.array([parameter.encode(params[parameter.name]) for parameter in self.parameters])

    def decode(self, u: Cube | Sequence[float]) -> dict[str, Value]:
        """Returns the configuration at a point of shape (d,); coordinates outside [0, 1] are clipped."""
        return {p.name: p.decode(float(x)) for p, x in zip(self.parameters, u, strict=True)}

    def defaults(self) -> dict[str, Value] | None:
        """Returns the default configuration, repaired; None unless every parameter has a default."""
        values = {p.name: p.default for p in self.parameters if p.default is not None}
        return self.repair(values) if len(values) == len(self) else None

    def unused_defaults(self) -> str:
        """Returns why there is no default configuration although parameters have a default; nothing for others."""
        lacking = [p.name for p in self.parameters if p.default is None]
        if len(lacking) in (0, len(self)):
            return ""
        listed = ", ".join(lacking[:4]) + (f" and {len(lacking) - 4} more" if len(lacking) > 4 else "")
        verb = "has" if len(lacking) == 1 else "have"
        return f"There is no default configuration, to be run first: {listed} {verb} no default."

    def complete(self, params: Params) -> dict[str, Value]:
        """Returns `params` in the space's order and types; raises UsageError for a wrong name or value."""
        for name in params:
            if name not in self.names:
                raise unknown("parameter", name, self.names)
        missing = [name for name in self.names if name not in params]
        if missing:
            raise UsageError(f"The configuration lacks {', '.join(missing)}.")
        try:
            return {p.name: p.clip(params[p.name]) for p in self.parameters}
        except ValueError as error:
            raise UsageError(f"The configuration cannot be used: {error}.") from error

    def check(self, params: Params) -> None:
        """Raises UsageError for a configuration that is not of this space, naming what is wrong with it."""
        for name, value in self.complete(params).items():
            if value_key(value) != value_key(params[name]):
                given, allowed = f"{name} = {params[name]!r:.60}", self[name].describe()
                raise UsageError(f"The configuration cannot be used: {given} is outside the space ({allowed}).")

    def contains(self, params: Params) -> bool:
        """Whether `params` has exactly the space's names, with values it admits (repairs are not looked at)."""
        if set(params) != set(self.names):
            return False
        try:
            return all(value_key(p.clip(params[p.name])) == value_key(params[p.name]) for p in self.parameters)
        except ValueError:
            return False

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns `params` with every constraint satisfied, by the rule that the constraint states."""
        repaired = dict(params)
        # As often as there are rules, for one may raise what another one measures by.
        for rule in self.repairs * len(self.repairs):
            repaired[rule.name] = rule.raised(self[rule.name], repaired)
        return repaired

    def json_schema(self, form: Literal["object", "array"] = "object") -> dict[str, Any]:
        """Returns the JSON schema of a configuration, for constrained decoding.

        `object` has one property per parameter; `array` has the values alone, in the space's order, which costs a
        language model fewer tokens.
        """
        return self.with_schemas(form, [parameter.schema() for parameter in self.parameters])

    def with_schemas(self, form: Literal["object", "array"], schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns `json_schema` with other schemas of the parameters, such as those of a part of the space."""
        if form == "array":
            return {
                "type": "array",
                "prefixItems": list(schemas),
                "items": False,
                "minItems": len(schemas),
                "maxItems": len(schemas),
            }
        return {
            "type": "object",
            "properties": dict(zip(self.names, schemas, strict=True)),
            "required": list(self.names),
            "additionalProperties": False,
        }

    def to_optuna(self) -> dict[str, BaseDistribution]:
        """Returns Optuna's distribution of each parameter, of values as `optuna_params` gives them.

        Listed values and powers become their positions, since Optuna has no ordered distribution over them.
        """
        return distributions(self.parameters)

    def optuna_params(self, params: Params) -> dict[str, Value]:
        """Returns a configuration as Optuna is told it: listed values and powers by their position."""
        return listed_to_positions(self.parameters, params)

    def from_optuna(self, params: Params) -> dict[str, Value]:
        """Returns the configuration that Optuna's parameters stand for, clipped to the space."""
        return self.complete(positions_to_listed(self.parameters, params))

    def key(self, params: Params) -> tuple[Value, ...]:
        """Returns a hashable identity of a configuration: equal exactly for equal configurations."""
        return tuple(params[name] for name in self.names)

    def to_json(self) -> dict[str, Any]:
        """Returns the space as journals write it."""
        return cast("dict[str, Any]", _ADAPTER.dump_python(self, mode="json"))

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> SearchSpace:
        """Returns the space that `to_json` wrote."""
        return _ADAPTER.validate_python(record)


_ADAPTER: TypeAdapter[SearchSpace] = TypeAdapter(SearchSpace)


def as_space(parameters: SearchSpace | Iterable[Parameter]) -> SearchSpace:
    """Returns a space from a list of parameters, or the space itself."""
    return parameters if isinstance(parameters, SearchSpace) else SearchSpace(tuple(parameters))


def reencoded(parameters: Sequence[Parameter], point: Cube, own: Params, params: Params) -> Cube:
    """Returns the point of what was run: `point`, with the coordinates encoded anew whose value is not its own.

    `own` is what the point decodes to; `parameters` are those of its coordinates, in order.
    """
    found = np.array(point, dtype=float)
    for i, parameter in enumerate(parameters):
        if params[parameter.name] != own[parameter.name]:
            found[i] = parameter.encode(params[parameter.name])
    return found
