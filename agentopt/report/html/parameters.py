"""The charts over a run's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentopt.report.analysis import RunAnalysis
from agentopt.report.axes import is_log, log_marks, unit_marks
from agentopt.report.failure_map import CELLS, Part, columns
from agentopt.report.html.marks import mark, points, value_axis
from agentopt.report.html.theme import GRID, chart, text
from agentopt.report.scale import bounded, heights
from agentopt.space import Choice, Parameter


def failures_map(rows: Mapping[str, Sequence[Part]]) -> Any:
    """Returns the share of trials that failed in each part of each parameter's range."""
    cells = [columns(parts) for parts in rows.values()]
    trace = {
        "type": "heatmap",
        "z": [[part.share for part in row] for row in cells],
        "x": [(column + 0.5) / CELLS for column in range(CELLS)],
        "y": [text(name) for name in rows],
        "text": [[text(f"{part.name}: {part.failed} of {part.trials} failed") for part in row] for row in cells],
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
    return chart([trace], layout, height=max(180, 24 * len(rows) + 70))


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


def slices(analysis: RunAnalysis, parameter: Parameter) -> Any:
    """Returns the first value over one parameter."""
    report, traces = analysis.report, []
    for origin in dict.fromkeys(trial.origin for trial in analysis.completed):
        own = [trial for trial in analysis.completed if trial.origin is origin]
        x = [trial.params[parameter.name] for trial in own]
        shown_x = [text(value) for value in x] if isinstance(parameter, Choice) else x
        trace = points(report, own, shown_x, heights(report, own), origin)
        traces.append({**trace, "marker": mark(origin, 5)})
    value = value_axis(report)
    axis: dict[str, Any] = {"title": {"text": text(parameter.name)}}
    if isinstance(parameter, Choice):
        categories = [text(choice) for choice in parameter.choices]
        axis |= {"type": "category", "categoryorder": "array", "categoryarray": categories}
    elif is_log(parameter):
        marks, labels = log_marks(parameter)
        axis |= {"type": "log", "tickvals": marks, "ticktext": labels}
    layout = {"xaxis": axis, "yaxis": {**value, "title": {"text": ""}}, "showlegend": False}
    return chart(traces, {**layout, "margin": {"l": 44, "r": 8, "t": 8, "b": 40}}, height=230)


def ticks(parameter: Parameter) -> dict[str, Any]:
    """Returns marks on the unit interval, labelled in the parameter's own units."""
    at, labels = unit_marks(parameter)
    return {"tickvals": at, "ticktext": [text(label) for label in labels]}


def parallel(analysis: RunAnalysis) -> Any:
    """Returns each complete trial as a line over its parameters and values."""
    report, space = analysis.report, analysis.space
    complete = sorted(analysis.completed, key=lambda t: -report.objectives[0].loss(t.values[0]))
    dimensions: list[dict[str, Any]] = []
    for name in analysis.order:
        values = [space[name].encode(trial.params[name]) for trial in complete]
        dimensions.append({"label": name, "values": values, "range": [0, 1], **ticks(space[name])})
    first = heights(report, complete)
    dimensions.append({"label": text(report.objectives[0].name), "values": first})
    for i, objective in enumerate(report.objectives[1:], start=1):
        dimensions.append({"label": text(objective.name), "values": [bounded(t.values[i]) for t in complete]})
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
