"""Figures of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agentopt.report.canvas import dress, legend, new_figure, words
from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.cells import AXES, Axis, TaskFacts
from agentopt.report.comparison.curves import Curve, RankCurves, Reached
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.front_figures import attainment_figure, hypervolumes_figure
from agentopt.report.comparison.panels import draw_curves, looks, panels
from agentopt.report.comparison.signed_rank import ALPHA
from agentopt.report.comparison.statistics import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 200
"""The characters of a method's name: names that differ must not be cut to the same."""
_LETTER = 0.083
"""The inches of a letter of such a name."""
_MARGIN = 0.4
_MIDDLE = 3.5
_WIDTH = 8.0
"""The least widths of the axis of ranks and of its figure, in inches."""


def comparison_figures(analysis: Analysis) -> dict[str, Figure]:
    """Returns each figure by its name, those left out for which there is no finished run."""
    comparison, made = analysis.comparison, dict[str, "Figure | None"]()
    for axis in AXES:
        made[f"anytime-{axis}"] = anytime_figure(comparison, analysis.anytime[axis], axis)
        made[f"targets-{axis}"] = targets_figure(comparison, analysis.targets[axis], axis)
    made["hypervolumes"] = hypervolumes_figure(comparison, analysis.anytime["trials"])
    made["attainment"] = attainment_figure(comparison, analysis.surfaces)
    made["ranks"] = ranks_figure(comparison, analysis.ranks)
    made["critical-difference"] = critical_difference_figure(analysis.ranking)
    return {name: figure for name, figure in made.items() if figure is not None}


def figure_title(name: str) -> str:
    """Returns the heading of a figure of this name."""
    kind, _, axis = name.partition("-")
    for known, title in AXES.items():
        if axis == known:
            return f"{'Regret' if kind == 'anytime' else 'Targets reached'} over {title}"
    own = {"hypervolumes": "Hypervolume over trials", "attainment": "Attainment surfaces"}
    return own.get(name, name.replace("-", " ").capitalize())


def anytime_figure(comparison: Comparison, curves: Sequence[Curve], axis: Axis) -> Figure | None:
    """Returns the median over seeds over the cost, with its bootstrap interval, a panel for each task.

    It is the regret where there is a reference to count it from, else the best value so far in the task's units.
    """
    tasks = [task for task in comparison.tasks if any(c.task == task.name for c in curves)]
    if not tasks:
        return None
    figure, drawn = panels(len(tasks))
    references = dict(zip((t.name for t in comparison.tasks), comparison.references, strict=True))
    for panel, task in zip(drawn, tasks, strict=True):
        reference = None if task.reference is not None else float(references[task.name])
        draw_curves(panel, task, [c for c in curves if c.task == task.name], looks(comparison), reference)
        dress(panel, AXES[axis], _quantity(task), task.name)
    legend(figure, drawn)
    return figure


def _quantity(task: TaskFacts) -> str:
    if task.reference is not None:
        return "regret (median, 95 % interval)"
    return f"best {task.objective.name} (median, 95 % interval)"


def targets_figure(comparison: Comparison, found: Sequence[Reached], axis: Axis) -> Figure | None:
    """Returns the share of targets reached over the cost, over all tasks and seeds."""
    if not found:
        return None
    figure = new_figure(7.4, 4)
    axes, dressed = figure.subplots(), looks(comparison)
    for one in found:
        axes.plot(one.costs, one.share, drawstyle="steps-post", label=one.label, linewidth=1.5, **dressed[one.label])
    axes.set_ylim(0, 1.02)
    dress(axes, AXES[axis], "share of targets reached", f"Targets of {_tasks(comparison)}, all seeds")
    legend(figure, [axes])
    return figure


def ranks_figure(comparison: Comparison, curves: RankCurves) -> Figure | None:
    """Returns the average rank of each method over the trials; 1, the best, is on top."""
    labels = curves.labels
    if len(labels) < 2 or np.isnan(curves.ranks).all():
        return None
    figure = new_figure(7.4, 4)
    axes, dressed = figure.subplots(), looks(comparison)
    for label, rank in zip(labels, curves.ranks, strict=True):
        axes.plot(curves.trials, rank, label=label, linewidth=1.5, **dressed[label])
    axes.set_ylim(len(labels) + 0.1, 0.9)
    dress(axes, "trials", "average rank (1 is best)", f"Ranks over {_tasks(comparison)}")
    legend(figure, [axes])
    return figure


def _tasks(comparison: Comparison) -> str:
    return comparison.tasks[0].name if len(comparison.tasks) == 1 else f"{len(comparison.tasks)} tasks"


def critical_difference_figure(ranks: Ranking) -> Figure | None:
    """Returns Demsar's diagram: methods on the axis of average ranks; a bar joins those that Nemenyi does not part."""
    k = len(ranks.labels)
    if k < 2 or not math.isfinite(ranks.critical):
        return None
    order = [int(i) for i in np.argsort(ranks.average, kind="stable")]
    left, groups = math.ceil(k / 2), ranks.groups
    said = {i: f"{words(ranks.labels[i], _LONGEST)}  {ranks.average[i]:.2f}" for i in order}
    depth = 0.8 + 0.35 * len(groups)
    sides = [_LETTER * max(len(said[i]) for i in side) + _MARGIN for side in (order[:left], order[left:])]
    middle = max(_MIDDLE, _WIDTH - sum(sides))
    figure = new_figure(middle + sum(sides), 1.4 + 0.32 * (depth + left))
    axes = figure.subplots()
    before, after = ((k - 1) * side / middle for side in sides)
    axes.set_xlim(1 - before, k + after)
    axes.set_ylim(depth + left, -2.6)
    axes.set_axis_off()
    ink: dict[str, Any] = {"color": "black", "linewidth": 1.2, "solid_capstyle": "butt"}
    axes.plot([1, k], [0, 0], **ink)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, -0.25], **ink)
        axes.text(rank, -0.35, str(rank), ha="center", va="bottom", fontsize=9)
    axes.plot([1, 1 + ranks.critical], [-1.7, -1.7], **ink)
    axes.text(1, -1.8, f"critical difference {ranks.critical:.2f}", ha="left", va="bottom", fontsize=9)
    for place, i in enumerate(order):
        first = place < left
        level = depth + (place if first else k - 1 - place)
        edge = 1 - 0.04 * (k - 1) if first else k + 0.04 * (k - 1)
        axes.plot([ranks.average[i], ranks.average[i], edge], [0, level, level], color="black", linewidth=0.9)
        axes.text(edge, level, f" {said[i]} ", ha="right" if first else "left", va="center", fontsize=9)
    for number, group in enumerate(groups):
        level, ends = 0.5 + 0.35 * number, [ranks.average[i] for i in group]
        axes.plot([min(ends) - 0.03, max(ends) + 0.03], [level, level], color="black", linewidth=3.5)
    axes.set_title(_verdict(ranks), fontsize=10)
    return figure


def _verdict(ranks: Ranking) -> str:
    friedman = ""
    if math.isfinite(ranks.friedman_p):
        sign = "differ" if ranks.friedman_p <= ALPHA else "no significant difference"
        friedman = f"; Friedman p = {ranks.friedman_p:.2g} ({sign})"
    return f"Average ranks over {ranks.blocks} pairs of task and seed{friedman}.\nBars: no difference by Nemenyi."
