"""Local search: a masked Gaussian step around the best configuration so far, and nothing else.

It is the baseline that a cleverer method has to beat, and its step is what the model-free twins of LLM methods take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from agentopt.errors import UsageError
from agentopt.optimizers import MethodOptions
from agentopt.protocols import Problem
from agentopt.space import Choice, Float, Int, Parameter, SearchSpace
from agentopt.trial import Json, Origin, Params, Suggestion, Trial, Value

_INITIAL = 10
"""Uniform points where the space states no default configuration."""


def incumbent_step(
    space: SearchSpace,
    params: Params,
    rng: np.random.Generator,
    *,
    move: float = 0.4,
    step: float = 0.1,
    keep: float = 0.8,
) -> dict[str, Value]:
    """Returns a neighbour of `params`, repaired.

    Each number is picked with probability `move` and moved by N(0, `step`) in the unit cube, an integer or a listed
    number by one level at least; each choice becomes another one with probability 1 - `keep`. Where nothing was picked,
    one parameter is, uniformly. A step over the edge of the cube stops at the edge; one from the edge outwards is
    mirrored. So the neighbour differs from `params`, unless a repair undoes the step.
    """
    picked = rng.random(len(space)) < np.where(space.choice_mask, 1.0 - keep, move)
    if not picked.any():
        picked[rng.integers(len(space))] = True
    moved = dict(params)
    for parameter in np.array(space.parameters, dtype=object)[picked]:
        moved[parameter.name] = _neighbour(parameter, params[parameter.name], rng, step)
    return space.repair(moved)


def _neighbour(parameter: Parameter, value: Value, rng: np.random.Generator, step: float) -> Value:
    """Returns another value of the parameter."""
    if isinstance(parameter, Choice):
        others = [i for i in range(parameter.levels) if i != parameter.index(value)]
        return parameter.choices[others[rng.integers(len(others))]]
    delta = step * float(rng.standard_normal())
    if isinstance(parameter, Float) and parameter.grid is None:
        u = parameter.encode(value)
        moved = parameter.decode(u + delta)
        return moved if moved != value else parameter.decode(u - delta)
    return _other_level(parameter, float(value), delta)


def _other_level(parameter: Float | Int, value: float, delta: float) -> Value:
    """Returns the level at `delta` from a value, or the next level that way where that is the value itself."""
    moved = parameter.decode(parameter.encode(value) + delta)
    if moved != value:
        return moved
    grid = parameter.grid
    assert grid is not None
    index = grid.index(value) + (1 if delta > 0 else -1)
    return grid[index] if 0 <= index < len(grid) else grid[1 if index < 0 else -2]


class LocalSearch:
    """Steps from the best configuration so far."""

    single_objective: ClassVar[bool] = True
    summary: ClassVar[str] = "Masked Gaussian step around the best configuration so far: the baseline to beat."

    class Options(MethodOptions):
        """The step's constants: stated once, not tuned per task."""

        move: float = Field(0.4, gt=0, le=1, description="probability that a number is moved")
        step: float = Field(0.1, gt=0, description="standard deviation of a move, as a share of the (log) range")
        keep: float = Field(0.8, ge=0, le=1, description="probability that a choice is kept")
        initial: int | None = Field(
            None,
            ge=0,
            description=f"uniform points first; none: 0 where the task has a default configuration, or {_INITIAL}",
        )
        tries: int = Field(100, ge=1, description="steps until one is new, then as many uniform draws; then a repeat")

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        if len(problem.objectives) > 1:
            raise UsageError(f"local takes one objective, and the task has {len(problem.objectives)}.")
        self._problem, self._space, self._options, self._rng = problem, problem.space, options, rng
        initial = _INITIAL if problem.space.defaults() is None else 0
        self._initial = initial if options.initial is None else options.initial
        self._seen: set[tuple[Value, ...]] = set()
        self._best: Trial | None = None
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` new configurations: uniform ones until there is an incumbent, then steps from it."""
        return [self._next() for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes the trial as the incumbent when it is better; a failure is only remembered as tried."""
        self._seen.add(self._space.key(trial.params))
        if trial.complete and (self._best is None or trial.value < self._best.value):
            self._best = trial

    def explain(self) -> Mapping[str, Json]:
        """Returns the incumbent, and the size of a step."""
        o = self._options
        state: dict[str, Json] = {"asked": self._asked, "move": o.move, "step": o.step, "keep": o.keep}
        if self._best is not None:
            value = self._problem.objectives[0].loss(self._best.value)
            state["incumbent"] = {"value": value, "params": dict(self._best.params)}
        return state

    def _next(self) -> Suggestion:
        found = None
        if self._best is not None and self._asked >= self._initial:
            found, origin = self._new(self._step), Origin.LOCAL
        if found is None:
            found, origin = self._new(self._draw) or self._draw(), Origin.RANDOM
        self._seen.add(self._problem.key(found))
        token, self._asked = self._asked, self._asked + 1
        return Suggestion(found, origin, token)

    def _new(self, source: Callable[[], dict[str, Value]]) -> dict[str, Value] | None:
        """Returns the first configuration of a source that is run as a new one; None after as many tries as stated."""
        for _ in range(self._options.tries):
            params = source()
            if self._problem.key(params) not in self._seen:
                return params
        return None

    def _draw(self) -> dict[str, Value]:
        return self._space.sample(self._rng)

    def _step(self) -> dict[str, Value]:
        assert self._best is not None
        o = self._options
        return incumbent_step(self._space, self._best.params, self._rng, move=o.move, step=o.step, keep=o.keep)
