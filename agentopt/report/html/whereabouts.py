"""The chart of where the language model went, against where CMA-ES was."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentopt.report.analysis import RunAnalysis
from agentopt.report.html.marks import hover, ink, mark
from agentopt.report.html.parameters import ticks
from agentopt.report.html.theme import chart, text
from agentopt.report.load import RunReport
from agentopt.report.whereabouts import TURNS, Whereabouts, Window
from agentopt.trial import Origin, Trial

_DASHES = ("dot", "dash", "dashdot", "solid")


def whereabouts(analysis: RunAnalysis, went: Whereabouts) -> Any:
    """Returns the trials in the plane of two parameters, with CMA-ES's ellipses."""
    traces: list[dict[str, Any]] = []
    # The points of interest lie on top of the ellipses, and these on top of the other points.
    for origin in dict.fromkeys(t.origin for t in analysis.configured):
        # Complete ones first, for the legend shows the first mark.
        own = sorted((t for t in analysis.configured if t.origin is origin), key=lambda t: not t.complete)
        marker = mark(origin, 7 if origin in TURNS else 5)
        # Failed points are hollow.
        marker["symbol"] = [marker["symbol"] + ("" if trial.complete else "-open") for trial in own]
        points = np.array([went.point(trial) for trial in own])
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": origin.value,
            "marker": marker,
            "hoverinfo": "text",
        }
        texts = [_hover(trial, analysis.report, went) for trial in own]
        trace |= {"customdata": [t.id for t in own], "hovertext": texts}
        traces.append({**trace, "x": points[:, 0].tolist(), "y": points[:, 1].tolist()})
    turns = {origin.value for origin in TURNS}
    ellipses = [_ellipse(window, i) for i, window in enumerate(went.windows)]
    traces = [t for t in traces if t["name"] not in turns] + ellipses + [t for t in traces if t["name"] in turns]
    axis = {"range": [-0.05, 1.05], "zeroline": False}
    layout = {
        "xaxis": {**axis, "title": {"text": text(went.x.name)}, **ticks(went.x)},
        "yaxis": {**axis, "title": {"text": text(went.y.name)}, **ticks(went.y)},
    }
    return chart(traces, layout, height=520)


def _ellipse(window: Window, number: int) -> dict[str, Any]:
    line = np.clip(window.ellipse(), -0.5, 1.5)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": window.name,
        "x": line[:, 0].tolist(),
        "y": line[:, 1].tolist(),
        "line": {"color": ink(Origin.CMAES), "width": 1 + 0.5 * number, "dash": _DASHES[min(number, 3)]},
        "hoverinfo": "name",
    }


def _hover(trial: Trial, report: RunReport, went: Whereabouts) -> str:
    lines = [f"{p.name} {trial.params[p.name]:.4g}" for p in (went.x, went.y)]
    return "<br>".join([hover(trial, report), *map(text, lines)])
