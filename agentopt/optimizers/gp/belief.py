"""A belief about where good rows lie: some rows, the density around them, and how far data has borne it out."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from agentopt.optimizers.gp.kernel import Vector
from agentopt.optimizers.gp.rows import Rows, RowSpace

_WIDTH = 0.2
"""The standard deviation around a believed number, in units of its range."""
_KEEP = 0.7
"""The probability that a choice is as believed, besides a uniform draw."""
_DOUBT = 0.2
"""The share of the density that is uniform."""


class Belief:
    """Rows that somebody expects to be good.

    It is judged by its own trials: `trust` is 0 where they are no better than uniform draws, and near 1 where each of
    them is better than each of these. Its density multiplies an acquisition with an exponent that decays with the
    trials (piBO, arXiv 2204.11051), times the trust.
    """

    def __init__(self, space: RowSpace, rows: Rows, strength: float) -> None:
        """`rows`: shape (k, d); `strength`: after how many trials the exponent has come down to one, at full trust."""
        self._space, self.rows, self._strength = space, rows, strength
        self._own: list[float] = []
        self._uniform: list[float] = []

    def learn(self, loss: float, *, own: bool) -> None:
        """Takes the loss of a trial of this belief, or of a uniform draw; infinity where it failed."""
        (self._own if own else self._uniform).append(loss)

    @property
    def counts(self) -> tuple[int, int]:
        """How many trials of its own and how many uniform ones it was judged by."""
        return len(self._own), len(self._uniform)

    @property
    def better(self) -> float:
        """The probability that one of its trials is better than a uniform draw, from a prior of one draw."""
        own, uniform = self.counts
        least = min(own, uniform)
        return (self._wins() / (own * uniform) * least + 0.5) / (least + 1) if least else 0.5

    def in_words(self, whose: str) -> str:
        """Returns one sentence on how it did; nothing before it was tried."""
        own, uniform = self.counts
        if not own or not uniform:
            return ""
        verdict = "was followed" if self.trust > 0 else "was dropped"
        trials = "its trial was" if own == 1 else f"its {own} trials were"
        share = self._wins() / (own * uniform)
        return f"{whose} {verdict}: {trials} better than uniform draws in {share:.0%} of {own * uniform} pairs."

    def _wins(self) -> float:
        """Returns in how many pairs its trial is better than the uniform one; a draw counts half."""
        return sum(1.0 if a < b else 0.5 * (a == b) for a in self._own for b in self._uniform)

    @property
    def trust(self) -> float:
        """From 0, its trials are no better than uniform ones, to 1.

        It is the square of 1 - 2 p, with the p of a one-sided rank-sum test: what chance may bring weighs little.
        """
        own, uniform = self.counts
        pairs = own * uniform
        if not pairs:
            return 0.0
        deviation = (self._wins() - pairs / 2) / math.sqrt(pairs * (own + uniform + 1) / 12)
        return max(0.0, math.erf(deviation / math.sqrt(2))) ** 2

    def exponent(self, trials: int) -> float:
        """Returns the exponent of the density after so many trials."""
        return self.trust * self._strength / max(1, trials)

    def log_density(self, rows: Rows) -> Vector:
        """Returns the log of the density relative to a uniform one, shape (n,)."""
        choices, levels = self._space.choices, self._space.levels
        logs = np.zeros((len(self.rows), len(rows)))
        for j in range(len(choices)):
            if choices[j]:
                same = self.rows[:, j][:, None] == rows[:, j][None]
                logs += np.where(same, math.log(_KEEP * levels[j] + 1 - _KEEP), math.log(1 - _KEEP))
            else:
                away = (self.rows[:, j][:, None] - rows[:, j][None]) / _WIDTH
                logs += -0.5 * away * away - math.log(_WIDTH * math.sqrt(2 * math.pi))
        mixed: Vector = np.logaddexp(
            logsumexp(logs, axis=0) - math.log(len(self.rows)) + math.log1p(-_DOUBT), math.log(_DOUBT)
        )
        return mixed


def consensus(space: RowSpace, rows: Rows) -> Rows:
    """Returns the row of the median of each number and the most frequent value of each choice, shape (d,).

    What several answers agree on is better than most of them: where each of them guesses, the guesses cancel.
    """
    middle = np.median(rows, axis=0)
    for j in np.flatnonzero(space.choices):
        middle[j] = np.bincount(rows[:, j].astype(int)).argmax()
    found: Rows = space.admitted(middle[None])[0]
    return found
