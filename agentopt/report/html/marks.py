"""What the charts share: marks, axes, and what they say of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentopt.protocols import Objective
from agentopt.report.html.theme import INK, text
from agentopt.report.load import RunReport
from agentopt.report.palette import BLACK, colour
from agentopt.report.scale import value_scale
from agentopt.report.text import number
from agentopt.trial import Origin, Trial

_SYMBOLS = {
    Origin.BASELINE: "diamond",
    Origin.USER: "square",
    Origin.SOBOL: "triangle-down",
    Origin.LLM: "triangle-up",
    Origin.FALLBACK: "cross",
    Origin.CONTROL: "pentagon",
    Origin.REPEAT: "diamond-tall",
}


def ink(origin: Origin) -> str:
    """Returns an origin's colour; what is black on paper takes the theme's ink."""
    found = colour(origin)
    return INK if found == BLACK else found


def mark(origin: Origin, size: int = 7) -> dict[str, Any]:
    """Returns the marker of an origin."""
    return {
        "color": ink(origin),
        "symbol": _SYMBOLS.get(origin, "circle"),
        "size": size + 2 * (origin in _SYMBOLS),
        "opacity": 0.85,
    }


def hover(trial: Trial, report: RunReport) -> str:
    """Returns what a chart says of a trial that the pointer is on."""
    values = [f"{o.name} {number(v)}" for o, v in zip(report.objectives, trial.values, strict=False)]
    error = (trial.outcome.error.strip().splitlines() or [""])[-1][:100]
    lines = [f"trial {trial.id}, {trial.origin.value}: {trial.outcome.status.value}", *values, error]
    return "<br>".join(text(line) for line in lines if line)


def label(objective: Objective) -> str:
    """Returns an axis' title."""
    return text(f"{objective.name} ({objective.direction})")


def value_axis(report: RunReport) -> dict[str, Any]:
    """Returns the axis of the first objective, on which the good values can be told apart."""
    scale = value_scale(report)
    axis: dict[str, Any] = {"title": {"text": label(report.objectives[0])}}
    if scale.log:
        axis |= {"type": "log", "exponentformat": "power"}
    if scale.limits is not None:
        axis["range"] = list(scale.limits)
    return axis


def points(report: RunReport, trials: Sequence[Trial], x: Sequence[Any], y: Sequence[Any], origin: Origin) -> Any:
    """Returns the trace of trials of one origin at these places."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": origin.value,
        "x": list(x),
        "y": list(y),
        "marker": mark(origin),
        "cliponaxis": False,
        "customdata": [trial.id for trial in trials],
        "hovertext": [hover(trial, report) for trial in trials],
        "hoverinfo": "text",
    }
