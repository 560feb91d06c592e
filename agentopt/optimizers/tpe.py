"""Optuna's TPE sampler as an optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field, model_validator

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.failed import FailedOption
from agentopt.optimizers.optuna_search import OptunaSearch
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

if TYPE_CHECKING:
    from optuna.samplers import TPESampler


class Tpe:
    """Asks Optuna's tree-structured Parzen estimator, and tells it what was run."""

    summary: ClassVar[str] = "Tree-structured Parzen estimator of Optuna 5 (multivariate, with a constant liar)."

    class Options(MethodOptions):
        """Optuna's options under its names, with its defaults, and the rule for failures."""

        multivariate: bool | None = Field(
            None,
            description="one joint density; false: one per parameter, Optuna's before 5; unset: joint with one"
            " objective, one per parameter with several, as Optuna does",
        )
        group: bool = Field(False, description="split the joint density by groups of parameters (needs multivariate)")
        constant_liar: bool = Field(True, description="pending trials count as bad ones, so workers spread out")
        n_startup_trials: int = Field(10, ge=0, description="complete trials before the densities are used")
        n_ei_candidates: int = Field(24, ge=1, description="candidates per suggestion")
        failed: FailedOption = "worst"

        @model_validator(mode="after")
        def _check(self) -> Tpe.Options:
            if self.group and self.multivariate is False:
                raise ValueError("group needs multivariate")
            return self

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        seed = int(rng.integers(2**32))

        def sampler() -> TPESampler:
            from optuna.samplers import TPESampler

            return TPESampler(
                seed=seed,
                multivariate=True if options.group else options.multivariate,
                group=options.group,
                constant_liar=options.constant_liar,
                n_startup_trials=options.n_startup_trials,
                n_ei_candidates=options.n_ei_candidates,
            )

        self._startup = options.n_startup_trials
        self._search = OptunaSearch(problem, sampler, options.failed)

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space; pending ones are reckoned with."""
        origin = Origin.RANDOM if self._search.told < self._startup else Origin.TPE
        return [self._search.ask(origin) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run.

        A failure that is to count as the worst value waits until there is one.
        """
        self._search.tell(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns how far TPE is, and the best trials that its good density is built from."""
        told = self._search.told
        state = {**self._search.explain(), "startup_trials": self._startup}
        state["phase"] = "startup: uniform" if told < self._startup else "densities"
        good = self._search.best(min(-(-told // 10), 5))  # of the tenth of the trials that TPE takes for good
        return {**state, "good": good} if good else state
