"""Where the language model went, against where CMA-ES was: in the plane of two parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentopt.space import Choice, Cube, Parameter, SearchSpace
from agentopt.trial import Origin, Trial

TURNS = (Origin.LLM, Origin.CONTROL)
"""Whose points are compared with CMA-ES's."""
SIGMAS = 2.0
_WINDOWS = 4
_FEWEST = 5
"""An ellipse needs this many points."""
_MANY = 10
"""Points on fewer levels than this lie on each other."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some generations in a row of CMA-ES, and the normal distribution of its points in them."""

    first: int
    last: int
    mean: Cube
    covariance: Cube

    @property
    def name(self) -> str:
        """What a legend calls it."""
        span = f"generation {self.first}" if self.first == self.last else f"generations {self.first} to {self.last}"
        return f"CMA-ES, {span}"

    def holds(self, point: Cube) -> bool:
        """Whether a point lies within the ellipse."""
        away = point - self.mean
        return bool(away @ np.linalg.solve(self.covariance, away) <= SIGMAS**2)

    def ellipse(self, points: int = 65) -> Cube:
        """Returns the ellipse as a closed line, shape (points, 2)."""
        angles = np.linspace(0, 2 * math.pi, points)
        circle = np.stack([np.cos(angles), np.sin(angles)])
        line: Cube = self.mean + SIGMAS * (np.linalg.cholesky(self.covariance) @ circle).T
        return line


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A plane, the ellipses of CMA-ES in it, and what is seen there in words."""

    x: Parameter
    y: Parameter
    windows: tuple[Window, ...]
    caption: str

    def point(self, trial: Trial) -> Cube:
        """Returns a trial's place in the plane, each coordinate from 0 to 1."""
        return _point(trial, self.x, self.y)


def whereabouts(trials: Sequence[Trial], space: SearchSpace, order: Sequence[str], chosen: str) -> Whereabouts | None:
    """Returns where trials are in the plane of the first two ordered parameters of `order`.

    Parameters of few levels come last, for points would lie on each other. `chosen` says what the order is. None where
    there is no point of a model (or of its control), or the space has no two ordered parameters.
    """
    ordered = [name for name in order if not isinstance(space[name], Choice)]
    names = sorted(ordered, key=lambda name: (space[name].levels or _MANY) < _MANY)[:2]
    if len(names) < 2 or not any(trial.origin in TURNS for trial in trials):
        return None
    x, y = space[names[0]], space[names[1]]
    windows = windows_of([t for t in trials if t.origin is Origin.CMAES], x, y)
    caption = f"In the plane of {x.name} and {y.name}, {chosen}. Hollow marks are trials that failed."
    return Whereabouts(x, y, tuple(windows), f"{caption} {_sentence(trials, windows, x, y)}".strip())


def windows_of(trials: Sequence[Trial], x: Parameter, y: Parameter) -> list[Window]:
    """Returns up to four runs of generations with about as many points each, oldest first."""
    generations: dict[int, list[Trial]] = {}
    for trial in trials:
        generations.setdefault(_generation(trial), []).append(trial)
    least = max(_FEWEST, math.ceil(len(trials) / _WINDOWS))
    groups: list[list[int]] = [[]]
    for generation in sorted(generations):
        if sum(len(generations[g]) for g in groups[-1]) >= least:
            groups.append([])
        groups[-1].append(generation)
    found = []
    for group in groups:
        points = np.array([_point(trial, x, y) for g in group for trial in generations[g]])
        if len(points) >= _FEWEST:
            # A little is added, so that points on a line have an ellipse, too.
            covariance = np.cov(points.T) + 1e-6 * np.eye(2)
            found.append(Window(group[0], group[-1], points.mean(axis=0), covariance))
    return found


def _sentence(trials: Sequence[Trial], windows: Sequence[Window], x: Parameter, y: Parameter) -> str:
    if not windows:
        return "There are too few points of CMA-ES for an ellipse."
    parts = [f"The ellipses hold the points of CMA-ES within {SIGMAS:g} standard deviations, estimated from them."]
    for origin in TURNS:
        inside = []
        for trial in (t for t in trials if t.origin is origin):
            window = next((w for w in windows if _generation(trial) <= w.last), windows[-1])
            inside.append(window.holds(_point(trial, x, y)))
        if inside:
            who = "the model" if origin is Origin.LLM else "the control"
            parts.append(f"{sum(inside)} of {len(inside)} points of {who} lie in the ellipse of their time.")
    return " ".join(parts)


def _generation(trial: Trial) -> int:
    found = trial.note.get("generation")
    return found if isinstance(found, int) else 0


def _point(trial: Trial, x: Parameter, y: Parameter) -> Cube:
    return np.array([x.encode(trial.params[x.name]), y.encode(trial.params[y.name])])
