"""One loss for several objectives: the augmented weighted Chebyshev distance to the best values (Steuer and Choo 1983).

Methods that follow one number use it where a task has several objectives. With one objective it is that loss itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from agentopt.errors import UsageError
from agentopt.protocols import Problem
from agentopt.trial import Trial

AUGMENTED = 0.05
"""The weight of the sum beside the largest part: without it weakly dominated points would be as good (Knowles 2006)."""


class Scalarisation:
    """max_i w_i g_i + 0.05 sum_i w_i g_i, with g_i = (f_i - best_i) / (reference_i - best_i) of minimised values.

    `best_i` is the lowest value so far. `reference_i` is the task's own, or where it states none the highest value so
    far. So the loss of a trial changes as others come in: whoever compares trials asks for the losses of all of them
    anew, and keeps none.
    """

    def __init__(self, problem: Problem, weights: Sequence[float] | None = None) -> None:
        """`weights`: one for each objective, of any sum; equal ones where none are given."""
        objectives = problem.objectives
        given = [1.0] * len(objectives) if weights is None else list(weights)
        if len(given) != len(objectives):
            names = ", ".join(objective.name for objective in objectives)
            raise UsageError(f"weights has {len(given)} numbers, and the task {len(objectives)} objectives: {names}.")
        self._weights = [weight / sum(given) for weight in given]
        self._stated = [None if o.reference is None else o.loss(o.reference) for o in objectives]
        self._best = [math.inf] * len(objectives)
        self._worst = [-math.inf] * len(objectives)

    def tell(self, trial: Trial) -> None:
        """Takes a finished trial."""
        if trial.complete:
            self._best = [min(pair) for pair in zip(self._best, trial.values, strict=True)]
            self._worst = [max(pair) for pair in zip(self._worst, trial.values, strict=True)]

    def loss(self, trial: Trial) -> float:
        """Returns the loss of a trial that was told; infinity unless it is complete."""
        if not trial.complete:
            return math.inf
        if len(trial.values) == 1:
            return trial.value
        parts = []
        for i, value in enumerate(trial.values):
            stated, best = self._stated[i], self._best[i]
            far = stated if stated is not None and stated > best else self._worst[i]
            # Halves, so that the difference of the largest numbers is a number.
            width = far / 2 - best / 2
            parts.append(self._weights[i] * ((value / 2 - best / 2) / width if width > 0 else 0.0))
        return max(parts) + AUGMENTED * sum(parts)


def chebyshev(
    values: np.ndarray[Any, np.dtype[np.float64]],
    weights: np.ndarray[Any, np.dtype[np.float64]],
    stated: Sequence[float | None],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns that loss of many trials, shape (n,), from minimised values of shape (n, m); infinite ones failed.

    `weights` sum to one; `stated` are the references that the task states.
    """
    complete = np.isfinite(values).all(axis=1)
    if not complete.any():
        return np.full(len(values), math.inf)
    halves = values[complete] / 2
    best, worst = halves.min(axis=0), halves.max(axis=0)
    far = [w if s is None or s / 2 <= b else s / 2 for s, b, w in zip(stated, best, worst, strict=True)]
    width = np.array(far) - best
    parts = weights * (halves - best) / np.where(width > 0, width, math.inf)
    losses = np.full(len(values), math.inf)
    losses[complete] = parts.max(axis=1) + AUGMENTED * parts.sum(axis=1)
    return losses
