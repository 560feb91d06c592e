"""One study of Optuna: how its samplers are asked, and what they are told of failures and repaired configurations."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from agentopt.optimizers.failed import FailedRule
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


class OptunaSearch:
    """A study in memory with one sampler: suggestions go out with Optuna's trial numbers as tokens."""

    def __init__(
        self,
        problem: Problem,
        sampler: Callable[[], optuna.samplers.BaseSampler],
        failed: Literal["worst", "ignore"] | float,
    ) -> None:
        """`sampler` makes the sampler; `failed` is what a failed trial is told as."""
        import optuna

        self._space, self._objectives = problem.space, problem.objectives
        self._distributions = problem.space.to_optuna()
        with _quiet():
            self._study = optuna.create_study(sampler=sampler(), directions=["minimize"] * len(problem.objectives))
        self._pending: dict[int, optuna.Trial] = {}
        self._failed = FailedRule(failed, len(problem.objectives))
        self.told = 0
        """How many trials the sampler knows."""

    def ask(self, origin: Origin) -> Suggestion:
        """Returns the sampler's next configuration, repaired to the space."""
        asked = self._study.ask(self._distributions)
        self._pending[asked.number] = asked
        return Suggestion(self._space.repair(self._space.from_optuna(asked.params)), origin, token=asked.number)

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run."""
        import optuna

        asked = self._pending.pop(trial.token, None) if trial.token is not None else None
        for told, values in self._failed.take(trial):
            params = self._space.optuna_params(told.params)
            if told is trial and asked is not None and asked.params == params:
                self._study.tell(asked, list(values))
                asked = None
            else:
                self._add(told, params, values)
            self.told += 1
        if asked is not None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)  # which no sampler looks at

    def explain(self) -> dict[str, Json]:
        """Returns how many trials were told and are pending."""
        return {"told": self.told, "pending": len(self._pending)}

    def best(self, count: int) -> list[dict[str, Json]]:
        """Returns the best trials that the sampler was told, in the task's units; none of several objectives."""
        if len(self._study.directions) > 1:
            return []
        trials = [t for t in self._study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
        best = sorted(trials, key=lambda t: t.values[0])[:count]
        value = self._objectives[0].loss
        return [{"value": value(t.values[0]), "params": self._space.from_optuna(t.params)} for t in best]

    def _add(self, trial: Trial, params: Mapping[str, Json], values: Sequence[float]) -> None:
        """Adds what was run as a trial of its own, in the generation of the one that was asked for it."""
        import optuna

        attributes = {}
        if trial.token is not None:
            attributes = dict(self._study.get_trials(deepcopy=False)[trial.token].system_attrs)
        run = optuna.trial.create_trial(
            params=dict(params),
            distributions=self._distributions,
            values=list(values),
            system_attrs=attributes,
        )
        self._study.add_trial(run)
