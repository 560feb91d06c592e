"""Knows what a training may cost: in tokens, in virtual seconds of a frozen cost model, or in wall seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from agentopt.errors import UsageError

UNCOUNTED_STEPS = 10
"""Steps at the start that a budget in wall seconds does not count: compilation and warm-up."""
UNCOUNTED_SECONDS = 120.0
"""How long these steps may take without being counted."""
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKM]?)\s*(tokens|virtual|s|m|h)")
_TIMES = {"": 1, "k": 1_000, "K": 1_000, "M": 1_000_000}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class BudgetKind(StrEnum):
    """What is counted."""

    TOKENS = "tokens"
    """Training tokens that were served: the same for every machine, blind to the size of the model."""
    VIRTUAL = "virtual"
    """Seconds of the cost model: the same for every machine, and small models get more steps."""
    WALL = "wall"
    """Seconds of the clock: what karpathy/autoresearch counts; not repeatable."""


@dataclass(frozen=True)
class Budget:
    """What one training may use."""

    kind: BudgetKind
    amount: float
    """Tokens or seconds."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the budget of `250k tokens`, `8 virtual`, `300s` or `5m`; raises UsageError for anything else."""
        found = _FORM.fullmatch(text.strip())
        amount = float(found[1]) * _TIMES[found[2]] if found else 0.0
        if found is None or not 0 < amount < 1e15 or (found[2] and found[3] in _SECONDS):
            raise UsageError(
                f"The training budget {text!r} is not understood: write `250k tokens`, `8 virtual` (seconds of the cost"
                " model), or wall time as `300s` or `5m`."
            )
        if found[3] in _SECONDS:
            return cls(BudgetKind.WALL, amount * _SECONDS[found[3]])
        return cls(BudgetKind(found[3]), amount)

    def __str__(self) -> str:
        return f"{self.amount:.15g}s" if self.kind is BudgetKind.WALL else f"{self.amount:.15g} {self.kind}"


@dataclass(frozen=True)
class CostModel:
    """Processor seconds of a training as a linear function of what can be counted from outside of it."""

    per_gflop: float
    """Seconds per 10^9 floating point operations, taken as 6 x parameters x tokens."""
    per_mtoken: float
    """Seconds per 10^6 tokens."""
    per_step: float
    """Seconds per batch that is served."""

    def seconds(self, tokens: int, steps: int, parameters: int) -> float:
        """Returns the virtual seconds of that many tokens in that many steps by a model of that size."""
        gflop = 6e-9 * parameters * tokens
        return self.per_gflop * gflop + self.per_mtoken * 1e-6 * tokens + self.per_step * steps


class Meter:
    """Counts one training against its budget."""

    def __init__(self, budget: Budget, cost: CostModel, clock: Callable[[], float] = time.perf_counter) -> None:
        self._budget, self._cost, self._clock = budget, cost, clock
        self._begun: float | None = None
        self._first: float | None = None
        self.tokens = self.steps = self.parameters = 0
        """What was served so far; `parameters` is the largest model that was declared."""
        self.virtual_seconds = 0.0
        self.spent = False

    @property
    def wall_seconds(self) -> float:
        """Seconds of the clock since the steps that are not counted."""
        if self._first is None:
            return 0.0
        now = self._clock()
        uncounted = self._first + UNCOUNTED_SECONDS
        begun = uncounted if self._begun is None else min(self._begun, uncounted)
        return max(0.0, now - begun)

    @property
    def progress(self) -> float:
        """The share of the budget that is used, from 0 to 1."""
        used = {
            BudgetKind.TOKENS: float(self.tokens),
            BudgetKind.VIRTUAL: self.virtual_seconds,
            BudgetKind.WALL: self.wall_seconds,
        }[self._budget.kind]
        return min(1.0, used / self._budget.amount)

    def take(self, tokens: int, parameters: int) -> bool:
        """Counts a step of that many tokens for a model of that size; False where the budget has no room for it.

        Once it has none, it never has again.
        """
        if self._first is None:
            self._first = self._clock()
        if self.steps == UNCOUNTED_STEPS:
            self._begun = self._clock()
        cost = self._cost.seconds(tokens, 1, parameters)
        room = {
            BudgetKind.TOKENS: self.tokens + tokens <= self._budget.amount,
            BudgetKind.VIRTUAL: self.virtual_seconds + cost <= self._budget.amount,
            BudgetKind.WALL: self.wall_seconds < self._budget.amount,
        }[self._budget.kind]
        self.spent = self.spent or not room
        if not self.spent:
            self.tokens += tokens
            self.steps += 1
            self.virtual_seconds += cost
            self.parameters = max(self.parameters, parameters)
        return not self.spent
