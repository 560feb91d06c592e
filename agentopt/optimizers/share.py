"""When it is the sampler's turn: schedules that give a proposer its share of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol


class Share(Protocol):
    """Says whose turn it is."""

    @property
    def ratio(self) -> float:
        """The share of trials that the sampler gets now."""

    def next(self, count: int, *, blocked: bool = False) -> bool:
        """Whether the next trial, with `count` asked before it, is the sampler's; never where it is `blocked`."""

    def missed(self) -> None:
        """Takes note of a turn that gave nothing: the reply could not be run, or its trial failed."""

    def learn(self, turns: Sequence[float | None], own: Sequence[float | None]) -> None:
        """Takes the losses of a generation, the sampler's and the optimizer's own; None: it failed."""


class _Fixed:
    """A share that learns nothing."""

    def missed(self) -> None:
        """Learns nothing."""

    def learn(self, turns: Sequence[float | None], own: Sequence[float | None]) -> None:
        """Learns nothing."""


@dataclass(slots=True)
class _Carry:
    """Error diffusion: what a turn is short of a whole one is carried over."""

    value: float = 0.0

    def add(self, ratio: float, *, blocked: bool) -> bool:
        """Whether a whole turn has come together; a blocked one stays due."""
        self.value += ratio
        if blocked or self.value < 1 - 1e-9:
            return False
        self.value -= 1
        return True


class ErrorDiffusion(_Fixed):
    """Gives exactly the ratio: after k calls without a block, the number of turns is within one of ratio * k."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self._carry = _Carry()

    def next(self, count: int, *, blocked: bool = False) -> bool:
        """Whether the next trial is the sampler's; a turn that is blocked is made up for by the next one."""
        return self._carry.add(self.ratio, blocked=blocked)


class Interval(_Fixed):
    """Every round(1/ratio)-th trial, as the published code has it: 0.4 and 0.5 are the same, and so are 0.7 and 1."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio

    def next(self, count: int, *, blocked: bool = False) -> bool:
        """Whether the trial with `count` trials before it is the sampler's."""
        return not blocked and self.ratio > 0 and count % max(1, round(1 / self.ratio)) == 0


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

    _carry: _Carry = field(default_factory=_Carry)
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

    def next(self, count: int, *, blocked: bool = False) -> bool:
        """Whether the next trial is the sampler's."""
        return self._carry.add(self.ratio, blocked=blocked)

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
