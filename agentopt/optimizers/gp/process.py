"""The Gaussian process: values at rows, an output warp, and hyperparameters averaged over a small population.

The warp is the standardised log((y - lowest) / (median - lowest) + c). Its shift c is a hyperparameter like the scales
of the kernel and the noise, so the likelihood has the warp's Jacobian. The signal variance is integrated out under an
inverse gamma prior of shape 1 and scale 1. Hyperparameters are not optimized: a population of them takes some steps of
a random walk on their posterior at each fit and is averaged over by posterior density.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack

from agentopt.optimizers.gp.kernel import Distances, Mask, Vector
from agentopt.optimizers.gp.rows import Rows

KEPT = 6
"""How many sets of hyperparameters are averaged over."""
NEGLIGIBLE = 0.02
"""Sets with a smaller share of the posterior are left out of predictions."""
_STEPS = (0.15, 0.5, 1.0)
"""Standard deviations of a step of the random walk, in logs."""
_TOGETHER = 0.25
"""The share of steps that move all scales by the same amount."""
_FARTHEST = 1e12
"""The largest distance from the lowest value, in medians, that is told apart."""
_LARGEST = float(np.finfo(float).max)
_NOISE, _SHIFT = -2, -1
"""Where the log noise and the log shift of the warp stand among the hyperparameters; the scales come first."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent normal priors of the hyperparameters, and their bounds; all in logs."""

    mean: Vector
    std: Vector
    low: Vector
    high: Vector

    @staticmethod
    def of(choices: Mask, noise: float) -> Prior:
        """Returns the prior for columns of which some are choices; `noise` is the mean of the log noise."""
        columns, numbers = len(choices), max(1, int((~choices).sum()))
        scale = np.where(choices, -0.7, -0.1 + 0.5 * math.log(numbers))
        return Prior(
            mean=np.concatenate([scale, [noise, 0.0]]),
            std=np.concatenate([np.ones(columns), [2.5, 3.0]]),
            low=np.concatenate([np.full(columns, -5.0), [-20.0, -14.0]]),
            high=np.concatenate([np.full(columns, 4.0), [1.0, 4.0]]),
        )

    def log_density(self, h: Vector) -> float:
        """Returns the log density up to a constant."""
        return float(-0.5 * np.sum(((h - self.mean) / self.std) ** 2))


@dataclass(frozen=True, slots=True)
class Warp:
    """From values to standardised ones and back."""

    lowest: float
    scale: float
    """Median minus lowest. Both are of the halves of the values: the difference of any two of these is a number."""
    shift: float
    centre: float
    spread: float

    def back(self, z: Vector) -> Vector:
        """Returns the values that standardised ones stand for, in the units of the objective."""
        logs = np.minimum(z * self.spread + self.centre, math.log(_FARTHEST))
        with np.errstate(over="ignore"):
            halves = self.lowest + (np.exp(logs) - self.shift) * self.scale
        values: Vector = np.clip(halves, -_LARGEST / 2, _LARGEST / 2) * 2
        return values


@dataclass(frozen=True, slots=True)
class Member:
    """One set of hyperparameters, and the process under it."""

    h: Vector
    score: float
    """Log posterior, up to a constant."""
    z: Vector
    """Standardised values, shape (n,)."""
    inverse: Rows
    """The inverse of the lower Cholesky factor of the kernel matrix, shape (n, n)."""
    alpha: Vector
    """The inverse of the kernel matrix times `z`."""
    variance: float
    warp: Warp
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one member predicts: normal distributions of standardised values, shapes (m,)."""

    mean: Vector
    std: Vector
    best: float
    """The lowest posterior mean at what was observed."""
    weight: float
    warp: Warp


def mixed_mean(predictions: Sequence[Prediction]) -> Vector:
    """Returns the mean of the members' means by their weights, shape (m,)."""
    found: Vector = np.sum([p.weight * p.mean for p in predictions], axis=0)
    return found


