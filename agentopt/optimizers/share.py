"""When it is the sampler's turn: schedules that give a proposer its share of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(slots=True)
class ErrorDiffusion:
    """Gives exactly the ratio: after k calls, the number of turns is within one of ratio * k."""

    ratio: float
    _carry: float = 0.0

    def next(self, count: int) -> bool:
        """Whether the next trial is the sampler's; `count` trials were asked before it."""
        self._carry += self.ratio
        if self._carry < 1 - 1e-9:
            return False
        self._carry -= 1
        return True


@dataclass(slots=True)
class Interval:
    """Every round(1/ratio)-th trial, as the published code has it: 0.4 and 0.5 are the same, and so are 0.7 and 1."""

    ratio: float

    def next(self, count: int) -> bool:
        """Whether the trial with `count` trials before it is the sampler's."""
        return self.ratio > 0 and count % max(1, round(1 / self.ratio)) == 0


@dataclass(slots=True)
class AdaptiveShare:
    """A share that follows how the sampler's trials rank against the optimizer's own in the same generation.

    The win rate w is the discounted mean of how often a sampler's trial beats one of the optimizer's (a half where it
    draws, none where it fails or cannot be run), from a prior of two draws; the ratio is `START * (2 w)^2`, between
    `LEAST` and `MOST`. A sampler that is as good as the optimizer keeps its share, a useless one falls to the least.
    """

    START: ClassVar[float] = 0.3
    LEAST: ClassVar[float] = 0.05
    MOST: ClassVar[float] = 0.6
    DISCOUNT: ClassVar[float] = 0.9
    PRIOR: ClassVar[float] = 2.0

    _carry: float = 0.0
    _wins: float = 0.0
    _weight: float = 0.0

    @property
    def win_rate(self) -> float:
        """How often the sampler's trial is the better one of two."""
        return (0.5 * self.PRIOR + self._wins) / (self.PRIOR + self._weight)

    @property
    def ratio(self) -> float:
        """The share of trials that the sampler gets now."""
        return min(self.MOST, max(self.LEAST, self.START * (2 * self.win_rate) ** 2))

    def next(self, count: int) -> bool:
        """Whether the next trial is the sampler's."""
        self._carry += self.ratio
        if self._carry < 1 - 1e-9:
            return False
        self._carry -= 1
        return True

    def missed(self) -> None:
        """Takes note of a turn that gave nothing: the reply could not be run, or its trial failed."""
        self._weight += 1

    def learn(self, turns: Sequence[float | None], own: Sequence[float | None]) -> None:
        """Takes the losses of a generation, the sampler's and the optimizer's own; None: it failed."""
        self._wins, self._weight = self._wins * self.DISCOUNT, self._weight * self.DISCOUNT
        for turn in turns:
            if own:
                self._wins += sum(_score(turn, other) for other in own) / len(own)
                self._weight += 1


def _score(turn: float | None, other: float | None) -> float:
    if turn is None or other is None:
        return 0.5 if turn is other else float(other is None)
    return 0.5 if turn == other else float(turn < other)
