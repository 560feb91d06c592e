"""pymoo's NSGA-II as an optimizer: a real-coded genetic search of the unit cube."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.extras import require
from agentopt.protocols import Problem
from agentopt.space import reencoded
from agentopt.trial import Json, Origin, Suggestion, Trial


@dataclass(slots=True)
class _Member:
    """An individual of the generation that is being evaluated."""

    individual: Any
    token: int
    out: bool = False
    told: bool = False


class PymooNsga2:
    """Hands out pymoo's generations slot by slot, and tells a generation when all of it was run.

    A failed trial is an infeasible one (Deb et al., 2002, section VI): every complete trial dominates it. What was
    changed before it was run enters the population as it was run.
    """

    summary: ClassVar[str] = (
        "NSGA-II of pymoo (Deb et al., 2002): real-coded, in the unit cube, for one objective or several."
    )

    class Options(MethodOptions):
        """The one constant that matters in short runs; the operators are pymoo's defaults."""

        population: int = Field(20, ge=2, description="trials per generation; pymoo's default is 100")

    def __init__(self, problem: Problem, options: Options, rng: np.random.Generator) -> None:
        require("pymoo-nsga2")
        self._space, self._objectives = problem.space, problem.objectives
        count, seed = len(self._objectives), int(rng.integers(2**31))
        self._algorithm = _algorithm(len(problem.space), count, options.population, seed)
        self._members: list[_Member] = []
        self._tokens = 0
        self._generation = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns free slots of the running generation, none while all are being evaluated."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n:
            if not self._members:
                self._open_generation()
            member = next((m for m in self._members if not m.out), None)
            if member is None:
                break
            member.out = True
            params = self._space.repair(self._space.decode(member.individual.X))
            note = {"generation": self._generation}
            suggestions.append(Suggestion(params, Origin.NSGA2, member.token, note))
        return suggestions

    def tell(self, trial: Trial) -> None:
        """Fills the trial's slot; a foreign trial teaches nothing."""
        member = next((m for m in self._members if m.token == trial.token and m.out and not m.told), None)
        if member is None:
            return
        individual, member.told = member.individual, True
        own = self._space.decode(individual.X)
        individual.X = reencoded(self._space.parameters, individual.X, own, trial.params)
        individual.F = np.array(trial.values if trial.complete else [0.0] * len(self._objectives))
        individual.G = np.array([0.0 if trial.complete else 1.0])
        individual.evaluated |= {"F", "G", "H"}
        if all(m.told for m in self._members):
            self._close_generation()

    def explain(self) -> Mapping[str, Json]:
        """Returns how far the search is, and the objective values of its first front."""
        state: dict[str, Json] = {"generation": self._generation, "pending": sum(m.out for m in self._members)}
        optimum = self._algorithm.opt
        front = [] if optimum is None else sorted(i.F.tolist() for i in optimum if i.CV[0] <= 0)
        in_units = [[o.loss(v) for o, v in zip(self._objectives, losses, strict=True)] for losses in front]
        return {**state, "front": in_units}

    def _open_generation(self) -> None:
        """Takes the next generation; a converged population that breeds no new point is followed by a random one."""
        from pymoo.core.population import Population

        offspring = self._algorithm.ask()
        if offspring is None or len(offspring) == 0:
            size = (self._algorithm.pop_size, len(self._space))
            offspring = Population.new("X", self._algorithm.random_state.random(size))
        self._members = [_Member(individual, self._tokens + i) for i, individual in enumerate(offspring)]
        self._tokens += len(self._members)

    def _close_generation(self) -> None:
        from pymoo.core.population import Population

        population = Population.create(*(m.individual for m in self._members))
        with np.errstate(over="ignore", invalid="ignore"):
            self._algorithm.tell(infills=population)
        self._members = []
        self._generation += 1


def _algorithm(dimension: int, objectives: int, population: int, seed: int) -> Any:
    """Returns pymoo's algorithm on a problem of the unit cube with one constraint: that the trial completes."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as Cubes
    from pymoo.termination.max_gen import MaximumGenerationTermination

    cubes = Cubes(n_var=dimension, n_obj=objectives, n_ieq_constr=1, xl=0.0, xu=1.0)
    algorithm = NSGA2(pop_size=population)
    algorithm.setup(cubes, termination=MaximumGenerationTermination(math.inf), seed=seed, verbose=False)
    return algorithm
