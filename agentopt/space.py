"""The search space: what a configuration may be, and its picture in the unit cube."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, field, fields
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from agentopt.errors import UsageError, unknown
from agentopt.trial import Params, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Cube: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
"""A point of the unit cube, shape (d,), one coordinate per parameter in the order of the space."""

_N = TypeVar("_N", int, float)
_STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]*$", max_length=120)]


@dataclass(frozen=True, config=_STRICT)
class _Definition:
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


class _Number(_Definition):
    """What Float and Int share: the range may be left out where the values are listed."""

    @classmethod
    def _fill(cls, given: dict[str, Any]) -> dict[str, Any]:
        values = given.get("values")
        if isinstance(values, (tuple, list)) and values:
            return {"low": values[0], "high": values[-1], **given}
        if values is None and not {"low", "high"} <= given.keys():
            raise ValueError(f"{cls.__name__} {given.get('name')!r}: give low and high, or values")
        return given


@dataclass(frozen=True, config=_STRICT)
class Float(_Number):
    """A real parameter in [low, high]; with `log` its logarithm is what is searched.

    With `values`, ascending, it is one of those numbers, as in `Float("dropout", values=(0, 0.3, 0.6))`: each has an
    equal share of the unit interval, and a value that is none of them goes to the nearest one, ties down.
    """

    name: Name
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    default: float | None = None
    _: KW_ONLY
    values: Annotated[tuple[float, ...] | None, Field(min_length=2)] = None
    type: Literal["float"] = field(default="float", repr=False)

    @model_validator(mode="after")
    def _check(self) -> Float:
        _check_range(self, self.low, self.high, self.log, self.default)
        _check_values(self, self.values)
        if self.default is not None and self.clip(self.default) != self.default:
            raise ValueError(f"Float {self.name!r}: default {self.default:g} is not one of its values")
        return self

    @property
    def grid(self) -> Sequence[float] | None:
        """All admissible values, ascending, where they are listed."""
        return self.values

    def encode(self, value: Value) -> float:
        """Returns the coordinate in [0, 1] of a value; of a listed one, the middle of the cell that decodes to it."""
        x = float(value)
        if self.values is not None:
            return _middle(self.values, self.clip(x))
        if self.log:
            x, low, high = math.log(max(x, self.low)), math.log(self.low), math.log(self.high)
        else:
            low, high = self.low, self.high
        return min(1.0, max(0.0, (x - low) / (high - low)))

    def decode(self, u: float) -> float:
        """Returns the value at a coordinate; coordinates outside [0, 1] are clipped."""
        u = min(1.0, max(0.0, u))
        if self.values is not None:
            return _level(self.values, u)
        if self.log:
            x = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        else:
            x = self.low + u * (self.high - self.low)
        return min(self.high, max(self.low, x))

    def clip(self, value: Any) -> float:
        """Returns the nearest admissible value; raises ValueError when `value` is no finite number."""
        x = min(self.high, max(self.low, _number(self.name, value)))
        return x if self.values is None else _nearest(self.values, x)

    def schema(self) -> dict[str, Any]:
        """Returns the JSON schema of one value."""
        if self.values is not None:
            return {"type": "number", "enum": list(self.values)}
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    @property
    def levels(self) -> int | None:
        """The number of distinct values; None where it is not finite."""
        return None if self.values is None else len(self.values)

    def describe(self) -> str:
        """Returns the range in words, for prompts and people."""
        if self.values is not None:
            return f"one of {', '.join(map(repr, self.values))}"
        return f"real, {self.low:g} to {self.high:g}{', log scale' if self.log else ''}"


@dataclass(frozen=True, config=_STRICT)
class Int(_Number):
    """An integer parameter in [low, high]: every `step`-th integer, or with `powers_of=b` the powers of b in the range.

    With `values`, ascending, it is one of those, as in `Int("batch_size", values=(4, 6, 10, 16))`. A value that is not
    on the grid goes to the nearest one that is, ties down.
    """

    name: Name
    low: int = 0
    high: int = 0
    log: bool = False
    default: int | None = None
    _: KW_ONLY
    step: Annotated[int, Field(ge=1)] = 1
    powers_of: Annotated[int | None, Field(ge=2)] = None
    values: Annotated[tuple[int, ...] | None, Field(min_length=2)] = None
    type: Literal["int"] = field(default="int", repr=False)

    @model_validator(mode="after")
    def _check(self) -> Int:
        _check_range(self, self.low, self.high, self.log or self.powers_of is not None, self.default)
        _check_values(self, self.values)
        if self.values is not None and (self.powers_of is not None or self.step != 1):
            raise ValueError(f"Int {self.name!r}: values cannot be given with step or powers_of")
        if self.powers_of is not None and self.step != 1:
            raise ValueError(f"Int {self.name!r}: step and powers_of cannot both be given")
        if self.log and self.step != 1:
            raise ValueError(f"Int {self.name!r}: step and log cannot both be given")
        if len(self.grid) < 2:
            raise ValueError(f"Int {self.name!r}: fewer than two values between low and high")
        if self.default is not None and self.clip(self.default) != self.default:
            raise ValueError(f"Int {self.name!r}: default {self.default} is not one of its values")
        return self

    @cached_property
    def grid(self) -> Sequence[int]:
        """All admissible values, ascending."""
        if self.values is not None:
            return self.values
        if self.powers_of is None:
            return range(self.low, self.high + 1, self.step)
        powers, power = [], 1
        while power <= self.high:
            if power >= self.low:
                powers.append(power)
            power *= self.powers_of
        return tuple(powers)

    @property
    def levels(self) -> int:
        """The number of distinct values."""
        return len(self.grid)

    @property
    def _sparse(self) -> bool:
        """Whether the range has integers that are not admissible: the levels then share the unit interval equally."""
        return self.values is not None or self.powers_of is not None or self.step != 1

    def encode(self, value: Value) -> float:
        """Returns the coordinate of a value: the middle of the cell that decodes to it."""
        number = int(value)
        if self._sparse:
            return _middle(self.grid, self.clip(number))
        low, high = self.low - 0.5, self.high + 0.5
        if self.log:
            u = (math.log(max(number, self.low)) - math.log(low)) / (math.log(high) - math.log(low))
        else:
            u = (number - low) / (high - low)
        return min(1.0, max(0.0, u))

    def decode(self, u: float) -> int:
        """Returns the value whose cell holds a coordinate; coordinates outside [0, 1] are clipped."""
        u = min(1.0, max(0.0, u))
        if self._sparse:
            return _level(self.grid, u)
        low, high = self.low - 0.5, self.high + 0.5
        x = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.log else low + u * (high - low)
        return min(self.high, max(self.low, math.floor(x + 0.5)))

    def clip(self, value: Any) -> int:
        """Returns the nearest admissible value; raises ValueError when `value` is no finite number."""
        x = min(float(self.high), max(float(self.low), _number(self.name, value)))
        if self.values is not None or self.powers_of is not None:
            return _nearest(self.grid, x)
        index = math.ceil((x - self.low) / self.step - 0.5)
        return self.grid[min(len(self.grid) - 1, max(0, index))]

    def schema(self) -> dict[str, Any]:
        """Returns the JSON schema of one value."""
        if self._sparse:
            return {"type": "integer", "enum": list(self.grid)}
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def describe(self) -> str:
        """Returns the range in words, for prompts and people."""
        if self.values is not None or self.powers_of is not None:
            return f"one of {', '.join(map(str, self.grid))}"
        step = f", in steps of {self.step}" if self.step != 1 else ""
        return f"integer, {self.low} to {self.high}{step}{', log scale' if self.log else ''}"


@dataclass(frozen=True, config=_STRICT)
class Choice(_Definition):
    """A categorical parameter: one of `choices`, which have no order."""

    name: Name
    choices: tuple[bool | int | float | str, ...]
    default: bool | int | float | str | None = None
    _: KW_ONLY
    type: Literal["choice"] = field(default="choice", repr=False)

    @model_validator(mode="after")
    def _check(self) -> Choice:
        if len(self.choices) < 2:
            raise ValueError(f"Choice {self.name!r}: choices needs two values or more, not {len(self.choices)}")
        if len({_key(choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"Choice {self.name!r}: choices has a value twice")
        if self.default is not None and _key(self.default) not in {_key(choice) for choice in self.choices}:
            raise ValueError(f"Choice {self.name!r}: default {self.default!r} is not one of its choices")
        return self

    @property
    def levels(self) -> int:
        """The number of choices."""
        return len(self.choices)

    def index(self, value: Any) -> int:
        """Returns the position of a value; raises ValueError for one that is not a choice."""
        keys = [_key(choice) for choice in self.choices]
        if _key(value) not in keys:
            raise ValueError(f"{self.name}: {value!r} is not one of {', '.join(map(str, self.choices))}")
        return keys.index(_key(value))

    def encode(self, value: Value) -> float:
        """Returns the coordinate of a choice: the middle of its cell."""
        return (self.index(value) + 0.5) / len(self.choices)

    def decode(self, u: float) -> Value:
        """Returns the choice whose cell holds a coordinate."""
        return self.choices[min(len(self.choices) - 1, int(min(1.0, max(0.0, u)) * len(self.choices)))]

    def clip(self, value: Any) -> Value:
        """Returns the choice equal to `value`; raises ValueError when there is none."""
        return self.choices[self.index(value)]

    def schema(self) -> dict[str, Any]:
        """Returns the JSON schema of one value."""
        return {"enum": list(self.choices)}

    def describe(self) -> str:
        """Returns the choices in words, for prompts and people."""
        return f"one of {', '.join(str(choice) for choice in self.choices)}"


Parameter: TypeAlias = Float | Int | Choice


@dataclass(frozen=True, config=_STRICT)
class AtLeast(_Definition):
    """A repair: `name` is raised to `times` x `other` where it is lower."""

    name: Name
    other: Name
    times: Annotated[float, Field(gt=0)] = 1.0

    def describe(self) -> str:
        """Returns the constraint in words, for prompts and people."""
        factor = "" if self.times == 1 else f"{self.times:g} * "
        return f"{self.name} >= {factor}{self.other} (a lower {self.name} is raised to it)"


@dataclass(frozen=True, config=_STRICT)
class SearchSpace(_Definition):
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
            if _key(value) != _key(params[name]):
                given, allowed = f"{name} = {params[name]!r:.60}", self[name].describe()
                raise UsageError(f"The configuration cannot be used: {given} is outside the space ({allowed}).")

    def contains(self, params: Params) -> bool:
        """Whether `params` has exactly the space's names, with values it admits (repairs are not looked at)."""
        if set(params) != set(self.names):
            return False
        try:
            return all(_key(p.clip(params[p.name])) == _key(params[p.name]) for p in self.parameters)
        except ValueError:
            return False

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns `params` with every constraint satisfied, by the rule that the constraint states."""
        repaired = dict(params)
        # As often as there are rules, for one may raise what another one measures by.
        for rule in self.repairs * len(self.repairs):
            parameter, least = self[rule.name], rule.times * float(repaired[rule.other])
            if float(repaired[rule.name]) < least:
                value = parameter.clip(least)
                if not isinstance(parameter, Choice) and parameter.grid is not None and float(value) < least:
                    value = next((v for v in parameter.grid if v >= least), parameter.grid[-1])
                repaired[rule.name] = value
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
        from optuna import distributions as od

        out: dict[str, BaseDistribution] = {}
        for p in self.parameters:
            if (listed := _listed(p)) is not None:
                out[p.name] = od.IntDistribution(0, len(listed) - 1)
            elif isinstance(p, Float):
                out[p.name] = od.FloatDistribution(p.low, p.high, log=p.log)
            elif isinstance(p, Int):
                out[p.name] = od.IntDistribution(p.grid[0], p.grid[-1], log=p.log, step=1 if p.log else p.step)
            else:
                out[p.name] = od.CategoricalDistribution(p.choices)
        return out

    def optuna_params(self, params: Params) -> dict[str, Value]:
        """Returns a configuration as Optuna is told it: listed values and powers by their position."""
        out = {name: params[name] for name in self.names}
        for p in self.parameters:
            if (listed := _listed(p)) is not None:
                out[p.name] = listed.index(p.clip(params[p.name]))
        return out

    def from_optuna(self, params: Params) -> dict[str, Value]:
        """Returns the configuration that Optuna's parameters stand for, clipped to the space."""
        found = dict(params)
        for p in self.parameters:
            if (listed := _listed(p)) is not None:
                found[p.name] = listed[int(params[p.name])]
        return self.complete(found)

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


