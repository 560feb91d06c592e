"""Uniform random search: the floor of every comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from agentopt.optimizers import MethodOptions
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial


class RandomSearch:
    """Draws every configuration uniformly from the unit cube."""

    summary: ClassVar[str] = "Uniform random search in the unit cube (log parameters on their log scale)."

    class Options(MethodOptions):
        """Random search has no options."""

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` independent draws."""
        first = self._asked
        self._asked += n
        return [Suggestion(self._space.sample(self._rng), Origin.RANDOM, token=first + i) for i in range(n)]

    def tell(self, trial: Trial) -> None:
        """Learns nothing."""

    def explain(self) -> Mapping[str, Json]:
        """Returns how many configurations were drawn."""
        return {"asked": self._asked}
