"""A CMA-ES distribution over the unit cube, handed out slot by slot and updated once per generation.

The strategy itself is pycma's (Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772). What this module
adds is what pycma's ask and tell leave open: slots that may be filled in any order, points that somebody else put in a
slot (Hansen, "Injecting External Solutions Into CMA-ES", arXiv 1110.4181), evaluations that failed, the box, and
restarts with a doubled population (Auger and Hansen, "A Restart CMA Evolution Strategy With Increasing Population
Size", CEC 2005).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentopt.space import Cube

_RESAMPLES = 20
"""How often a point outside the box is drawn anew before it is clipped to it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a generation, and the strategy's own candidate for it."""

    token: int
    generation: int
    index: int
    point: Cube


@dataclass(slots=True)
class _Member:
    slot: Slot
    out: bool = False
    point: Cube | None = None
    """What was evaluated; None until then."""
    foreign: bool = False


class Evolution:
    """One CMA-ES run over [0, 1]^d; d = 1 gets a second coordinate that means nothing, which pycma needs."""

    def __init__(
        self,
        start: Cube,
        sigma: float,
        rng: np.random.Generator,
        *,
        popsize: int | None = None,
        least_std: Cube | None = None,
        clip_foreign: bool = True,
    ) -> None:
        """`start`: the first mean, shape (d,); `least_std`: the smallest standard deviation per coordinate.

        With `clip_foreign`, a foreign point counts in the update at no more than the Mahalanobis length
        sqrt(d) + 2 d / (d + 2) from the mean (arXiv 1110.4181, section 3).
        """
        self.dimension = len(start)
        pad = max(0, 2 - self.dimension)
        self._start = np.concatenate([start, np.full(pad, 0.5)])
        self._least_std = np.concatenate([np.zeros(self.dimension) if least_std is None else least_std, np.zeros(pad)])
        self._sigma0, self._rng, self._clip_foreign = sigma, rng, clip_foreign
        self._next_token = 0
        self.generation = 0
        self.restarts = 0
        self._strategy = self._new_strategy(self._start, popsize)
        self._members: list[_Member] = []
        self._by_token: dict[int, _Member] = {}
        self._open_generation()

    @property
    def popsize(self) -> int:
        """The number of slots in a generation."""
        return int(self._strategy.popsize)

    @property
    def mean(self) -> Cube:
        """The mean of the distribution, shape (d,), inside the box."""
        mean: Cube = np.asarray(self._strategy.mean, dtype=np.float64)
        return np.clip(mean[: self.dimension], 0.0, 1.0)

    @property
    def sigma(self) -> float:
        """The step size."""
        return float(self._strategy.sigma)

    @property
    def covariance(self) -> Cube:
        """The covariance of the distribution, step size included, shape (d, d)."""
        scaled = float(self._strategy.sigma) ** 2 * np.asarray(self._strategy.C)
        return np.array(scaled[: self.dimension, : self.dimension])

    def next_slot(self) -> Slot | None:
        """Hands out the next free slot of the generation; None while all are out or filled."""
        for member in self._members:
            if not member.out:
                member.out = True
                return member.slot
        return None

    def reopen(self, token: int) -> None:
        """Takes a slot back unfilled: it is handed out again under a new token, as if nothing had been evaluated."""
        member = self._by_token.pop(token)
        member.slot, member.out = replace(member.slot, token=self._token()), False
        self._by_token[member.slot.token] = member

    def settle(self, token: int, point: Cube, *, foreign: bool) -> bool:
        """Fills a slot with what was evaluated at `point`; returns whether the generation is full: `update` is due."""
        member = self._by_token[token]
        member.point, member.foreign = point, foreign
        return all(m.point is not None for m in self._members)

    def update(self, losses: Mapping[int, float | None]) -> None:
        """Learns a full generation from the loss of each slot, by token, and opens the next one.

        None: it failed, and ranks last. A generation in which everything failed teaches nothing and is drawn again.
        """
        self._learn([losses[member.slot.token] for member in self._members])
        self.generation += 1
        self._open_generation()

    def holds(self, token: int | None) -> bool:
        """Whether the token is that of a slot of this generation which is out."""
        return token in self._by_token and self._by_token[token].point is None

    def _learn(self, losses: Sequence[float | None]) -> None:
        """Updates the distribution from the loss of each slot, in order."""
        known = [loss for loss in losses if loss is not None]
        if not known:
            return
        worst = max(known)
        last = worst + max(1.0, abs(worst))
        points = [self._for_update(m) for m in self._members]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = [last if loss is None else loss for loss in losses]
            self._strategy.tell(points, values, check_points=False)
            stopped = self._strategy.stop()
        if stopped:
            self._restart()

    def _for_update(self, member: _Member) -> Cube:
        assert member.point is not None
        pad = len(self._start) - self.dimension
        point = np.concatenate([member.point, np.full(pad, 0.5)])
        if member.foreign and self._clip_foreign:
            mean: Cube = np.asarray(self._strategy.mean, dtype=np.float64)
            d = len(self._start)
            longest = math.sqrt(d) + 2 * d / (d + 2)
            length = float(self._strategy.mahalanobis_norm(point - mean))
            if length > longest:
                point = np.add(mean, (point - mean) * (longest / length))
        return np.asarray(point, dtype=np.float64)

    def _open_generation(self) -> None:
        self._members = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            points = self._strategy.ask()
            for index, drawn in enumerate(points):
                point = np.asarray(drawn)
                for _ in range(_RESAMPLES):
                    if _inside(point):
                        break
                    point = np.asarray(self._strategy.ask(1)[0])
                inside = np.clip(point, 0.0, 1.0)[: self.dimension]
                self._members.append(_Member(Slot(self._token(), self.generation, index, inside)))
        self._by_token = {member.slot.token: member for member in self._members}

    def _token(self) -> int:
        self._next_token += 1
        return self._next_token - 1

    def _restart(self) -> None:
        """Starts anew at a uniform point with twice the population: the distribution had converged."""
        self.restarts += 1
        self._strategy = self._new_strategy(self._rng.random(len(self._start)), 2 * self.popsize)

    def _new_strategy(self, start: Cube, popsize: int | None) -> Any:
        import cma

        options = {
            "verbose": -9,
            "randn": lambda *shape: self._rng.standard_normal(shape),
            "seed": math.nan,
            "minstd": self._least_std,
            "maxiter": math.inf,
            "tolflatfitness": 10,
            "tolfunhist": 1e-13,
            "tolx": 1e-9,
        }
        if popsize is not None:
            options["popsize"] = popsize
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cma.CMAEvolutionStrategy(start, self._sigma0, options)


def _inside(point: Cube) -> bool:
    return bool(np.all((point >= 0.0) & (point <= 1.0)))