class Process:
    """A process that is fitted again and again to growing data."""

    def __init__(self, choices: Mask, rng: np.random.Generator, *, warped: bool = True, noise: float = -5.0) -> None:
        """`warped` False: values are taken as they are; `noise` is the prior mean of the log noise."""
        self._choices, self._rng, self._warped = choices, rng, warped
        self._prior = Prior.of(choices, noise)
        shifts = (0.0, -3.0, 3.0) if warped else (0.0,)
        self._population = [np.concatenate([self._prior.mean[:_SHIFT], [shift]]) for shift in shifts]
        self.members: list[Member] = []
        """The sets that are averaged over, the most probable first."""
        self._rows: Rows = np.empty((0, len(choices)))
        self.observed: Rows = self._rows
        """The rows of the last fit, those that are only supposed left out."""

    def fit(self, rows: Rows, values: Vector, steps: int) -> None:
        """Fits finite values, shape (n,), at rows, shape (n, d), with `steps` steps of the random walk."""
        self._rows = self.observed = rows
        standardised = _Standardised(values) if self._warped else None
        cells = Distances(rows, rows, self._choices)

        def member(h: Vector) -> Member | None:
            z, warp, jacobian = (values, _NO_WARP, 0.0) if standardised is None else standardised.at(h[_SHIFT])
            return self._solved(h, cells, z, warp, jacobian)

        found = [m for h in (*self._population, self._prior.mean) if (m := member(h)) is not None]
        found = sorted(found, key=_by_score)[:KEPT]
        for _ in range(steps):
            new = member(self._moved(found[self._rng.integers(len(found))].h))
            if new is not None and (len(found) < KEPT or new.score > found[-1].score):
                found = sorted([*found, new], key=_by_score)[:KEPT]
        self._population = [m.h for m in found]
        weights = np.exp([m.score - found[0].score for m in found])
        kept = [(m, float(w)) for m, w in zip(found, weights / weights.sum(), strict=True) if w >= NEGLIGIBLE]
        self.members = [replace(m, weight=w) for m, w in kept]

    def suppose(self, rows: Rows) -> None:
        """Adds rows, shape (k, d), as if they had been observed at what is predicted there, until the next fit."""
        predictions = self.predict(rows)
        both = np.concatenate([self._rows, rows])
        cells = Distances(both, both, self._choices)
        found = []
        for member, predicted in zip(self.members, predictions, strict=True):
            z = np.concatenate([member.z, predicted.mean])
            solved = self._solved(member.h, cells, z, member.warp, 0.0)
            if solved is not None:
                found.append(replace(solved, variance=member.variance, weight=member.weight))
        if found:
            self._rows, self.members = both, found

    def predict(self, rows: Rows) -> list[Prediction]:
        """Returns what each member predicts at rows of shape (m, d)."""
        cells = Distances(rows, self._rows, self._choices)
        found = []
        for member in self.members:
            kernel = cells.kernel(member.h[:_NOISE])
            half = kernel @ member.inverse.T
            variance = np.maximum(1.0 - np.einsum("ij,ij->i", half, half), 1e-9) * member.variance
            best = float((member.z - math.exp(member.h[_NOISE]) * member.alpha).min())
            found.append(Prediction(kernel @ member.alpha, np.sqrt(variance), best, member.weight, member.warp))
        return found

    def _moved(self, h: Vector) -> Vector:
        """Returns a step of the random walk: some hyperparameters apart, or all scales together."""
        moved, step = h.copy(), _STEPS[self._rng.integers(len(_STEPS))]
        if self._rng.random() < _TOGETHER:
            moved[:_NOISE] += self._rng.normal(0.0, step)
        else:
            count = len(h) if self._warped else len(h) - 1
            picked = self._rng.random(count) < max(0.25, 2 / count)
            if not picked.any():
                picked[self._rng.integers(count)] = True
            moved[:count] += np.where(picked, self._rng.normal(0.0, step, count), 0.0)
        return np.clip(moved, self._prior.low, self._prior.high)

    def _solved(self, h: Vector, cells: Distances, z: Vector, warp: Warp, jacobian: float) -> Member | None:
        """Returns the process under one set of hyperparameters; None where its matrix is singular."""
        n = len(z)
        kernel = cells.kernel(h[:_NOISE])
        kernel[np.diag_indices(n)] += math.exp(h[_NOISE])
        factor, failed = lapack.dpotrf(kernel, lower=True, clean=True)
        if failed:
            return None
        inverse, _ = lapack.dtrtri(factor, lower=True)
        half = inverse @ z
        square = float(half @ half) + 2
        likelihood = -0.5 * (n + 2) * math.log(square) - float(np.log(np.diag(factor)).sum())
        score = likelihood + jacobian + self._prior.log_density(h)
        return Member(h, score, z, inverse, inverse.T @ half, square / (n + 2), warp)


_NO_WARP = Warp(0.0, 1.0, 0.0, 0.0, 1.0)


class _Standardised:
    """Values, and what the warp makes of them at each shift."""

    def __init__(self, values: Vector) -> None:
        halves = values / 2
        self._lowest = float(halves.min())
        above = halves - self._lowest
        scale, highest = float(np.median(halves)) - self._lowest, float(above.max())
        if scale <= 0:
            spread = float(np.std(above / highest)) * highest if highest > 0 else 0.0
            scale = max(spread, 1e-12 * max(1.0, abs(self._lowest)))
        with np.errstate(over="ignore"):
            self._ratio = np.minimum(above / scale, _FARTHEST)
        self._scale = scale

    def at(self, log_shift: float) -> tuple[Vector, Warp, float]:
        """Returns the standardised values, the warp, and the log of its Jacobian."""
        shift = math.exp(log_shift)
        logs = np.log(self._ratio + shift)
        centre, spread = float(logs.mean()), float(logs.std()) + 1e-9
        jacobian = -len(logs) * math.log(spread) - float(logs.sum())
        return (logs - centre) / spread, Warp(self._lowest, self._scale, shift, centre, spread), jacobian


def _by_score(member: Member) -> float:
    return -member.score
