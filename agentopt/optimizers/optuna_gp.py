"""Optuna's Gaussian-process sampler as an optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.extras import require
from agentopt.optimizers.failed import FailedOption
from agentopt.optimizers.optuna_search import OptunaSearch
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

if TYPE_CHECKING:
    from optuna.samplers import GPSampler


class OptunaGp:
    """Asks Optuna's Gaussian-process sampler, and tells it what was run."""

    summary: ClassVar[str] = (
        "Gaussian process of Optuna 5 (Matern 5/2, log expected improvement); slow beyond some hundred trials."
    )

    class Options(MethodOptions):
        """Optuna's options under its names, with its defaults, and the rule for failures."""

        n_startup_trials: int = Field(10, ge=1, description="complete trials before the process is fitted")
        deterministic_objective: bool = Field(False, description="the task has no noise: none is fitted")
        failed: FailedOption = "worst"

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        require("optuna-gp")
        seed = int(rng.integers(2**32))

        def sampler() -> GPSampler:
            from optuna.samplers import GPSampler

            return GPSampler(
                seed=seed,
                n_startup_trials=options.n_startup_trials,
                deterministic_objective=options.deterministic_objective,
                warn_independent_sampling=False,
            )

        self._startup = options.n_startup_trials
        self._search = OptunaSearch(problem, sampler, options.failed)

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space; pending ones are reckoned with."""
        origin = Origin.RANDOM if self._search.told < self._startup else Origin.GP
        return [self._search.ask(origin) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run; a failure that is to count as the worst value waits until there is one."""
        self._search.tell(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns how far the search is, and the best trial that it was told."""
        phase = "startup: uniform" if self._search.told < self._startup else "process"
        return {**self._search.explain(), "startup_trials": self._startup, "phase": phase, "best": self._search.best(1)}
