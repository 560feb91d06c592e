"""What the figures of a comparison share: each method's look, and its curve with an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agentopt.report.canvas import new_figure
from agentopt.report.comparison.cells import Array, TaskFacts
from agentopt.report.comparison.curves import Curve
from agentopt.report.comparison.folder import Comparison
from agentopt.report.palette import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = ("-", "--", ":", "-.")
_ACROSS = 3
_DECADE = 10.0
_SETTLED = 0.1
"""The share of the cost after which curves decide the limits of an axis that is not logarithmic."""


def looks(comparison: Comparison) -> Mapping[str, dict[str, Any]]:
    """Returns each method's colour and dashes, which together are its own for up to 28 methods."""
    many = len(OKABE_ITO)
    return {
        label: {"color": OKABE_ITO[i % many], "linestyle": _STYLES[i // many % len(_STYLES)]}
        for i, label in enumerate(comparison.labels)
    }


def panels(count: int) -> tuple[Figure, list[Any]]:
    """Returns a figure with so many panels, three to a row."""
    across = min(_ACROSS, count)
    down = math.ceil(count / across)
    figure = new_figure(4.2 * across + 2.2, 3.2 * down + 0.2)
    found = list(figure.subplots(down, across, squeeze=False).flat)
    for panel in found[count:]:
        panel.set_axis_off()
    return figure, found[:count]


def draw_curves(
    axes: Any,
    task: TaskFacts,
    curves: Sequence[Curve],
    dressed: Mapping[str, dict[str, Any]],
    reference: float | None = None,
) -> None:
    """Draws the median of each method over its cost, with its interval: regrets, or with `reference` values."""

    def shown(regret: Array) -> Array:
        if reference is None:
            return regret
        values: Array = np.asarray(regret + reference, dtype=float)
        return -values if task.objective.direction == "maximize" else values

    settled = []
    for curve in curves:
        look = dressed[curve.label]
        median = np.where(np.isfinite(curve.median), shown(curve.median), math.nan)
        axes.plot(curve.costs, median, drawstyle="steps-post", label=curve.label, linewidth=1.5, **look)
        low, high = shown(curve.low), shown(curve.high)
        axes.fill_between(curve.costs, low, high, step="post", color=look["color"], alpha=0.15, linewidth=0)
        settled.append(median[int(_SETTLED * len(median)) :])
    _scale(axes, np.concatenate(settled), logarithmic=reference is None)


def _scale(axes: Any, values: Array, *, logarithmic: bool) -> None:
    """Chooses an axis on which the curves can be told apart once the first, worst trials are over."""
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if logarithmic and positive.size and positive.max() > _DECADE * positive.min():
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(bottom=positive.min() / 2)
    elif values.size and np.ptp(values):
        margin = 0.15 * np.ptp(values)
        axes.set_ylim(values.min() - margin, values.max() + margin)
