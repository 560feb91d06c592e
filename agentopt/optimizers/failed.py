"""What an optimizer of another library is told of a failed trial: the rule, and the trials that wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from agentopt.trial import Trial

Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]

FailedOption: TypeAlias = Annotated[
    Literal["worst", "ignore"] | Number,
    Field(description="what a failed trial is told as: the worst value so far, nothing, or a number such as 100"),
]


class FailedRule:
    """Gives finished trials their values: a failure that is to count as the worst value waits until there is one."""

    def __init__(self, rule: Literal["worst", "ignore"] | float, objectives: int) -> None:
        self._rule, self._objectives = rule, objectives
        self._worst: list[float] | None = None
        self._waiting: list[Trial] = []

    def take(self, trial: Trial) -> list[tuple[Trial, Sequence[float]]]:
        """Returns the trials that are to be told now with their values, this one first; none while it waits."""
        ready: list[tuple[Trial, Sequence[float]]] = []
        if trial.complete:
            self._worst = [max(pair) for pair in zip(trial.values, self._worst or trial.values, strict=True)]
            ready.append((trial, trial.values))
        elif not isinstance(self._rule, str):
            ready.append((trial, [self._rule] * self._objectives))
        elif self._rule == "worst":
            self._waiting.append(trial)
        if self._worst is not None:
            ready += [(waiting, self._worst) for waiting in self._waiting]
            self._waiting.clear()
        return ready
