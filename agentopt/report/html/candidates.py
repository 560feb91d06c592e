"""What the page shows of the candidates that were asked for, and of what was predicted of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.report.candidates import PROBABILITY, Candidates, Chances, Forecast, Pair, forecast_texts, pool_text
from agentopt.report.html.marks import hover, label, points, value_axis
from agentopt.report.html.theme import MUTED, PAPER, chart, text
from agentopt.report.load import RunReport
from agentopt.report.scale import forecast_scale, value_scale
from agentopt.report.tables import Table, candidates_table
from agentopt.report.text import number

_HEIGHT = 400


@dataclass(frozen=True)
class CandidatesPart:
    """The candidates of a run, ready for the template."""

    text: str
    counts: Table
    forecasts: Sequence[str]
    """What is said of the predictions: a line for each objective, and for probabilities."""
    figures: Mapping[str, Any]
    """Plotly figures by name, one for each of these lines."""


def candidates_part(report: RunReport, found: Candidates | None) -> CandidatesPart | None:
    """Returns what the page shows; None for a run without candidates."""
    if found is None:
        return None
    charts = [_forecast(forecast, report) for forecast in found.forecasts]
    charts += [] if found.chances is None else [_chances(found.chances, report)]
    figures = {f"predictions-{i}": figure for i, figure in enumerate(charts)}
    return CandidatesPart(pool_text(found), candidates_table(found), forecast_texts(found), figures)


def _forecast(forecast: Forecast, report: RunReport) -> Any:
    """Returns what was observed over what was predicted, with the line on which both are the same."""
    observed, predicted = ([p.observed for p in forecast.pairs], [p.predicted for p in forecast.pairs])
    scale = forecast_scale(observed, predicted, forecast.objective)
    assert scale.limits is not None
    ends = list(scale.limits)
    places = [scale.shown(value) for value in predicted], [scale.shown(value) for value in observed]
    line = {"color": MUTED, "width": 1.5, "dash": "dash"}
    same = {"type": "scatter", "mode": "lines", "name": "as predicted", "x": ends, "y": ends, "hoverinfo": "skip"}
    note = {"text": f"{scale.beyond} predicted far off, at the edge", "showarrow": False, "bgcolor": PAPER}
    note |= {"font": {"color": MUTED, "size": 11}, "xref": "paper", "yref": "paper", "x": 1, "xanchor": "right"}
    # Plotly takes the ends of a logarithmic axis as exponents.
    log = {"type": "log", "exponentformat": "power", "range": [math.log10(end) for end in ends]} if scale.log else {}
    axis: dict[str, Any] = {"range": ends, **log}
    layout = {
        "annotations": [{**note, "y": 0, "yanchor": "bottom", "opacity": 0.85}] if scale.beyond else [],
        "xaxis": {**axis, "title": {"text": f"predicted {text(forecast.objective.name)}"}},
        "yaxis": {**axis, "title": {"text": f"observed {label(forecast.objective)}"}},
    }
    return chart([*_points(forecast.pairs, *places, report), {**same, "line": line}], layout, height=_HEIGHT)


def _chances(chances: Chances, report: RunReport) -> Any:
    """Returns the observed value over the predicted probability, and the edge of the best fifth."""
    scale = value_scale(report)
    places = [pair.predicted for pair in chances.pairs], [scale.shown(pair.observed) for pair in chances.pairs]
    edge: dict[str, Any] = {"type": "scatter", "mode": "lines", "name": "edge of the best fifth", "hoverinfo": "skip"}
    edge |= {"x": [0, 1], "y": [scale.shown(chances.edge)] * 2, "line": {"color": MUTED, "width": 1.5, "dash": "dash"}}
    layout = {
        "xaxis": {"range": [-0.03, 1.03], "title": {"text": PROBABILITY}},
        "yaxis": value_axis(report),
    }
    return chart([*_points(chances.pairs, *places, report), edge], layout, height=_HEIGHT)


def _points(pairs: Sequence[Pair], x: Sequence[float], y: Sequence[float], report: RunReport) -> list[dict[str, Any]]:
    traces = []
    for origin in dict.fromkeys(pair.trial.origin for pair in pairs):
        own = [i for i, pair in enumerate(pairs) if pair.trial.origin is origin]
        made = points(report, [pairs[i].trial for i in own], [x[i] for i in own], [y[i] for i in own], origin)
        texts = [f"{hover(pairs[i].trial, report)}<br>predicted {number(pairs[i].predicted)}" for i in own]
        traces.append({**made, "hovertext": texts})
    return traces
