"""The constraints between parameters, each stated as the repair of a configuration that breaks it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentopt.space.definition import STRICT, Definition, Name
from agentopt.space.parameters import Choice, Parameter
from agentopt.trial import Params, Value


@dataclass(frozen=True, config=STRICT)
class AtLeast(Definition):
    """A repair: `name` is raised to `times` x `other` where it is lower."""

    name: Name
    other: Name
    times: Annotated[float, Field(gt=0)] = 1.0

    def raised(self, parameter: Parameter, params: Params) -> Value:
        """Returns the value that `name`, whose definition is `parameter`, is to have in `params`; often its own."""
        value, least = params[self.name], self.times * float(params[self.other])
        if float(value) < least:
            value = parameter.clip(least)
            if not isinstance(parameter, Choice) and parameter.grid is not None and float(value) < least:
                value = next((v for v in parameter.grid if v >= least), parameter.grid[-1])
        return value

    def describe(self) -> str:
        """Returns the constraint in words, for prompts and people."""
        factor = "" if self.times == 1 else f"{self.times:g} * "
        return f"{self.name} >= {factor}{self.other} (a lower {self.name} is raised to it)"
