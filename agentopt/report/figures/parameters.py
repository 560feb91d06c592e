"""The figures over a run's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agentopt.report.analysis import RunAnalysis
from agentopt.report.axes import is_log, log_marks, unit_marks
from agentopt.report.canvas import GRID, dress, legend, new_figure, words
from agentopt.report.failure_map import Part, columns
from agentopt.report.figures.trials import look, scale_values, value_name
from agentopt.report.palette import OKABE_ITO
from agentopt.report.scale import heights, value_scale
from agentopt.space import Choice, Int, Parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 4
_GOOD_TO_BAD = (OKABE_ITO[1], OKABE_ITO[4], GRID)
_CLEAR = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "boxstyle": "square,pad=0.1"}
"""The ground of texts that stand on lines."""
_ROOM = 24
"""The characters that fit below a panel."""
_MANY = 2000
"""More lines than this are pixels in an SVG, too."""


def importance_figure(shares: Mapping[str, float]) -> Figure:
    """Returns the parameters' importances as bars."""
    figure = new_figure(7.4, 0.9 + 0.28 * len(shares))
    axes = figure.add_subplot()
    names = list(shares)
    bars = axes.barh([words(name) for name in names], [shares[name] for name in names], color=OKABE_ITO[0])
    axes.bar_label(bars, [f"{shares[name]:.0%}" for name in names], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.xaxis.set_major_formatter("{x:.0%}")
    dress(axes, "share in reaching the best tenth of the trials (PED-ANOVA)", "", "Parameter importance")
    axes.grid(visible=False, axis="y")
    return figure


def failures_figure(rows: Mapping[str, Sequence[Part]]) -> Figure:
    """Returns the share of trials that failed in each part of each parameter's range; blank where no trial was."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = new_figure(7.4, 1.1 + 0.28 * len(rows))
    axes = figure.add_subplot()
    nothing = math.nan
    shares = [[nothing if part.share is None else part.share for part in columns(parts)] for parts in rows.values()]
    colours = LinearSegmentedColormap.from_list("failed", [GRID, OKABE_ITO[1]])
    mesh = axes.pcolormesh(np.array(shares), cmap=colours, vmin=0, vmax=1)
    axes.hlines(range(1, len(rows)), 0, len(shares[0]), color="white", linewidth=2)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], [words(name) for name in rows])
    axes.set_xticks([0, len(shares[0])], ["low end", "high end"])
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label="failed", format="{x:.0%}")
    axes.set_title("Share of trials without a value over each range", fontsize=10)
    return figure


def slices_figure(analysis: RunAnalysis) -> Figure:
    """Returns the first value over each parameter, a panel each, in the order of their importance."""
    across = min(_ACROSS, len(analysis.order))
    down = math.ceil(len(analysis.order) / across)
    figure = new_figure(2.7 * across + 1.5, 2.3 * down + 0.3)
    panels = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
    for panel, name in zip(panels, analysis.order, strict=False):
        _slice(panel, analysis, analysis.space[name])
        dress(panel, name, "")
    for panel in panels[len(analysis.order) :]:
        panel.set_axis_off()
    figure.supylabel(words(value_name(analysis.report)), fontsize=10)
    legend(figure, panels[:1])
    return figure


def _slice(axes: Any, analysis: RunAnalysis, parameter: Parameter) -> None:
    for origin in dict.fromkeys(trial.origin for trial in analysis.completed):
        own = [trial for trial in analysis.completed if trial.origin is origin]
        x: list[Any] = [trial.params[parameter.name] for trial in own]
        if isinstance(parameter, Choice):
            x = [parameter.choices.index(value) for value in x]
        axes.scatter(x, heights(analysis.report, own), label=origin.value, **look(origin, 12))
    scale_values(axes, value_scale(analysis.report))
    _range(axes, parameter)


def _range(axes: Any, parameter: Parameter) -> None:
    """Gives the horizontal axis a parameter's range and marks."""
    from matplotlib.ticker import MaxNLocator

    if isinstance(parameter, Choice):
        _marks(axes, range(len(parameter.choices)), [words(choice, 12) for choice in parameter.choices])
        axes.set_xlim(-0.5, len(parameter.choices) - 0.5)
    elif is_log(parameter):
        axes.set_xscale("log")
        _marks(axes, *log_marks(parameter))
        axes.set_xticks([], minor=True)
        margin = (parameter.high / parameter.low) ** 0.04
        axes.set_xlim(parameter.low / margin, parameter.high * margin)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=isinstance(parameter, Int)))
        margin = 0.04 * (parameter.high - parameter.low)
        axes.set_xlim(parameter.low - margin, parameter.high + margin)


def _marks(axes: Any, places: Sequence[float], labels: Sequence[str]) -> None:
    """Marks the horizontal axis; long labels are slanted."""
    long = sum(map(len, labels)) > _ROOM
    axes.set_xticks(places, labels, fontsize=8, rotation=35 if long else 0, ha="right" if long else "center")


def parallel_figure(analysis: RunAnalysis) -> Figure:
    """Returns each complete trial as a line over its parameters and its first value, the best ones on top."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    report, names = analysis.report, analysis.order
    trials = sorted(analysis.completed, key=lambda trial: -report.objectives[0].loss(trial.values[0]))
    values = np.array(heights(report, trials))
    places = np.log10(values) if value_scale(report).log else values
    span = float(np.ptp(places))
    last = (places - places.min()) / span if span else np.full(len(places), 0.5)
    encoded = [[analysis.space[name].encode(trial.params[name]) for trial in trials] for name in names]
    lines = np.stack([*map(np.array, encoded), last], axis=1)
    at = np.broadcast_to(np.arange(len(names) + 1), lines.shape)
    figure = new_figure(max(7.4, 0.95 * len(names) + 2), 4.4)
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("values", _GOOD_TO_BAD)
    many = len(trials) > _MANY
    drawn = LineCollection(
        list(np.stack([at, lines], axis=2)), cmap=colours, linewidths=0.9, alpha=0.8, rasterized=many
    )
    drawn.set_array(report.objectives[0].loss(1.0) * places)
    axes.add_collection(drawn)
    marks = [unit_marks(analysis.space[name]) for name in names]
    marks.append(([0.0, 1.0] if span else [0.5], [f"{v:.4g}" for v in sorted({values.min(), values.max()})]))
    _upright(axes, [*names, report.objectives[0].name], marks)
    axes.set_title("Each complete trial as a line, from grey (the worst) to red (the best)", fontsize=10)
    return figure


def _upright(axes: Any, titles: Sequence[str], marks: Sequence[tuple[Sequence[float], Sequence[str]]]) -> None:
    """Draws the upright axes of parallel coordinates, each with its marks."""
    for x, (places, labels) in enumerate(marks):
        axes.axvline(x, color="black", linewidth=0.8)
        for place, label in zip(places, labels, strict=True):
            axes.text(x + 0.04, place, words(label, 10), fontsize=7, va="center", bbox=_CLEAR)
    axes.set_xticks(range(len(titles)), [words(title) for title in titles], rotation=20, ha="right", fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(titles) - 0.5)
    axes.set_ylim(-0.03, 1.03)
    axes.spines[:].set_visible(False)
