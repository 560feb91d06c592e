"""Optuna's TPE sampler as an optimizer: what it is told about failures and repaired configurations is stated here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from agentopt.optimizers import MethodOptions
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

if TYPE_CHECKING:
    import optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back Optuna's greeting of a new study and its notes on experimental arguments, and nothing else."""
    logger = logging.getLogger("optuna.storages._in_memory")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            warnings.filterwarnings("ignore", message=".*experimental")
            yield
    finally:
        logger.setLevel(level)


class Tpe:
    """Asks Optuna's tree-structured Parzen estimator, and tells it what was run."""

    summary: ClassVar[str] = "Tree-structured Parzen estimator of Optuna 5 (multivariate, with a constant liar)."

    class Options(MethodOptions):
        """Optuna's options under its names, with its defaults, and the rule for failures."""

        multivariate: bool = Field(True, description="one joint density; false: one per parameter, Optuna's before 5")
        group: bool = Field(False, description="split the joint density by groups of parameters (needs multivariate)")
        constant_liar: bool = Field(True, description="pending trials count as bad ones, so workers spread out")
        n_startup_trials: int = Field(10, ge=0, description="complete trials before the densities are used")
        n_ei_candidates: int = Field(24, ge=1, description="candidates per suggestion")
        failed: Literal["worst", "ignore"] | Annotated[float, Field(allow_inf_nan=False)] = Field(
            "worst",
            description="what a failed trial is told as: the worst value so far, nothing, or a number such as 100",
        )

        @model_validator(mode="after")
        def _check(self) -> Tpe.Options:
            if self.group and not self.multivariate:
                raise ValueError("group needs multivariate")
            return self

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        import optuna

        self._space, self._options = problem.space, options
        self._distributions = problem.space.to_optuna()
        with _quiet():
            sampler = optuna.samplers.TPESampler(
                seed=int(rng.integers(2**32)),
                multivariate=options.multivariate,
                group=options.group,
                constant_liar=options.constant_liar,
                n_startup_trials=options.n_startup_trials,
                n_ei_candidates=options.n_ei_candidates,
            )
            self._study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(problem.objectives))
        self._pending: dict[int, optuna.Trial] = {}
        self._worst: list[float] | None = None
        self._waiting: list[dict[str, Any]] = []
        self._known = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space; pending ones are reckoned with."""
        return [self._next() for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run.

        A failure that is to count as the worst value waits until there is one.
        """
        params = self._space.optuna_params(trial.params)
        asked = self._pending.pop(trial.token, None) if trial.token is not None else None
        values = self._values(trial)
        if trial.complete:
            self._worst = [max(pair) for pair in zip(trial.values, self._worst or trial.values, strict=True)]
        elif values is None and self._options.failed == "worst":
            self._waiting.append(params)
        self._close(asked, params, values)
        if self._worst is not None:
            for waiting in self._waiting:
                self._close(None, waiting, self._worst)
            self._waiting.clear()

    def explain(self) -> Mapping[str, Json]:
        """Returns how far TPE is, and the best trials that its good density is built from."""
        trials = [t for t in self._study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
        startup = self._options.n_startup_trials
        state: dict[str, Json] = {"told": self._known, "pending": len(self._pending), "startup_trials": startup}
        state["phase"] = "startup: uniform" if self._known < startup else "densities"
        if trials and len(self._study.directions) == 1:
            good = sorted(trials, key=lambda t: t.values[0])[: min(-(-len(trials) // 10), 25)]
            state["good"] = [{"value": t.values[0], "params": self._space.from_optuna(t.params)} for t in good[:5]]
        return state

    def _next(self) -> Suggestion:
        origin = Origin.RANDOM if self._known < self._options.n_startup_trials else Origin.TPE
        asked = self._study.ask(self._distributions)
        self._pending[asked.number] = asked
        return Suggestion(self._space.repair(self._space.from_optuna(asked.params)), origin, token=asked.number)

    def _values(self, trial: Trial) -> Sequence[float] | None:
        """Returns what Optuna is told of a trial's objectives; None: nothing."""
        if trial.complete:
            return trial.values
        failed = self._options.failed
        if isinstance(failed, str):
            return self._worst if failed == "worst" else None
        return [failed] * len(self._study.directions)

    def _close(self, asked: optuna.Trial | None, params: dict[str, Any], values: Sequence[float] | None) -> None:
        """Ends an asked trial of Optuna; where something else was run, that goes in as a trial of its own."""
        import optuna

        if asked is not None and values is not None and asked.params == params:
            self._study.tell(asked, list(values))
        else:
            if asked is not None:
                self._study.tell(asked, state=optuna.trial.TrialState.FAIL)  # which TPE does not look at
            if values is None:
                return
            run = optuna.trial.create_trial(params=params, distributions=self._distributions, values=list(values))
            self._study.add_trial(run)
        self._known += 1
