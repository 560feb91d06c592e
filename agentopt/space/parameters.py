"""The kinds of parameters: real, integer and categorical, each with its values and their coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, field
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from agentopt.space.definition import STRICT, Definition, Name, value_key
from agentopt.space.ranges import Ranged, as_number, check_range, check_values, level, middle, nearest
from agentopt.trial import Value


@dataclass(frozen=True, config=STRICT)
class Float(Ranged):
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
        where = f"Float {self.name!r}"
        check_range(where, self.low, self.high, self.default, log=self.log)
        check_values(where, self.values, self.low, self.high, log=self.log)
        if self.default is not None and self.clip(self.default) != self.default:
            raise ValueError(f"{where}: default {self.default:g} is not one of its values")
        return self

    @property
    def grid(self) -> Sequence[float] | None:
        """All admissible values, ascending, where they are listed."""
        return self.values

    def encode(self, value: Value) -> float:
        """Returns the coordinate in [0, 1] of a value; of a listed one, the middle of the cell that decodes to it."""
        x = float(value)
        if self.values is not None:
            return middle(self.values, self.clip(x))
        if self.log:
            x, low, high = math.log(max(x, self.low)), math.log(self.low), math.log(self.high)
        else:
            low, high = self.low, self.high
        return min(1.0, max(0.0, (x - low) / (high - low)))

    def decode(self, u: float) -> float:
        """Returns the value at a coordinate; coordinates outside [0, 1] are clipped."""
        u = min(1.0, max(0.0, u))
        if self.values is not None:
            return level(self.values, u)
        if self.log:
            x = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        else:
            x = self.low + u * (self.high - self.low)
        return min(self.high, max(self.low, x))

    def clip(self, value: Any) -> float:
        """Returns the nearest admissible value; raises ValueError when `value` is no finite number."""
        x = min(self.high, max(self.low, as_number(self.name, value)))
        return x if self.values is None else nearest(self.values, x)

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


@dataclass(frozen=True, config=STRICT)
class Int(Ranged):
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
        where = f"Int {self.name!r}"
        check_range(where, self.low, self.high, self.default, log=self.log or self.powers_of is not None)
        check_values(where, self.values, self.low, self.high, log=self.log)
        if self.values is not None and (self.powers_of is not None or self.step != 1):
            raise ValueError(f"{where}: values cannot be given with step or powers_of")
        if self.powers_of is not None and self.step != 1:
            raise ValueError(f"{where}: step and powers_of cannot both be given")
        if self.log and self.step != 1:
            raise ValueError(f"{where}: step and log cannot both be given")
        if len(self.grid) < 2:
            raise ValueError(f"{where}: fewer than two values between low and high")
        if self.default is not None and self.clip(self.default) != self.default:
            raise ValueError(f"{where}: default {self.default} is not one of its values")
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
            return middle(self.grid, self.clip(number))
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
            return level(self.grid, u)
        low, high = self.low - 0.5, self.high + 0.5
        x = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.log else low + u * (high - low)
        return min(self.high, max(self.low, math.floor(x + 0.5)))

    def clip(self, value: Any) -> int:
        """Returns the nearest admissible value; raises ValueError when `value` is no finite number."""
        x = min(float(self.high), max(float(self.low), as_number(self.name, value)))
        if self.values is not None or self.powers_of is not None:
            return nearest(self.grid, x)
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


@dataclass(frozen=True, config=STRICT)
class Choice(Definition):
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
        if len({value_key(choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"Choice {self.name!r}: choices has a value twice")
        if self.default is not None and value_key(self.default) not in {value_key(choice) for choice in self.choices}:
            raise ValueError(f"Choice {self.name!r}: default {self.default!r} is not one of its choices")
        return self

    @property
    def levels(self) -> int:
        """The number of choices."""
        return len(self.choices)

    def index(self, value: Any) -> int:
        """Returns the position of a value; raises ValueError for one that is not a choice."""
        keys = [value_key(choice) for choice in self.choices]
        if value_key(value) not in keys:
            raise ValueError(f"{self.name}: {value!r} is not one of {', '.join(map(str, self.choices))}")
        return keys.index(value_key(value))

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
