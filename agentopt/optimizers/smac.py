"""SMAC3's facade for hyperparameter optimization as an optimizer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.extras import require
from agentopt.optimizers.failed import FailedOption, FailedRule
from agentopt.optimizers.positions import from_library, listed, to_library
from agentopt.protocols import Problem
from agentopt.space import Choice, Float, Int, Parameter, SearchSpace
from agentopt.trial import Json, Origin, Params, Suggestion, Trial, Value

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.initial_design.sobol_design import SobolInitialDesign
    from smac.model.random_forest.random_forest import RandomForest
    from smac.runhistory import TrialInfo
    from smac.runhistory.encoder import RunHistoryLogScaledEncoder

_TRIALS = 100
"""The budget that SMAC's initial design is cut to where the run has none: SMAC's own default."""
_LEAVES = 2**14
"""More than there are trials."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back SMAC's notes on duplicates and random draws."""
    logger = logging.getLogger("smac")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class Smac:
    """Asks SMAC3 one trial at a time, and tells it what was run.

    A trial whose configuration was changed before it was run, or that is not told because it failed, stays a running
    one to SMAC: its model does not see it and it is not proposed again. What was run is told as a trial of its own.
    """

    summary: ClassVar[str] = (
        "SMAC3 (Lindauer et al., JMLR 2022): random forest, log expected improvement, Sobol design first."
    )
    single_objective: ClassVar[bool] = True

    class Options(MethodOptions):
        """SMAC's constants, with its defaults, and the rule for failures."""

        n_trees: int = Field(10, ge=1, description="trees of the random forest")
        initial_ratio: float = Field(
            0.25, gt=0, le=1, description="share of the budget for the Sobol design, 10 per parameter at most"
        )
        random_probability: float = Field(0.2, ge=0, le=1, description="share of random configurations among proposals")
        retrain_after: int = Field(8, ge=1, description="proposals per fit of the forest")
        challengers: int = Field(10_000, ge=1, description="random candidates per maximisation of the improvement")
        failed: FailedOption = "worst"

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        require("smac")
        self._space, self._rng = problem.space, rng
        self._translation = _Translation(problem.space)
        seed, trials = int(rng.integers(2**31)), problem.trials or _TRIALS
        self._smac, self._design = _facade(self._translation.space, options, seed, trials)
        self._seed: int | None = 0  # of the evaluations: SMAC takes that of the first trial it hears of, or draws it
        self._failed = FailedRule(options.failed, 1)
        self._pending: dict[int, TrialInfo] = {}
        self._asked = self._proposed = self._told = 0
        self._exhausted = False

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space.

        They are uniform ones once SMAC finds no new one, and while it knows no result but its design is out.
        """
        with _quiet():
            return [self._next() for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial as it was run; a failure that is to count as the worst value waits until there is one."""
        from smac.runhistory import StatusType, TrialInfo, TrialValue

        asked = None if trial.token is None else self._pending.pop(trial.token, None)
        for told, values in self._failed.take(trial):
            status = StatusType.SUCCESS if told.complete else StatusType.CRASHED
            value = TrialValue(cost=values[0], status=status)
            info = asked
            if info is None or told is not trial or self._translation.params(info.config) != dict(told.params):
                info = TrialInfo(config=self._translation.configuration(told.params), seed=self._seed)
            with _quiet():
                self._smac.tell(info, value, save=False)
            self._told += 1

    def explain(self) -> Mapping[str, Json]:
        """Returns how far SMAC is, and its incumbent."""
        incumbent = self._smac.intensifier.get_incumbent()
        return {
            "told": self._told,
            "pending": len(self._pending),
            "initial_design": self._design,
            "incumbent": None if incumbent is None else self._translation.params(incumbent),
        }

    def _next(self) -> Suggestion:
        token, self._asked = self._asked, self._asked + 1
        blind = not self._told and self._proposed >= self._design  # SMAC would draw uniformly, and for ever
        info = None if blind or self._exhausted else self._propose()
        if info is None:
            return Suggestion(self._space.sample(self._rng), Origin.RANDOM, token)
        self._pending[token], self._seed = info, info.seed
        self._proposed += 1
        params = self._space.repair(self._translation.params(info.config))
        return Suggestion(params, Origin.SMAC, token, {"by": str(info.config.origin)})

    def _propose(self) -> TrialInfo | None:
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            return self._smac.ask()
        except (StopIteration, ConfigurationSpaceExhaustedException):
            self._exhausted = True  # SMAC's generator has ended for good
            return None


