"""The charts of several objectives: the front among all trials, and the hypervolume over the trials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from agentopt.report.fronts import MOST_PAIRED, front_of, grown, shared_reference
from agentopt.report.html.marks import hover, label, mark, points
from agentopt.report.html.theme import GRID, INK, MUTED, chart, text
from agentopt.report.load import RunReport
from agentopt.report.scale import bounded
from agentopt.report.text import number, shown
from agentopt.trial import Origin, Trial

_FAINT = 0.25
_MOST_SHOWN = 14
"""So many parameters of a configuration are shown where the pointer is."""
_GAP = 0.06


def front_charts(report: RunReport) -> dict[str, Any]:
    """Returns the charts of the front and of the hypervolume by name; none of one objective, or without a trial."""
    if len(report.objectives) == 1 or not report.front.trials:
        return {}
    draw = {2: _plane, 3: _space}.get(len(report.objectives), _pairs)
    return {"front": draw(report), "hypervolume": _hypervolume(report)}


def _hover(trial: Trial, report: RunReport) -> str:
    """Returns what is said of a trial that the pointer is on, its configuration included."""
    lines = [text(f"{name} = {shown(value)}") for name, value in list(trial.params.items())[:_MOST_SHOWN]]
    more = len(trial.params) - len(lines)
    return "<br>".join([hover(trial, report), *lines, *([f"and {more} more"] if more > 0 else [])])


def _groups(report: RunReport) -> list[tuple[Origin, bool, list[Trial]]]:
    """Returns the complete trials of each origin, those of the front last, and whether they are on it."""
    best = {trial.id for trial in report.front.trials}
    found = []
    for on in (False, True):
        for origin in dict.fromkeys(trial.origin for trial in report.trials):
            own = [t for t in report.trials if t.origin is origin and t.complete and (t.id in best) is on]
            if own:
                found.append((origin, on, own))
    return found


def _trace(report: RunReport, group: tuple[Origin, bool, list[Trial]], at: Sequence[int]) -> dict[str, Any]:
    """Returns the trace of a group of trials by two or three of their values."""
    origin, on, trials = group
    places = [[bounded(trial.values[i]) for trial in trials] for i in at]
    made: dict[str, Any] = points(report, trials, places[0], places[1], origin)
    made["hovertext"] = [_hover(trial, report) for trial in trials]
    made["name"] = f"{origin.value}, {'on the front' if on else 'dominated'}"
    made["marker"] = {**mark(origin, 9 if on else 7), "opacity": 0.95 if on else _FAINT}
    if len(at) == 3:
        del made["cliponaxis"]
        flat = {"triangle-up": "diamond", "triangle-down": "diamond", "pentagon": "square"}
        symbol = made["marker"]["symbol"]
        made |= {"type": "scatter3d", "z": places[2]}
        made["marker"] |= {"size": 5 if on else 3, "symbol": flat.get(symbol, symbol)}
    return made


def _plane(report: RunReport) -> Any:
    traces = [_trace(report, group, (0, 1)) for group in _groups(report)]
    edge = [[bounded(trial.values[i]) for trial in report.front.trials] for i in (0, 1)]
    base = {"type": "scatter", "hoverinfo": "skip"}
    line = {"color": INK, "shape": "hv", "width": 1.5}
    traces.append({**base, "mode": "lines", "name": "front", "x": edge[0], "y": edge[1], "line": line})
    if (reference := report.front.reference) is not None:
        x, y = reference.values
        cross = {"symbol": "x-thin", "size": 10, "line": {"width": 2, "color": MUTED}}
        name = "reference point"
        point = {**base, "mode": "markers", "name": name, "x": [bounded(x)], "y": [bounded(y)], "marker": cross}
        traces.append({**point, "visible": "legendonly"})
    titles = [{"title": {"text": label(o)}} for o in report.objectives]
    return chart(traces, {"xaxis": titles[0], "yaxis": titles[1]}, height=440)


def _space(report: RunReport) -> Any:
    traces = [_trace(report, group, (0, 1, 2)) for group in _groups(report)]
    axis = {"color": INK, "gridcolor": GRID, "zerolinecolor": GRID, "showbackground": False}
    names = zip("xyz", report.objectives, strict=True)
    scene = {f"{letter}axis": {**axis, "title": {"text": label(o)}} for letter, o in names}
    return chart(traces, {"scene": scene}, height=560)


def _pairs(report: RunReport) -> Any:
    """Returns a plane for each pair of objectives: one objective to a column, and one to a row."""
    count = min(len(report.objectives), MOST_PAIRED)
    step = (1 + _GAP) / (count - 1)
    traces, layout = list[dict[str, Any]](), dict[str, Any]()
    for n, (i, j) in enumerate(combinations(range(count), 2), start=1):
        left, low = i * step, 1 - j * step + _GAP
        own = "" if n == 1 else str(n)  # as plotly numbers its axes
        x: dict[str, Any] = {"domain": [left, min(1.0, left + step - _GAP)], "anchor": f"y{own}"}
        y: dict[str, Any] = {"domain": [max(0.0, low), min(1.0, low + step - _GAP)], "anchor": f"x{own}"}
        x |= {"title": {"text": label(report.objectives[i])}} if j == count - 1 else {}
        y |= {"title": {"text": label(report.objectives[j])}} if i == 0 else {}
        layout |= {f"xaxis{own}": x, f"yaxis{own}": y}
        for group in _groups(report):
            made = _trace(report, group, (i, j))
            made |= {"xaxis": f"x{own}", "yaxis": f"y{own}", "legendgroup": made["name"], "showlegend": n == 1}
            traces.append(made)
    return chart(traces, layout, height=160 + 190 * (count - 1))


def _hypervolume(report: RunReport) -> Any:
    curve = report.front.hypervolumes
    base = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    line = {"color": INK, "width": 2, "shape": "hv"}
    traces: list[dict[str, Any]] = [
        {**base, "name": "hypervolume", "x": list(range(len(curve))), "y": list(curve), "line": line}
    ]
    grew = grown(report.trials, curve)
    for origin in dict.fromkeys(trial.origin for trial in grew.values()):
        own = {n: trial for n, trial in grew.items() if trial.origin is origin}
        made = points(report, list(own.values()), list(own), [curve[n] for n in own], origin)
        texts = [f"{_hover(t, report)}<br>hypervolume {number(curve[n])}" for n, t in own.items()]
        traces.append({**made, "hovertext": texts})
    known = report.front.known
    if known is not None and curve:
        dash = {"color": MUTED, "width": 1.5, "dash": "dash"}
        traces.append(
            {**base, "name": "known to be possible", "x": [0, len(curve) - 1], "y": [known] * 2, "line": dash}
        )
    layout = {
        "xaxis": {"title": {"text": "trial, in the order in which they ended"}},
        "yaxis": {"title": {"text": "hypervolume"}, "rangemode": "tozero"},
    }
    return chart(traces, layout, height=380)


def joint_curves(reports: Sequence[RunReport]) -> list[tuple[float, ...]]:
    """Returns the hypervolume over the trials of several runs of one task, all from one reference point."""
    objectives = reports[0].objectives
    reference = shared_reference([report.trials for report in reports], objectives)
    return [front_of(report.trials, objectives, reference).hypervolumes for report in reports]
