"""Regularized evolution: the oldest of a population gives way to a mutation of the best of a sample of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from agentopt.optimizers import MethodOptions
from agentopt.protocols import Problem
from agentopt.space import SearchSpace
from agentopt.trial import Json, Origin, Params, Suggestion, Trial, Value

_TRIES = 100
"""Mutations until one is run as another configuration than its parent."""


def mutated(space: SearchSpace, params: Params, rng: np.random.Generator) -> dict[str, Value]:
    """Returns `params` with one parameter, picked uniformly, drawn anew until its value is another; repaired."""
    index = int(rng.integers(len(space)))
    parameter = space.parameters[index]
    value = params[parameter.name]
    while value == params[parameter.name]:
        value = parameter.decode(float(rng.random()))
    return space.repair({**params, parameter.name: value})


class RegularizedEvolution:
    """Evolves a population of complete trials that lose their place by age; a failed trial gets none."""

    summary: ClassVar[str] = (
        "Aging evolution (Real et al., arXiv 1802.01548): mutates one parameter of the best of a sample."
    )
    single_objective: ClassVar[bool] = True

    class Options(MethodOptions):
        """The constants of Algorithm 1, smaller than the paper's for budgets of some hundred trials."""

        population: int = Field(20, ge=1, description="complete trials in the population, uniform ones at first")
        sample: int = Field(5, ge=1, description="trials drawn from it, the best of which is mutated")

        @model_validator(mode="after")
        def _check(self) -> RegularizedEvolution.Options:
            if self.sample > self.population:
                raise ValueError("sample must not be larger than population")
            return self

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        self._problem, self._space, self._options, self._rng = problem, problem.space, options, rng
        self._population: deque[Trial] = deque(maxlen=options.population)
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations: uniform ones until the population is full, then mutations."""
        return [self._next() for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a complete trial into the population as its youngest."""
        if trial.complete:
            self._population.append(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns the size of the population, and the range of its values."""
        values = sorted(trial.value for trial in self._population)
        state: dict[str, Json] = {"asked": self._asked, "population": len(values), "full": self._full}
        value = self._problem.objectives[0].loss
        return {**state, "best": value(values[0]), "worst": value(values[-1])} if values else state

    @property
    def _full(self) -> bool:
        return len(self._population) == self._options.population

    def _next(self) -> Suggestion:
        token, self._asked = self._asked, self._asked + 1
        if not self._full:
            return Suggestion(self._space.sample(self._rng), Origin.RANDOM, token)
        drawn = self._rng.integers(len(self._population), size=self._options.sample)
        parent = min((self._population[i] for i in drawn), key=lambda trial: trial.value)
        return Suggestion(self._child(parent.params), Origin.EVOLUTION, token, {"parent": parent.id})

    def _child(self, parent: Params) -> dict[str, Value]:
        """Returns a mutation of the parent that no repair undoes, unless all do."""
        own = self._space.key(parent)
        for _ in range(_TRIES):
            child = mutated(self._space, parent, self._rng)
            if self._problem.key(child) != own:
                break
        return child
