"""Where the language model went, against where CMA-ES was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentopt.report.html.marks import hover, ink, mark
from agentopt.report.html.parameters import ticks
from agentopt.report.html.theme import chart, text
from agentopt.report.load import RunReport
from agentopt.space import Choice, Cube, Parameter, SearchSpace
from agentopt.trial import Origin, Trial

TURNS = (Origin.LLM, Origin.CONTROL)
"""Whose points are compared with CMA-ES's."""
SIGMAS = 2.0
_WINDOWS = 4
_FEWEST = 5
_MANY = 10
"""An ellipse needs this many points."""
_DASHES = ("dot", "dash", "dashdot", "solid")


@dataclass(frozen=True, slots=True)
class Window:
    """Some generations in a row of CMA-ES, and the normal distribution of its points in them."""

    first: int
    last: int
    mean: Cube
    covariance: Cube

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
    """The chart, and what it says in a sentence."""

    figure: Any
    caption: str


def whereabouts(report: RunReport, space: SearchSpace, order: Sequence[str], chosen: str) -> Whereabouts | None:
    """Returns the trials in the plane of the first two ordered parameters of `order`, with CMA-ES's ellipses.

    Parameters of few levels come last, for points would lie on each other. `chosen` says what the order is. None where
    the run has no point of a model (or of its control), or the space has no two ordered parameters.
    """
    ordered = [name for name in order if not isinstance(space[name], Choice)]
    names = sorted(ordered, key=lambda name: (space[name].levels or _MANY) < _MANY)[:2]
    if len(names) < 2 or not any(trial.origin in TURNS for trial in report.trials):
        return None
    x, y = space[names[0]], space[names[1]]
    windows = windows_of([t for t in report.trials if t.origin is Origin.CMAES], x, y)
    traces: list[dict[str, Any]] = []
    # The points of interest lie on top of the ellipses, and these on top of the other points.
    for origin in dict.fromkeys(t.origin for t in report.trials):
        # Complete ones first, for the legend shows the first mark.
        own = sorted((t for t in report.trials if t.origin is origin), key=lambda t: not t.complete)
        marker = mark(origin, 7 if origin in TURNS else 5)
        # Failed points are hollow.
        marker["symbol"] = [marker["symbol"] + ("" if trial.complete else "-open") for trial in own]
        points = np.array([_point(trial, x, y) for trial in own])
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": origin.value,
            "marker": marker,
            "hoverinfo": "text",
        }
        trace |= {"customdata": [t.id for t in own], "hovertext": [_hover(t, report, names) for t in own]}
        traces.append({**trace, "x": points[:, 0].tolist(), "y": points[:, 1].tolist()})
    turns = {origin.value for origin in TURNS}
    ellipses = [_ellipse(window, i) for i, window in enumerate(windows)]
    traces = [t for t in traces if t["name"] not in turns] + ellipses + [t for t in traces if t["name"] in turns]
    axis = {"range": [-0.05, 1.05], "zeroline": False}
    layout = {
        "xaxis": {**axis, "title": {"text": x.name}, **ticks(x)},
        "yaxis": {**axis, "title": {"text": y.name}, **ticks(y)},
    }
    caption = f"In the plane of {x.name} and {y.name}, {chosen}. Hollow marks are trials that failed."
    return Whereabouts(chart(traces, layout, height=520), f"{caption} {_sentence(report, windows, x, y)}".strip())


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


def _ellipse(window: Window, number: int) -> dict[str, Any]:
    line = np.clip(window.ellipse(), -0.5, 1.5)
    span = f"{window.first}" if window.first == window.last else f"{window.first} to {window.last}"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"CMA-ES, generations {span}",
        "x": line[:, 0].tolist(),
        "y": line[:, 1].tolist(),
        "line": {"color": ink(Origin.CMAES), "width": 1 + 0.5 * number, "dash": _DASHES[min(number, 3)]},
        "hoverinfo": "name",
    }


def _sentence(report: RunReport, windows: Sequence[Window], x: Parameter, y: Parameter) -> str:
    if not windows:
        return "There are too few points of CMA-ES for an ellipse."
    parts = [f"The ellipses hold the points of CMA-ES within {SIGMAS:g} standard deviations, estimated from them."]
    for origin in TURNS:
        inside = []
        for trial in (t for t in report.trials if t.origin is origin):
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


def _hover(trial: Trial, report: RunReport, names: Sequence[str]) -> str:
    lines = [f"{name} {trial.params[name]:.4g}" for name in names]
    return "<br>".join([hover(trial, report), *map(text, lines)])
