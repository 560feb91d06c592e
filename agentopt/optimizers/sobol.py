"""Scrambled Sobol points: a space-filling design, and the stronger floor of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.stats import qmc

from agentopt.errors import UsageError
from agentopt.optimizers import MethodOptions
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial


class Sobol:
    """Walks one scrambled Sobol sequence through the unit cube."""

    summary: ClassVar[str] = "Scrambled Sobol sequence (Joe-Kuo directions): fills the space, learns nothing."

    class Options(MethodOptions):
        """Sobol search has no options."""

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        self._space = problem.space
        if len(self._space) > qmc.Sobol.MAXDIM:
            raise UsageError(f"sobol takes up to {qmc.Sobol.MAXDIM} parameters, and the space has {len(self._space)}.")
        self._sequence = qmc.Sobol(len(self._space), scramble=True, seed=rng)
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns the next `n` points of the sequence."""
        return [self._next() for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Learns nothing."""

    def explain(self) -> Mapping[str, Json]:
        """Returns how far the walk is, and the next count at which the design is balanced."""
        return {"asked": self._asked, "balanced_at": 1 << max(0, self._asked - 1).bit_length()}

    def _next(self) -> Suggestion:
        # One point per draw: a sequence does not depend on how it is cut into batches, and scipy does not ask for a
        # power of two of them.
        point = self._sequence.random(1)[0]
        suggestion = Suggestion(self._space.repair(self._space.decode(point)), Origin.SOBOL, token=self._asked)
        self._asked += 1
        return suggestion
