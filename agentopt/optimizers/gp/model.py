"""What a search has observed as rows, and what a process and a model of failures make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy.special import log_ndtr, logsumexp

from agentopt.optimizers.gp.acquisition import expected_improvement
from agentopt.optimizers.gp.kernel import Mask, Vector
from agentopt.optimizers.gp.process import Process, mixed_mean
from agentopt.optimizers.gp.rows import Rows
from agentopt.optimizers.scalarise import chebyshev
from agentopt.protocols import Objective

Positions: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

MOST = 250
"""The most rows that a process is fitted to."""
_BEST, _LATEST = 100, 50
"""Of more rows than that: how many of the best and of the latest are taken; the others are drawn."""
_LEAST_STEPS, _MOST_STEPS, _WORK = 6, 100, 3000
"""The steps of a fit: `_WORK` divided by the rows, within these bounds."""
_FAILURE_STEPS = 10
_SOFT = 0.01
"""The variance of a label around which success turns into failure."""


class Observations:
    """Rows and their values, in the order of the tells."""

    def __init__(self, columns: int, objectives: Sequence[Objective]) -> None:
        self._rows: Rows = np.empty((64, columns))
        self._values: Rows = np.empty((64, len(objectives)))
        self._stated = [None if o.reference is None else o.loss(o.reference) for o in objectives]
        self.count = 0

    def add(self, row: Rows, values: Sequence[float]) -> None:
        """Takes one more; no values: the trial failed."""
        if self.count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._rows[self.count], self._values[self.count] = row, values or math.inf
        self.count += 1

    @property
    def rows(self) -> Rows:
        """Shape (n, d)."""
        return self._rows[: self.count]

    def losses(self, weights: Vector) -> Vector:
        """Returns one loss for each row, shape (n,), infinite where it failed; `weights` has one per objective."""
        values = self._values[: self.count]
        return values[:, 0] if values.shape[1] == 1 else chebyshev(values, weights, self._stated)


class Model:
    """A process over the losses, and one over which rows fail."""

    def __init__(self, choices: Mask, rng: np.random.Generator) -> None:
        self._rng = rng
        self.process = Process(choices, rng)
        self._failures = Process(choices, rng, warped=False, noise=-2.0)
        self.failing: float | None = None
        """The share of trials that fail; None where none did."""

    def fit(self, rows: Rows, losses: Vector) -> None:
        """Fits both to what was observed; two losses at least are finite."""
        complete = np.isfinite(losses)
        chosen = self._chosen(np.flatnonzero(complete), losses)
        self.process.fit(rows[chosen], losses[chosen], int(np.clip(_WORK / len(chosen), _LEAST_STEPS, _MOST_STEPS)))
        self.failing = None
        if not complete.all():
            self.failing = (float((~complete).sum()) + 1) / (len(losses) + 2)
            failed = np.flatnonzero(~complete)
            some = np.concatenate([chosen[: MOST // 2], failed[-(MOST // 2) :]])
            labels = np.where(complete[some], -self.failing, 1 - self.failing)
            self._failures.fit(rows[some], labels, _FAILURE_STEPS)

    def suppose(self, rows: Rows) -> None:
        """Takes rows that are being evaluated for observed as predicted, until the next fit."""
        self.process.suppose(rows)

    def promise(self, rows: Rows) -> Vector:
        """Returns the log of the expected improvement times the probability of success, shape (n,)."""
        return expected_improvement(self.process.predict(rows)) + self.log_success(rows)

    def mean(self, rows: Rows) -> Vector:
        """Returns the mean of the standardised losses that the process predicts, shape (n,)."""
        return mixed_mean(self.process.predict(rows))

    def ranked(self, rows: Rows) -> Vector:
        """Returns the means of rows, infinite where they are more likely to fail than not, shape (n,)."""
        return np.where(self.log_success(rows) > math.log(0.5), self.mean(rows), math.inf)

    def log_success(self, rows: Rows) -> Vector:
        """Returns the log of the probability that rows do not fail, shape (n,)."""
        if self.failing is None:
            return np.zeros(len(rows))
        edge = 0.5 - self.failing
        logs = [
            log_ndtr((edge - p.mean) / np.sqrt(p.std**2 + _SOFT)) + math.log(p.weight)
            for p in self._failures.predict(rows)
        ]
        found: Vector = np.minimum(logsumexp(logs, axis=0), 0.0)
        return found

    def _chosen(self, complete: Positions, losses: Vector) -> Positions:
        """Returns which complete rows the process is fitted to: all, or the best, the latest and some of the others."""
        if len(complete) <= MOST:
            return complete
        order = complete[np.argsort(losses[complete], kind="stable")]
        kept = np.union1d(order[:_BEST], complete[-_LATEST:])
        others = np.setdiff1d(complete, kept)
        return np.sort(np.concatenate([kept, self._rng.choice(others, MOST - len(kept), replace=False)]))
