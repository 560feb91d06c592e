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

    def learn(self, score: float) -> None:
        """Takes what came of a trial: from 0, nothing, to 1, better than all that the optimizer tried of late."""

    def missed(self) -> None:
        """Takes note of a turn that gave no trial."""


class _Fixed:
    """A share that learns nothing."""

    def learn(self, score: float) -> None:
        """Learns nothing."""

    def missed(self) -> None:
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
    """A share that follows what came of the sampler's turns.

    With w the discounted mean of their scores, from a prior of one draw, the ratio is `START * (2 w)^4`, at most
    `MOST`. A sampler that is as good as the optimizer keeps its share; of one whose first trial scores nothing, a
    sixteenth is left. A turn that gave no trial scores nothing as well, but weighs less: it has cost no evaluation.
    """

    START: ClassVar[float] = 0.3
    MOST: ClassVar[float] = 0.5
    DISCOUNT: ClassVar[float] = 0.8
    PRIOR: ClassVar[float] = 1.0
    MISSED: ClassVar[float] = 0.25

    _carry: _Carry = field(default_factory=_Carry)
    _scores: float = 0.0
    _weight: float = 0.0

    @property
    def mean_score(self) -> float:
        """What a turn scores on average: 0.5 is what the optimizer's own trials would."""
        return (0.5 * self.PRIOR + self._scores) / (self.PRIOR + self._weight)

    @property
    def ratio(self) -> float:
        """The share of trials that the sampler gets now."""
        return min(self.MOST, self.START * (2 * self.mean_score) ** 4)

    def next(self, count: int, *, blocked: bool = False) -> bool:
        """Whether the next trial is the sampler's."""
        return self._carry.add(self.ratio, blocked=blocked)

    def learn(self, score: float) -> None:
        """Takes what came of a trial: 0 where it failed."""
        self._add(score, 1.0)

    def missed(self) -> None:
        """Takes note of a turn that gave no trial."""
        self._add(0.0, self.MISSED)

    def _add(self, score: float, weight: float) -> None:
        kept = self.DISCOUNT**weight
        self._scores = self._scores * kept + score * weight
        self._weight = self._weight * kept + weight


def score(loss: float | None, others: Sequence[float | None]) -> float:
    """Returns the share of other losses that one beats, draws half; None: it failed. Against none it is a draw."""
    if loss is None:
        return 0.0
    if not others:
        return 0.5
    return sum(1.0 if other is None or loss < other else 0.5 * (loss == other) for other in others) / len(others)
