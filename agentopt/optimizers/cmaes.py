"""CMA-ES on a mixed space: pycma on the ordered parameters, learned probabilities on the categorical ones.

Ordered parameters are coordinates of the unit cube (log parameters on their log scale). An integer's coordinate is
continuous and decodes by rounding, with a least standard deviation of a fifth of a level so that it cannot freeze
between two values. What the strategy is told of a trial is the point whose decoding was evaluated: its own candidate's,
with the coordinates encoded anew that a repair or another proposer changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.optimizers import MethodOptions
from agentopt.optimizers.choices import Choices
from agentopt.optimizers.evolution import Evolution, Slot
from agentopt.protocols import Problem
from agentopt.space import Cube, reencoded
from agentopt.trial import Json, Origin, Params, Suggestion, Trial, Value, first_value

_INT_STD = 0.2
"""The least standard deviation of an integer's coordinate, in levels."""


class CmaEsOptions(MethodOptions):
    """The options of CMA-ES."""

    start: Literal["default", "centre"] = Field(
        "default", description="The first mean: the task's default configuration (where it has one), or the box centre."
    )
    sigma0: float | None = Field(
        None,
        gt=0,
        le=1,
        description="The first step size in units of the box; unset: 0.1 from a default configuration, 1/6 from the"
        " centre.",
    )
    popsize: int | None = Field(
        None, ge=4, description="Candidates per generation; unset: 4 + floor(3 ln d), d ordered parameters."
    )
    choices: Literal["adaptive", "uniform"] = Field(
        "adaptive",
        description="Categorical parameters: probabilities that follow what ranked well, or always uniform.",
    )