class _Translation:
    """The search space as ConfigSpace knows it: grids and choices become the positions of their values."""

    def __init__(self, space: SearchSpace) -> None:
        from ConfigSpace import ConfigurationSpace

        self._space = space
        self.space: ConfigurationSpace = ConfigurationSpace()
        self.space.add(*(_hyperparameter(p) for p in space.parameters))

    def configuration(self, params: Params) -> Configuration:
        """Returns a configuration as SMAC is told it."""
        from ConfigSpace import Configuration

        values = {p.name: to_library(p, params[p.name]) for p in self._space.parameters}
        return Configuration(self.space, values=values)

    def params(self, configuration: Configuration) -> dict[str, Value]:
        """Returns the params that a configuration of SMAC stands for."""
        return {p.name: from_library(p, configuration[p.name]) for p in self._space.parameters}


def _hyperparameter(parameter: Parameter) -> Any:
    from ConfigSpace.hyperparameters import (
        CategoricalHyperparameter,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    values = listed(parameter)
    if isinstance(parameter, Choice):
        return CategoricalHyperparameter(parameter.name, list(range(parameter.levels)))
    if values is not None:
        return UniformIntegerHyperparameter(parameter.name, 0, len(values) - 1)
    kind = UniformIntegerHyperparameter if isinstance(parameter, Int) else UniformFloatHyperparameter
    assert isinstance(parameter, (Float, Int))
    return kind(parameter.name, parameter.low, parameter.high, log=parameter.log)


def _facade(
    space: ConfigurationSpace, options: Smac.Options, seed: int, trials: int
) -> tuple[HyperparameterOptimizationFacade, int]:
    """Returns SMAC and the size of its initial design.

    SMAC writes its scenario to a folder as it starts: to a temporary one, which is gone when this returns.
    """
    from smac import HyperparameterOptimizationFacade as Facade
    from smac import Scenario

    with TemporaryDirectory() as folder, _quiet():
        scenario = Scenario(
            space, name="agentopt", output_directory=Path(folder), deterministic=True, n_trials=trials, seed=seed
        )

        def design() -> SobolInitialDesign:
            return Facade.get_initial_design(scenario, max_ratio=options.initial_ratio)

        facade = Facade(
            scenario,
            model=_forest(scenario, options.n_trees),
            acquisition_maximizer=Facade.get_acquisition_maximizer(scenario, challengers=options.challengers),
            initial_design=design(),
            random_design=Facade.get_random_design(scenario, probability=options.random_probability),
            runhistory_encoder=_encoder(scenario),
            config_selector=Facade.get_config_selector(scenario, retrain_after=options.retrain_after),
            logging_level=False,
            overwrite=True,
        )
        return facade, len(design().select_configurations())


def _forest(scenario: Scenario, n_trees: int) -> RandomForest:
    """Returns the forest of the facade, on one thread and without the memory for a million leaves per tree.

    What it predicts is the same, but for the last digits of sums that its threads add up in any order.
    """
    from smac.model.random_forest.random_forest import RandomForest

    return RandomForest(
        configspace=scenario.configspace,
        seed=scenario.seed,
        n_trees=n_trees,
        log_y=True,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_leaf_nodes=_LEAVES,
        n_jobs=1,
    )


def _encoder(scenario: Scenario) -> RunHistoryLogScaledEncoder:
    """Returns SMAC's encoder of costs without the infinities that it makes of ties among large ones."""
    from smac.runhistory.encoder import RunHistoryLogScaledEncoder

    class Finite(RunHistoryLogScaledEncoder):
        def transform_response_values(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            with np.errstate(over="ignore", invalid="ignore"):
                scaled = super().transform_response_values(values)
            finite = scaled[np.isfinite(scaled)]
            least = float(finite.min()) if finite.size else 0.0
            bounded: np.ndarray[Any, Any] = np.nan_to_num(scaled, nan=least, posinf=0.0, neginf=least)
            return bounded

    return Finite(scenario)
