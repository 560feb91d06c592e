"""Optuna's NSGA-II sampler as an optimizer, for several objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.failed import FailedOption
from agentopt.optimizers.optuna_search import OptunaSearch
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

if TYPE_CHECKING:
    from optuna.samplers import NSGAIISampler


class Nsga2:
    """Asks Optuna's NSGA-II sampler, and tells it what was run; trials of others are no part of its population."""

    summary: ClassVar[str] = (
        "NSGA-II of Optuna 5 (Deb et al., 2002): genetic search of the front of one objective or several."
    )

    class Options(MethodOptions):
        """Optuna's options under its names, and the rule for failures; the population is smaller than Optuna's 50."""

        population_size: int = Field(
            20, ge=2, description="trials per generation; 50, Optuna's default, makes four generations of 200 trials"
        )
        crossover_prob: float = Field(0.9, ge=0, le=1, description="probability that a child has two parents")
        swapping_prob: float = Field(0.5, ge=0, le=1, description="probability that it takes a value from the second")
        mutation_prob: float | None = Field(
            None, ge=0, le=1, description="probability that a value is drawn anew; unset: 1 / the number of parameters"
        )
        failed: FailedOption = "worst"

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        seed = int(rng.integers(2**32))

        def sampler() -> NSGAIISampler:
            from optuna.samplers import NSGAIISampler

            return NSGAIISampler(
                seed=seed,
                population_size=options.population_size,
                crossover_prob=options.crossover_prob,
                swapping_prob=options.swapping_prob,
                mutation_prob=options.mutation_prob,
            )

        self._population_size = options.population_size
        self._search = OptunaSearch(problem, sampler, options.failed)

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space."""
        return [self._search.ask(Origin.NSGA2) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run; a failure that is to count as the worst value waits until there is one."""
        self._search.tell(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns how far the search is, and with one objective the best trial that it was told."""
        return {**self._search.explain(), "population_size": self._population_size, "best": self._search.best(1)}
