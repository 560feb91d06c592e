"""The first trials, before a process can be fitted: uniform ones, and those of a belief while they do better."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from agentopt.optimizers.gp.belief import Belief
from agentopt.optimizers.gp.rows import Rows, RowSpace

Draw: TypeAlias = Literal["uniform", "belief"]
_TRIES = 50
MOVE, WIDTH = 0.4, 0.1
"""The step around a believed row once all of them are tried: that of the method `local`."""


class Opening:
    """Hands out rows for the first trials.

    Without a belief they are a Latin hypercube. With one, a row of the belief and a uniform one come first; then
    whoever has done better so far, so that a belief which is wrong costs a trial or two.
    """

    def __init__(self, space: RowSpace, count: int, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        d = len(space.choices)
        strata = np.array([rng.permutation(count) for _ in range(d)]).T
        self._uniform = list(space.from_cube((strata + rng.random((count, d))) / count))
        self._believed: list[Rows] = []
        self.belief: Belief | None = None
        self._kinds: dict[int, Draw] = {}
        """What is being evaluated, by token."""

    def believe(self, belief: Belief) -> None:
        """Takes a belief; its rows are tried in their order."""
        self.belief, self._believed = belief, list(belief.rows)

    def rows(self) -> tuple[Rows, Draw]:
        """Returns rows for the next trial, of which the first new one is to be taken, and where they come from."""
        if self.belief is not None and self._turn(self.belief):
            around = np.repeat(self.belief.rows, -(-_TRIES // len(self.belief.rows)), 0)
            steps = self._space.steps(around, self._rng, move=MOVE, width=WIDTH)
            rows = np.array([*self._believed, *steps])
            self._believed = self._believed[1:]
            return rows, "belief"
        first, self._uniform = self._uniform[:1], self._uniform[1:]
        return np.array([*first, *self._space.draw(_TRIES, self._rng)]), "uniform"

    def out(self, token: int, kind: Draw) -> None:
        """Takes note that a row of that kind is being evaluated."""
        self._kinds[token] = kind

    def learn(self, token: int | None, loss: float) -> None:
        """Takes the loss of a trial, infinity where it failed; trials of other origin say nothing."""
        kind = None if token is None else self._kinds.pop(token, None)
        if kind is not None and self.belief is not None:
            self.belief.learn(loss, own=kind == "belief")

    def _turn(self, belief: Belief) -> bool:
        """Whether the next trial is the belief's."""
        pending = list(self._kinds.values())
        own, uniform = belief.counts
        own, uniform = own + pending.count("belief"), uniform + pending.count("uniform")
        if not own or not uniform:
            return own <= uniform
        return belief.better > 0.5 or (belief.better == 0.5 and own < uniform)
