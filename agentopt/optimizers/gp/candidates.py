"""Where a process looks for the best promise: steps around good rows, uniform draws, smaller steps from the top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentopt.optimizers.gp.kernel import Vector
from agentopt.optimizers.gp.rows import Rows, RowSpace

STEPS, DRAWS = 200, 100
"""Candidates around good rows, and uniform ones."""
_WIDTHS = (0.02, 0.05, 0.1, 0.2)
_ROUNDS = ((0.03, 0.1), (0.01, 0.03), (0.003, 0.01), (0.0005, 0.002), (0.0001, 0.0003))
"""The widths of each round of refinement."""
_TOP, _EACH = 8, 10
"""How many candidates are refined in a round, and by how many steps each."""


def promising(
    space: RowSpace, good: Rows, others: Rows, promise: Callable[[Rows], Vector], rng: np.random.Generator
) -> tuple[Rows, Vector]:
    """Returns candidates, the most promising first, shape (n, d), and what they promise, shape (n,).

    `good` are observed rows, the best first: steps go out from them, more from the better ones. `others` are
    candidates of other origin, which go into the pool as they are.
    """
    d = len(space.choices)
    picked = np.minimum(rng.exponential(1.2, STEPS).astype(int), len(good) - 1)
    moves, widths = rng.choice([1 / d, 0.2, 0.4], (STEPS, 1)), rng.choice(_WIDTHS, (STEPS, 1))
    rows = np.concatenate([space.steps(good[picked], rng, move=moves, width=widths), space.draw(DRAWS, rng), others])
    promises = promise(rows)
    count = _TOP * _EACH
    for round_widths in _ROUNDS:
        top = np.argsort(-promises, kind="stable")[:_TOP]
        moves = rng.choice([1 / d, 0.25, 0.6], (count, 1))
        widths = rng.choice(round_widths, (count, 1))
        near = space.steps(np.repeat(rows[top], _EACH, 0), rng, move=moves, width=widths, change=0.15)
        rows, promises = np.concatenate([rows[top], near]), np.concatenate([promises[top], promise(near)])
    order = np.argsort(-promises, kind="stable")
    return rows[order], promises[order]
