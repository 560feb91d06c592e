"""The charts over a run's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from agentopt.report.html.marks import heights, mark, points, value_axis
from agentopt.report.html.theme import GRID, chart, text
from agentopt.report.load import RunReport
from agentopt.report.text import shown
from agentopt.space import Choice, Float, Int, Parameter, SearchSpace

_CELLS = 12
"""The columns of the failures map: 1, 2, 3, 4 and 6 levels divide them evenly."""
_BINS = 6
_TICKS = 5
_FEW = 8


def failures_map(report: RunReport, space: SearchSpace) -> Any:
    """Returns the share of trials that failed in each part of each parameter's range."""
    rows, texts = [], []
    for parameter in space.parameters:
        bins = parameter.levels if parameter.levels is not None and parameter.levels <= _CELLS else _BINS
        counts = [[0, 0] for _ in range(bins)]
        for trial in report.trials:
            cell = min(bins - 1, int(parameter.encode(trial.params[parameter.name]) * bins))
            counts[cell][0] += not trial.complete
            counts[cell][1] += 1
        at = [min(bins - 1, int((j + 0.5) / _CELLS * bins)) for j in range(_CELLS)]
        rows.append([counts[b][0] / counts[b][1] if counts[b][1] else None for b in at])
        texts.append([text(f"{_part(parameter, b, bins)}: {counts[b][0]} of {counts[b][1]} failed") for b in at])
    trace = {
        "type": "heatmap",
        "z": rows,
        "x": [(j + 0.5) / _CELLS for j in range(_CELLS)],
        "y": [parameter.name for parameter in space.parameters],
        "text": texts,
        "hovertemplate": "%{y}<br>%{text}<extra></extra>",
        "colorscale": [[0, GRID], [1, "#D55E00"]],
        "zmin": 0,
        "zmax": 1,
        "hoverongaps": False,
        "ygap": 2,
        "colorbar": {"title": {"text": "failed"}, "tickformat": ".0%", "thickness": 12, "len": 0.9},
    }
    ends = {"tickvals": [0.03, 0.97], "ticktext": ["low end", "high end"], "range": [0, 1], "showgrid": False}
    layout = {
        "xaxis": ends,
        "yaxis": {"autorange": "reversed", "showgrid": False, "tickfont": {"size": 11}},
        "margin": {"r": 4},
    }
    return chart([trace], layout, height=max(180, 24 * len(space) + 70))


def _part(parameter: Parameter, cell: int, cells: int) -> str:
    if parameter.levels is not None and parameter.levels == cells:
        return shown(parameter.decode((cell + 0.5) / cells))
    low, high = parameter.decode(cell / cells), parameter.decode((cell + 1) / cells)
    return f"{shown(low)} to {shown(high)}"


def importance(shares: Mapping[str, float]) -> Any:
    """Returns the parameters' importances as bars."""
    names = list(shares)[::-1]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [shares[name] for name in names],
        "y": names,
        "text": [f"{shares[name]:.0%}" for name in names],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": "#0072B2"},
        "hoverinfo": "skip",
    }
    layout = {"xaxis": {"tickformat": ".0%", "rangemode": "tozero"}, "yaxis": {"tickfont": {"size": 11}}}
    return chart([trace], {**layout, "margin": {"r": 44}}, height=max(180, 24 * len(names) + 60))


def slices(report: RunReport, parameter: Parameter) -> Any:
    """Returns the first value over one parameter."""
    traces = []
    for origin in dict.fromkeys(trial.origin for trial in report.trials):
        own = [trial for trial in report.trials if trial.origin is origin and trial.complete]
        x = [trial.params[parameter.name] for trial in own]
        shown_x = [text(value) for value in x] if isinstance(parameter, Choice) else x
        trace = points(report, own, shown_x, heights(report, own), origin)
        traces.append({**trace, "marker": mark(origin, 5)})
    value = value_axis(report)
    axis: dict[str, Any] = {"title": {"text": text(parameter.name)}}
    if isinstance(parameter, Choice):
        categories = [text(choice) for choice in parameter.choices]
        axis |= {"type": "category", "categoryorder": "array", "categoryarray": categories}
    elif parameter.log or (not isinstance(parameter, Float) and parameter.powers_of is not None):
        marks = _log_marks(parameter)
        axis |= {"type": "log", "tickvals": marks, "ticktext": [f"{mark_:g}" for mark_ in marks]}
    layout = {"xaxis": axis, "yaxis": {**value, "title": {"text": ""}}, "showlegend": False}
    return chart(traces, {**layout, "margin": {"l": 44, "r": 8, "t": 8, "b": 40}}, height=230)


def _log_marks(parameter: Float | Int) -> list[float]:
    """Returns where to mark a logarithmic axis: at the values where there are few, else at 1, 3, 10, 30 and so on."""
    if parameter.grid is not None and len(parameter.grid) <= _FEW:
        return list(parameter.grid)
    low, high = (math.floor(math.log10(parameter.low)), math.ceil(math.log10(parameter.high)))
    steps = (1, 3) if high - low <= 3 else (1,)
    return [step * 10.0**decade for decade in range(low, high + 1) for step in steps]


def ticks(parameter: Parameter) -> dict[str, Any]:
    """Returns marks on the unit interval, labelled in the parameter's own units."""
    levels = parameter.levels
    count = levels if levels is not None and levels <= _FEW else _TICKS
    at = [(i + 0.5) / count for i in range(count)] if count == levels else [i / (count - 1) for i in range(count)]
    labels = [parameter.decode(u) for u in at]
    return {"tickvals": at, "ticktext": [text(f"{v:.3g}" if isinstance(v, float) else v) for v in labels]}


def parallel(report: RunReport, space: SearchSpace, order: Sequence[str]) -> Any:
    """Returns each complete trial as a line over its parameters and values."""
    complete = sorted((t for t in report.trials if t.complete), key=lambda t: -report.objectives[0].loss(t.values[0]))
    dimensions: list[dict[str, Any]] = []
    for name in order:
        values = [space[name].encode(trial.params[name]) for trial in complete]
        dimensions.append({"label": name, "values": values, "range": [0, 1], **ticks(space[name])})
    first = heights(report, complete)
    dimensions.append({"label": text(report.objectives[0].name), "values": first})
    for i, objective in enumerate(report.objectives[1:], start=1):
        dimensions.append({"label": text(objective.name), "values": [trial.values[i] for trial in complete]})
    trace = {
        "type": "parcoords",
        "dimensions": dimensions,
        "labelangle": -22,
        "labelfont": {"size": 11},
        "tickfont": {"size": 10},
        "rangefont": {"color": "rgba(0,0,0,0)"},
        "line": {
            "color": first,
            "colorscale": [[0, "#D55E00"], [0.4, "#E69F00"], [1, GRID]],  # the best stand out in both themes
            "reversescale": report.objectives[0].direction == "maximize",
            "showscale": True,
            "colorbar": {"title": {"text": text(report.objectives[0].name)}, "thickness": 12},
        },
    }
    return chart([trace], {"margin": {"l": 60, "r": 20, "t": 96, "b": 24}}, height=420)
