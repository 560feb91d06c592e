"""The chart of a code agent's experiments: what was kept, what was not, and the best version so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from agentopt.code.keeper import Keeper, Verdict
from agentopt.report.html.marks import hover, value_axis
from agentopt.report.html.theme import INK, MUTED, chart
from agentopt.report.load import RunReport
from agentopt.report.palette import OKABE_ITO
from agentopt.report.scale import bounded, heights
from agentopt.report.verdicts import best_kept
from agentopt.trial import Trial

_LOOKS = {
    Verdict.KEEP.value: ("kept", {"color": OKABE_ITO[2], "symbol": "circle", "size": 11}),
    Verdict.DISCARD.value: ("discarded", {"color": OKABE_ITO[6], "symbol": "circle-open", "size": 8}),
    Verdict.OPEN.value: ("undecided", {"color": OKABE_ITO[4], "symbol": "diamond-open", "size": 9}),
    Verdict.AGAIN.value: ("second runs", {"color": OKABE_ITO[5], "symbol": "diamond", "size": 7}),
}
_OTHER = {"color": MUTED, "symbol": "square-open", "size": 8}
_CRASH = {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": OKABE_ITO[1]}}


def experiments(report: RunReport, keeper: Keeper) -> Any:
    """Returns the value of each experiment by what became of it, those without one below, and the best version kept."""
    at = {trial.id: n for n, trial in enumerate(report.trials)}
    traces: list[dict[str, Any]] = []
    best = [None if math.isnan(value) else bounded(value) for value in best_kept(report, keeper)]
    line = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "line": {"color": INK, "width": 2, "shape": "hv"}}
    traces.append({**line, "name": "best kept", "x": [at[e.trial] for e in keeper.experiments], "y": best})
    by_verdict: dict[str, list[Trial]] = {}
    for trial in report.trials:
        if trial.id in keeper.verdicts and trial.complete:
            by_verdict.setdefault(keeper.verdicts[trial.id].value, []).append(trial)
    for verdict in sorted(by_verdict, key=[*_LOOKS, *by_verdict].index):
        name, marker = _LOOKS.get(verdict, (verdict, _OTHER))
        own = by_verdict[verdict]
        points = [(at[t.id], y) for t, y in zip(own, heights(report, own), strict=True)]
        traces.append(_marks(report, own, points, f"{name} ({len(own)})", marker))
    if failed := [trial for trial in report.trials if not trial.complete]:
        name = f"no value ({len(failed)})"
        traces.append(_marks(report, failed, [(at[t.id], 0.0) for t in failed], name, _CRASH) | {"yaxis": "y2"})
    layout = {
        "xaxis": {"title": {"text": "experiment, in the order of ending"}, "anchor": "y2" if failed else "y"},
        "yaxis": {**value_axis(report), "domain": [0.1 if failed else 0, 1]},
        "yaxis2": {"domain": [0, 0.07], "visible": False, "range": [-1, 1], "fixedrange": True},
    }
    return chart(traces, layout, height=420)


def _marks(
    report: RunReport, trials: Sequence[Trial], places: Sequence[tuple[int, float]], name: str, marker: Any
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _ in places],
        "y": [y for _, y in places],
        "marker": marker,
        "cliponaxis": False,
        "customdata": [trial.id for trial in trials],
        "hovertext": [hover(trial, report) for trial in trials],
        "hoverinfo": "text",
    }
