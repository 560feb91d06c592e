"""Optuna's CMA-ES sampler as an optimizer: the baseline of arXiv 2603.24647."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field, model_validator

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.extras import require
from agentopt.optimizers.failed import FailedOption
from agentopt.optimizers.optuna_search import OptunaSearch
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

if TYPE_CHECKING:
    from optuna.samplers import CmaEsSampler


class OptunaCmaEs:
    """Asks Optuna's CMA-ES sampler, and tells it what was run.

    Its first mean is the centre of the box and its first step size 1/6 of the range; categorical parameters are drawn
    uniformly and are no part of what it learns.
    """

    summary: ClassVar[str] = (
        "CMA-ES of Optuna 5 (cmaes), from the box centre, choices uniform: the baseline of arXiv 2603.24647."
    )
    single_objective: ClassVar[bool] = True

    class Options(MethodOptions):
        """Optuna's options under its names, with its defaults, and the rule for failures."""

        n_startup_trials: int = Field(1, ge=1, description="complete trials, uniformly drawn, before CMA-ES begins")
        popsize: int | None = Field(
            None, ge=2, description="candidates per generation; unset: 4 + floor(3 ln d), d numeric parameters"
        )
        with_margin: bool = Field(False, description="integers keep a least probability of moving")
        use_separable_cma: bool = Field(False, description="the covariance is diagonal (not together with with_margin)")
        failed: FailedOption = "worst"

        @model_validator(mode="after")
        def _check(self) -> OptunaCmaEs.Options:
            if self.with_margin and self.use_separable_cma:
                raise ValueError("with_margin and use_separable_cma cannot both be set")
            return self

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        require("optuna-cmaes")
        seed = int(rng.integers(2**32))

        def sampler() -> CmaEsSampler:
            from optuna.samplers import CmaEsSampler

            return CmaEsSampler(
                seed=seed,
                n_startup_trials=options.n_startup_trials,
                popsize=options.popsize,
                with_margin=options.with_margin,
                use_separable_cma=options.use_separable_cma,
                warn_independent_sampling=False,
            )

        numeric = not problem.space.choice_mask.all()
        self._startup = options.n_startup_trials if numeric else None
        self._search = OptunaSearch(problem, sampler, options.failed)

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space."""
        startup = self._startup is None or self._search.told < self._startup
        return [self._search.ask(Origin.RANDOM if startup else Origin.CMAES) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run; a failure that is to count as the worst value waits until there is one."""
        self._search.tell(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns how far the search is, and the best trial that it was told."""
        return {**self._search.explain(), "best": self._search.best(1)}
