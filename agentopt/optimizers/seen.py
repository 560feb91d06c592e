"""What a search has been told: its trials, the incumbent, and which configurations are new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from agentopt.errors import ModelUnavailable
from agentopt.pareto import front_ranks
from agentopt.protocols import Problem
from agentopt.space import Cube
from agentopt.trial import Json, Params, Trial, Value, first_value

Duplicates: TypeAlias = Literal["fallback", "run"]
_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a sampler proposes: a configuration, or none and the reason."""

    params: dict[str, Value] | None
    reason: str = ""
    note: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """The trials that a search has been told, and what they say."""

    problem: Problem
    loss: Callable[[Trial], float] = first_value
    """What a trial counts as, where one number is asked for; infinity unless it is complete."""
    trials: list[Trial] = field(default_factory=list)
    _keys: set[tuple[Value, ...]] = field(default_factory=set)
    _points: list[Cube] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        """Takes a finished trial, in minimised values."""
        self.trials.append(trial)
        self._keys.add(self.problem.space.key(trial.params))

    def refuse(self, proposal: Proposal, *, duplicates: Duplicates, fallback: str) -> str:
        """Returns why a proposal is not to be run, or nothing: then it counts as a trial, not to be repeated.

        Raises ModelUnavailable for a reply that could not be read where `fallback` is `stop`.
        """
        if proposal.params is None:
            if fallback == "stop":
                raise ModelUnavailable(f"The model's reply could not be used ({proposal.reason}), and fallback=stop.")
            return proposal.reason
        if duplicates == "fallback" and self.knows(proposal.params):
            return "duplicate"
        self.take(proposal.params)
        return ""

    def neighbourhood(self, params: Params) -> float:
        """Returns how the three trials nearest to a configuration rank among all, on average: from 0, best, to 1.

        Failed trials rank last together; without trials it is a half.
        """
        if not self.trials:
            return 0.5
        nearest = np.argsort(self.distances(params), kind="stable")[:_NEIGHBOURS]
        losses = np.array([self.loss(trial) for trial in self.trials])
        ranks = [(np.sum(losses < losses[i]) + np.sum(losses <= losses[i]) + 1) / 2 for i in nearest]
        return float(np.mean(ranks)) / (len(losses) + 1)

    def distances(self, params: Params) -> Cube:
        """Returns how far a configuration is from each trial, shape (trials,), after Gower (Biometrics 27, 1971).

        That is the sum of the differences in the unit cube, 1 for choices that are not the same.
        """
        space = self.problem.space
        self._points += [space.encode(trial.params) for trial in self.trials[len(self._points) :]]
        apart = np.abs(np.array(self._points) - space.encode(params))
        choices = space.choice_mask
        apart[:, choices] = apart[:, choices] > 0
        total: Cube = apart.sum(axis=1)
        return total

    def knows(self, params: Params) -> bool:
        """Whether what a configuration is run as was evaluated or taken before."""
        return self.problem.key(params) in self._keys

    def take(self, params: Params) -> None:
        """Takes a configuration that is going to be run."""
        self._keys.add(self.problem.key(params))

    def ranked(self) -> list[Trial]:
        """Returns the complete trials, best first; of several objectives the front first, then the next one."""
        complete = sorted((t for t in self.trials if t.complete), key=lambda t: (self.loss(t), t.id))
        if not complete or len(complete[0].values) == 1:
            return complete
        order = np.argsort(front_ranks(np.array([t.values for t in complete])), kind="stable")
        return [complete[i] for i in order]

    @property
    def incumbent(self) -> Trial | None:
        """The best trial so far, the first of those that are equally good."""
        return min((t for t in self.trials if t.complete), key=self.loss, default=None)
