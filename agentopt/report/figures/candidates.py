"""The figure of what was predicted of trials, against what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentopt.report.candidates import PROBABILITY, Candidates, Chances, Forecast, Pair
from agentopt.report.canvas import MUTED, dress, legend, new_figure
from agentopt.report.figures.trials import look, scale_values, value_name
from agentopt.report.load import RunReport
from agentopt.report.scale import forecast_scale, value_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 3


def predictions_figure(report: RunReport, found: Candidates) -> Figure:
    """Returns a panel for each objective, observed over predicted values; of probabilities one for them."""
    count = len(found.forecasts) + (found.chances is not None)
    across = min(_ACROSS, count)
    down = -(-count // across)
    figure = new_figure(6.6 if across == 1 else 4 * across + 1.4, 4.8 if down == 1 else 3.8 * down)
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for panel, forecast in zip(panels, found.forecasts, strict=False):
        _forecast(panel, forecast)
    if found.chances is not None:
        _chances(panels[count - 1], found.chances, report)
    for panel in panels[count:]:
        panel.set_axis_off()
    legend(figure, panels[:count])
    return figure


def _forecast(axes: Any, forecast: Forecast) -> None:
    observed, predicted = ([p.observed for p in forecast.pairs], [p.predicted for p in forecast.pairs])
    scale = forecast_scale(observed, predicted, forecast.objective)
    _points(axes, forecast.pairs, [scale.shown(v) for v in predicted], [scale.shown(v) for v in observed])
    if scale.log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    assert scale.limits is not None
    axes.plot(scale.limits, scale.limits, "--", color=MUTED, linewidth=1, label="as predicted")
    axes.set_xlim(scale.limits)
    axes.set_ylim(scale.limits)
    if scale.beyond:
        text = f"{scale.beyond} predicted far off, at the edge"
        axes.text(0.98, 0.03, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)
    name = f"{forecast.objective.name} ({forecast.objective.direction})"
    dress(axes, "predicted", "observed", name)


def _chances(axes: Any, chances: Chances, report: RunReport) -> None:
    scale = value_scale(report)
    places = [scale.shown(pair.observed) for pair in chances.pairs]
    _points(axes, chances.pairs, [pair.predicted for pair in chances.pairs], places)
    scale_values(axes, scale)
    edge = scale.shown(chances.edge)
    axes.axhline(edge, color=MUTED, linestyle="--", linewidth=1, label="edge of the best fifth")
    dress(axes, PROBABILITY, value_name(report))


def _points(axes: Any, pairs: Sequence[Pair], x: Sequence[float], y: Sequence[float]) -> None:
    for origin in dict.fromkeys(pair.trial.origin for pair in pairs):
        own = [i for i, pair in enumerate(pairs) if pair.trial.origin is origin]
        label = f"{origin.value} ({len(own)})"
        axes.scatter([x[i] for i in own], [y[i] for i in own], label=label, clip_on=False, **look(origin))
