"""An optimizer of nevergrad as an optimizer of ours."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.errors import UsageError, unknown
from agentopt.optimizers import MethodOptions
from agentopt.optimizers.extras import EXTRAS, require
from agentopt.optimizers.positions import from_library, listed, to_library
from agentopt.protocols import Problem
from agentopt.space import Choice, Float, Int, Parameter
from agentopt.trial import Json, Origin, Params, Suggestion, Trial, Value

_TRIALS = 100
"""The budget that NGOpt picks by where the run has none."""
_LARGEST = 1e20
"""A loss above anything that is told otherwise; nevergrad clips at 5e20."""


class _Apart:
    """A room for nevergrad's calls: it uses numpy's global generator, and warns about its own choices."""

    def __init__(self, seed: int) -> None:
        self._state: Any = np.random.RandomState(seed).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Lends numpy's global generator a state of our own, and holds warnings back."""
        outside = np.random.get_state()  # noqa: NPY002
        np.random.set_state(self._state)  # noqa: NPY002
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                yield
        finally:
            self._state = np.random.get_state()  # noqa: NPY002
            np.random.set_state(outside)  # noqa: NPY002


class Nevergrad:
    """Asks an optimizer of nevergrad, which knows how many may be out at once, and tells it what came of them.

    A value goes to the point that was asked for, also where a repair changed it before it was run: some optimizers of
    nevergrad take no other points. To nevergrad a repair is a part of the function. On numbers alone NGOpt may pick an
    optimizer without chance (Cobyla, from the middle of the box); the seed then changes nothing.
    """

    summary: ClassVar[str] = "An optimizer of nevergrad; NGOpt picks one by the space, the budget and the workers."
    single_objective: ClassVar[bool] = True

    class Options(MethodOptions):
        """Which optimizer, and the rule for failures."""

        optimizer: str = Field("NGOpt", description="a name in nevergrad's registry, such as OnePlusOne or DE")
        workers: int | None = Field(
            None,
            ge=1,
            description="suggestions that may be out at once; unset: as many as the run has workers. NGOpt takes"
            " another optimizer for more than one",
        )
        failed: Literal["worst"] | Annotated[float, Field(allow_inf_nan=False)] = Field(
            "worst",
            description=f"what a failed trial is told as: the worst value so far ({_LARGEST:g} where there is none), or"
            " a number",
        )

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        require("nevergrad")
        self._space, self._options, self._objective = problem.space, options, problem.objectives[0]
        self._workers = options.workers or problem.workers
        self._apart = _Apart(int(rng.integers(2**32)))
        with self._apart():
            self._optimizer = _build(problem, options.optimizer, self._workers, int(rng.integers(2**32)))
        self._pending: dict[int, Any] = {}
        self._worst: float | None = None
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations, repaired to the space; fewer where that many would be out at once."""
        free = max(0, min(n, self._workers - len(self._pending)))
        with self._apart():
            return [self._next() for _ in range(free)]

    def tell(self, trial: Trial) -> None:
        """Takes a trial; a foreign one is passed over by optimizers that take none."""
        from nevergrad.common.errors import TellNotAskedNotSupportedError

        loss = self._loss(trial)
        asked = None if trial.token is None else self._pending.pop(trial.token, None)
        candidate = self._candidate(trial.params) if asked is None else asked
        with self._apart(), suppress(TellNotAskedNotSupportedError):
            _as_daemon(lambda: self._optimizer.tell(candidate, loss))

    def explain(self) -> Mapping[str, Json]:
        """Returns which optimizer nevergrad runs, and what it recommends."""
        inner = getattr(self._optimizer, "optim", self._optimizer)
        state = {"optimizer": self._options.optimizer, "runs": str(inner.name), "pending": len(self._pending)}
        worst = None if self._worst is None else self._objective.loss(self._worst)
        return {**state, "asked": self._asked, "worst": worst}

    def _next(self) -> Suggestion:
        token, self._asked = self._asked, self._asked + 1
        self._pending[token] = candidate = _as_daemon(self._optimizer.ask)
        return Suggestion(self._space.repair(self._params(candidate)), Origin.NEVERGRAD, token)

    def _loss(self, trial: Trial) -> float:
        if trial.complete:
            self._worst = trial.value if self._worst is None else max(self._worst, trial.value)
            return float(np.clip(trial.value, -_LARGEST, _LARGEST))
        if not isinstance(self._options.failed, str):
            return self._options.failed
        return _LARGEST if self._worst is None else float(np.clip(self._worst, -_LARGEST, _LARGEST))

    def _params(self, candidate: Any) -> dict[str, Value]:
        return {p.name: from_library(p, candidate.value[p.name]) for p in self._space.parameters}

    def _candidate(self, params: Params) -> Any:
        values = {p.name: to_library(p, params[p.name]) for p in self._space.parameters}
        return self._optimizer.parametrization.spawn_child(new_value=values)


def _as_daemon(call: Callable[[], Any]) -> Any:
    """Returns what a call returns, made in a daemon thread.

    Some optimizers of nevergrad start a thread that waits for the next value; as the child of a daemon it is one, and
    the program can end.
    """
    made: list[Any] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            made.append(call())
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return made[0]


def _build(problem: Problem, optimizer: str, workers: int, seed: int) -> Any:
    """Returns nevergrad's optimizer; raises UsageError for a name that it does not know."""
    if tuple(int(part) for part in np.__version__.split(".")[:2]) >= (2, 4):
        raise UsageError(
            f"Method nevergrad needs numpy below 2.4, with which nevergrad 1.0 cannot convert numbers (here:"
            f" {np.__version__}): {EXTRAS['nevergrad'].fix}"
        )
    import nevergrad

    if optimizer not in nevergrad.optimizers.registry:
        raise unknown("optimizer of nevergrad", optimizer, nevergrad.optimizers.registry)
    parameters = {p.name: _parameter(nevergrad.p, p) for p in problem.space.parameters}
    parametrization = nevergrad.p.Dict(**parameters)
    parametrization.random_state = np.random.RandomState(seed)
    make = nevergrad.optimizers.registry[optimizer]
    return make(parametrization=parametrization, budget=problem.trials or _TRIALS, num_workers=workers)


def _parameter(p: Any, parameter: Parameter) -> Any:
    """Returns the parameter as nevergrad knows it: choices unordered, grids by position, the rest as they are."""
    values = listed(parameter)
    if isinstance(parameter, Choice):
        return p.Choice(list(range(parameter.levels)))
    if values is not None:
        return p.Scalar(lower=0, upper=len(values) - 1).set_integer_casting()
    assert isinstance(parameter, (Float, Int))
    made = (p.Log if parameter.log else p.Scalar)(lower=parameter.low, upper=parameter.high)
    return made.set_integer_casting() if isinstance(parameter, Int) else made