class MixedEvolution:
    """An `Evolution` and `Choices` over one search space: slots go out as configurations and come back as trials."""

    def __init__(
        self,
        problem: Problem,
        options: CmaEsOptions,
        rng: np.random.Generator,
        *,
        clip_foreign: bool = True,
        loss: Callable[[Trial], float] = first_value,
        start: Params | None = None,
    ) -> None:
        """`loss` is what a complete trial counts as, asked for all trials of a generation when it is complete.

        `start` is the first mean, in place of the one that the options say.
        """
        self.space, self._loss = problem.space, loss
        self._ordered = np.flatnonzero(~self.space.choice_mask)
        defaults = start or (self.space.defaults() if options.start == "default" else None)
        centre = np.full(len(self.space), 0.5)
        mean = centre if defaults is None else np.clip(self.space.encode(defaults), 0.0, 1.0)
        sigma = options.sigma0 or (1 / 6 if defaults is None else 0.1)
        least = np.array([_INT_STD / p.levels if p.levels else 0.0 for p in self.space.parameters])
        self.evolution = Evolution(
            mean[self._ordered],
            sigma,
            rng,
            popsize=options.popsize or (4 if not len(self._ordered) else None),
            least_std=least[self._ordered],
            clip_foreign=clip_foreign,
        )
        self._choices = Choices(self.space, rng, options.choices)
        self._chosen: dict[int, dict[str, Value]] = {}
        self._out: dict[int, Slot] = {}
        self._filled: dict[int, Trial] = {}

    def candidate(self) -> tuple[Slot, dict[str, Value]] | None:
        """Hands out a slot with the strategy's own configuration for it; None while none is free."""
        slot = self.evolution.next_slot()
        if slot is None:
            return None
        if slot.index not in self._chosen:
            self._chosen[slot.index] = self._choices.draw()
        self._out[slot.token] = slot
        return slot, self._decode(slot)

    def holds(self, token: int | None) -> bool:
        """Whether the token is that of a slot which waits for its trial."""
        return self.evolution.holds(token)

    def reopen(self, token: int) -> None:
        """Takes a slot back: the strategy's own candidate for it goes out with the next call."""
        self.evolution.reopen(token)

    def settle(self, token: int, trial: Trial, *, foreign: bool) -> bool:
        """Fills a slot with the trial that came of it; returns whether this completed the generation.

        The trials of a generation are ranked by what their losses are at its end.
        """
        slot = self._out[token]
        ordered = [self.space.parameters[index] for index in self._ordered]
        point = reencoded(ordered, slot.point, self._decode(slot), trial.params)
        self._filled[token] = trial
        if not self.evolution.settle(token, point, foreign=foreign):
            return False
        filled = {key: self._filled[key] for key in sorted(self._filled, key=lambda key: self._out[key].index)}
        losses = {key: self._loss(one) for key, one in filled.items() if one.complete}
        self.evolution.update({key: losses.get(key) for key in filled})
        self._choices.learn([filled[key].params for key in sorted(losses, key=lambda key: losses[key])])
        self._chosen, self._out, self._filled = {}, {}, {}
        return True

    def explain(self) -> Mapping[str, Json]:
        """Returns the distribution in the user's units.

        `mean`: a configuration; `sigma`: the step size in units of the box; `spread`: per ordered parameter the values
        one standard deviation below and above the mean; `correlations`: pairs of parameters with their correlation,
        strongest first; `covariance`: in units of the box, the step
        size not included, rows in the order of `mean`; `choices`: probabilities.
        """
        mean, covariance = self.evolution.mean, self.evolution.covariance
        std = np.sqrt(np.diag(covariance))
        names = [self.space.names[i] for i in self._ordered]
        spread, centre = {}, {}
        for position, index in enumerate(self._ordered):
            p = self.space.parameters[index]
            centre[p.name] = p.decode(float(mean[position]))
            spread[p.name] = [p.decode(float(mean[position] + s * std[position])) for s in (-1, 1)]
        pairs = [
            [names[i], names[j], round(float(covariance[i, j] / (std[i] * std[j])), 3)]
            for i in range(len(names))
            for j in range(i)
        ]
        return {
            "generation": self.evolution.generation,
            "popsize": self.evolution.popsize,
            "restarts": self.evolution.restarts,
            "mean": centre,
            "sigma": self.evolution.sigma,
            "spread": spread,
            "correlations": sorted(pairs, key=lambda pair: -abs(pair[2])),
            "covariance": np.round(covariance / self.evolution.sigma**2, 4).tolist(),
            "choices": self._choices.explain(),
        }

    def _decode(self, slot: Slot) -> dict[str, Value]:
        coordinates: Cube = np.full(len(self.space), 0.5)
        coordinates[self._ordered] = slot.point
        return self.space.decode(coordinates) | self._chosen[slot.index]


class CmaEs:
    """CMA-ES with restarts, asked one slot of a generation at a time."""

    summary: ClassVar[str] = (
        "CMA-ES (pycma) in the unit cube, with learned probabilities for choices; a failed trial ranks last in its"
        " generation."
    )
    single_objective: ClassVar[bool] = True
    Options = CmaEsOptions

    def __init__(
        self, problem: Problem, options: CmaEsOptions, rng: np.random.Generator, *, start: Params | None = None
    ) -> None:
        """`start`: a configuration to start from, in place of the one that the options say."""
        self._search = MixedEvolution(problem, options, rng, start=start)

    def ask(self, n: int) -> list[Suggestion]:
        """Returns free slots of the running generation, none while all are being evaluated."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n and (found := self._search.candidate()) is not None:
            slot, params = found
            note = {"generation": slot.generation, "slot": slot.index}
            suggestions.append(Suggestion(params, Origin.CMAES, slot.token, note))
        return suggestions

    def tell(self, trial: Trial) -> None:
        """Fills the trial's slot; a foreign trial teaches nothing."""
        if self._search.holds(trial.token):
            assert trial.token is not None
            self._search.settle(trial.token, trial, foreign=False)

    def explain(self) -> Mapping[str, Any]:
        """Returns the distribution in the user's units."""
        return self._search.explain()
