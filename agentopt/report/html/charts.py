"""The charts over a run's trials, and over several runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from agentopt.report.html.fronts import joint_curves
from agentopt.report.html.marks import hover, label, points, value_axis
from agentopt.report.html.theme import INK, MUTED, PAPER, chart, text
from agentopt.report.load import RunReport
from agentopt.report.palette import OKABE_ITO, status_colour
from agentopt.report.scale import bounded, heights, value_scale
from agentopt.trial import Status, Trial


def convergence(report: RunReport) -> Any:
    """Returns the best value so far over the trials, each trial coloured by its origin, the failed ones below."""
    order = {trial.id: n for n, trial in enumerate(report.trials)}
    traces: list[dict[str, Any]] = []
    for origin in dict.fromkeys(trial.origin for trial in report.trials):
        own = [trial for trial in report.trials if trial.origin is origin and trial.complete]
        traces.append(points(report, own, [order[t.id] for t in own], heights(report, own), origin))
    best = [None if math.isnan(value) else bounded(value) for value in report.best_so_far]
    line = {"color": INK, "width": 2, "shape": "hv"}
    base = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    traces.append({**base, "name": report.standing.curve_name, "x": list(order.values()), "y": best, "line": line})
    if (default := report.standing.default) is not None:
        ends = {"x": [0, max(0, len(report.trials) - 1)], "y": [bounded(default.value)] * 2}
        traces.append({**base, **ends, "name": "default", "line": {"color": MUTED, "width": 1.5, "dash": "dash"}})
    failed = [trial for trial in report.trials if not trial.complete]
    for status in dict.fromkeys(trial.outcome.status for trial in failed):
        own = [trial for trial in failed if trial.outcome.status is status]
        traces.append(_failures(report, own, [order[t.id] for t in own], status))
    beyond = value_scale(report).beyond
    note = {"text": f"{beyond} worse, at the edge", "showarrow": False, "font": {"color": MUTED, "size": 11}}
    note |= {"bgcolor": PAPER, "opacity": 0.85}
    corner = {"xref": "paper", "yref": "paper", "x": 1, "xanchor": "right"}
    corner |= {"y": 1, "yanchor": "top", "yshift": -8} if report.objectives[0].direction == "minimize" else {"y": 0.12}
    layout = {
        "annotations": [{**note, **corner}] if beyond else [],
        "xaxis": {"title": {"text": "trial, in the order in which they ended"}, "anchor": "y2" if failed else "y"},
        "yaxis": {**value_axis(report), "domain": [0.1 if failed else 0, 1]},
        "yaxis2": {"domain": [0, 0.07], "visible": False, "range": [-1, 1], "fixedrange": True},
    }
    return chart(traces, layout, height=460)


def _failures(report: RunReport, trials: Sequence[Trial], x: Sequence[int], status: Status) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{status.value} (no value)",
        "x": list(x),
        "y": [0] * len(x),
        "yaxis": "y2",
        "marker": {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": status_colour(status)}},
        "customdata": [trial.id for trial in trials],
        "hovertext": [hover(trial, report) for trial in trials],
        "hoverinfo": "text",
    }


def overlay(reports: Sequence[RunReport]) -> Any:
    """Returns the best value so far of several runs of one task, coloured by method; by run where there is but one.

    Of several objectives it is the hypervolume so far.
    """
    several = len(reports[0].objectives) > 1
    curves = joint_curves(reports) if several else [report.best_so_far for report in reports]
    methods = list(dict.fromkeys(report.method for report in reports))
    single = len(methods) == 1
    traces: list[dict[str, Any]] = []
    for i, report in enumerate(reports):
        at = i if single else methods.index(report.method)
        line: dict[str, Any] = {"color": OKABE_ITO[at % len(OKABE_ITO)], "shape": "hv", "width": 2}
        dash = ("solid", "dash", "dot", "dashdot")[at // len(OKABE_ITO) % 4]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": text(f"{report.method}, seed {report.seed}"),
                "x": list(range(1, len(report.trials) + 1)),
                "y": [None if math.isnan(value) else bounded(value) for value in curves[i]],
                "line": {**line, "dash": dash},
            }
        )
    quantity = "hypervolume" if several else label(reports[0].objectives[0])
    layout = {"xaxis": {"title": {"text": "number of trials"}}, "yaxis": {"title": {"text": quantity}}}
    return chart(traces, layout, height=420)


def ledger(report: RunReport) -> Any:
    """Returns the tokens of each exchange with the language model, and which ones could not be used."""
    calls = list(range(len(report.exchanges)))
    texts = [text(f"call {e.call}: {e.status}, {e.seconds:.3g} s") for e in report.exchanges]
    bar: dict[str, Any] = {"type": "bar", "x": calls, "customdata": calls, "hovertext": texts}
    prompt = [e.prompt_tokens for e in report.exchanges]
    reply = [e.completion_tokens for e in report.exchanges]
    traces: list[dict[str, Any]] = [
        {**bar, "name": "prompt tokens", "y": prompt, "marker": {"color": "#56B4E9"}},
        {**bar, "name": "completion tokens", "y": reply, "marker": {"color": "#D55E00"}},
    ]
    for status, symbol in (("invalid", "x-thin"), ("too_long", "line-ew"), ("error", "asterisk")):
        bad = [i for i in calls if report.exchanges[i].status == status]
        if bad:
            marker = {"symbol": symbol, "size": 9, "line": {"width": 2, "color": INK}}
            point = {"type": "scatter", "mode": "markers", "name": status, "marker": marker, "x": bad}
            traces.append({**point, "y": [prompt[i] + reply[i] for i in bad], "customdata": bad})
    layout = {
        "barmode": "stack",
        "legend": {"traceorder": "normal"},
        "xaxis": {"title": {"text": "exchange"}},
        "yaxis": {"title": {"text": "tokens"}},
    }
    return chart(traces, layout, height=320)