def _key(value: Any) -> tuple[str, Any]:
    """Tells True from 1 while taking 1 and 1.0 for the same."""
    return ("bool", value) if isinstance(value, bool) else ("value", value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name}: {value!r:.80} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: {str(value)[:40]} is not a finite number")
    return number


def _listed(parameter: Parameter) -> Sequence[Value] | None:
    """Returns the values of a parameter whose values are ordered, but not evenly spaced."""
    if isinstance(parameter, Choice):
        return None
    powers = isinstance(parameter, Int) and parameter.powers_of is not None
    return parameter.grid if powers else parameter.values


def _middle(grid: Sequence[float], value: float) -> float:
    """Returns the coordinate of a level where all have an equal share of the unit interval."""
    return (grid.index(value) + 0.5) / len(grid)


def _level(grid: Sequence[_N], u: float) -> _N:
    """Returns the level at a coordinate in [0, 1]."""
    return grid[min(len(grid) - 1, int(u * len(grid)))]


def _nearest(grid: Sequence[_N], x: float) -> _N:
    """Returns the level that is nearest to a number, ties down."""
    return min(grid, key=lambda level: (abs(level - x), level))


def _check_values(parameter: Float | Int, values: Sequence[float] | None) -> None:
    if values is None:
        return
    where = f"{type(parameter).__name__} {parameter.name!r}"
    if any(a >= b for a, b in pairwise(values)):
        raise ValueError(f"{where}: values must ascend")
    if (parameter.low, parameter.high) != (values[0], values[-1]):
        raise ValueError(f"{where}: low and high must be the first and the last of values, or be left out")
    if parameter.log:
        raise ValueError(f"{where}: values and log cannot both be given")


def _check_range(parameter: Float | Int, low: float, high: float, log: bool, default: float | None) -> None:  # noqa: FBT001
    kind, name = type(parameter).__name__, parameter.name
    if low >= high:
        raise ValueError(f"{kind} {name!r}: low ({low:g}) must be below high ({high:g})")
    if not math.isfinite(high - low):
        raise ValueError(f"{kind} {name!r}: the range from low ({low:g}) to high ({high:g}) is too wide")
    if log and low <= 0:
        raise ValueError(f"{kind} {name!r}: a log scale needs low above 0, not {low:g}")
    if default is not None and not low <= default <= high:
        raise ValueError(f"{kind} {name!r}: default {default:g} is outside [{low:g}, {high:g}]")
