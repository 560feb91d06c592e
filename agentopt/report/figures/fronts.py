"""The figures of several objectives: the front among all trials, and the hypervolume over the trials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from agentopt.report.canvas import MUTED, dress, legend, new_figure
from agentopt.report.figures.trials import look
from agentopt.report.fronts import MOST_PAIRED, grown
from agentopt.report.load import RunReport
from agentopt.report.palette import BLACK
from agentopt.report.scale import bounded
from agentopt.report.text import reference_text
from agentopt.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAINT = 0.25


def front_figure(report: RunReport) -> Figure:
    """Returns all complete trials by their values, the dominated ones faint.

    Two objectives are a plane, with the front's edge; three are a space; more are a plane for each pair of the first
    six.
    """
    count = len(report.objectives)
    title = f"Pareto front: {len(report.front.trials)} of {report.counts['complete']} complete trials"
    if count == 3:
        figure = new_figure(7.4, 5.6)
        axes = figure.add_subplot(projection="3d")
        _points(axes, report, (0, 1, 2))
        dress(axes, _name(report, 0), _name(report, 1), title)
        axes.set_zlabel(_name(report, 2))
        legend(figure, [axes])
        return figure
    pairs = list(combinations(range(min(count, MOST_PAIRED)), 2))
    across = min(3, len(pairs))
    down = -(-len(pairs) // across)
    figure = new_figure(7.4 if across == 1 else 4 * across + 1.4, 4.8 if down == 1 else 3.6 * down)
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for panel, (i, j) in zip(panels, pairs, strict=False):
        _points(panel, report, (i, j))
        if count == 2:
            edge = _places(report.front.trials, (0, 1))
            panel.plot(*edge, color=BLACK, linewidth=1.2, drawstyle="steps-post", label="front")
        dress(panel, _name(report, i), _name(report, j), title if count == 2 else "")
    for panel in panels[len(pairs) :]:
        panel.set_axis_off()
    if count > 2:
        figure.suptitle(title, fontsize=10)
    legend(figure, panels[: len(pairs)])
    return figure


def _name(report: RunReport, at: int) -> str:
    objective = report.objectives[at]
    return f"{objective.name} ({objective.direction})"


def _places(trials: Sequence[Trial], at: Sequence[int]) -> list[list[float]]:
    return [[bounded(trial.values[i]) for trial in trials] for i in at]


def _points(axes: Any, report: RunReport, at: Sequence[int]) -> None:
    """Draws the trials by some of their values, those of the front over the others."""
    best = {trial.id for trial in report.front.trials}
    for origin in dict.fromkeys(trial.origin for trial in report.trials):
        own = [trial for trial in report.trials if trial.origin is origin and trial.complete]
        others = [trial for trial in own if trial.id not in best]
        front = [trial for trial in own if trial.id in best]
        flat = {"depthshade": False} if len(at) == 3 else {}
        axes.scatter(*_places(others, at), alpha=_FAINT, **look(origin, 18), **flat)
        axes.scatter(*_places(front, at), label=f"{origin.value} ({len(front)} of {len(own)})", **look(origin), **flat)


def hypervolume_figure(report: RunReport) -> Figure:
    """Returns the hypervolume over the trials, with the trials that made it grow by their origin."""
    figure = new_figure(8, 4.4)
    axes = figure.add_subplot()
    curve = report.front.hypervolumes
    axes.step(range(len(curve)), curve, where="post", color=BLACK, linewidth=1.4, label="hypervolume")
    grew = grown(report.trials, curve)
    for origin in dict.fromkeys(trial.origin for trial in grew.values()):
        places = [n for n, trial in grew.items() if trial.origin is origin]
        axes.scatter(places, [curve[n] for n in places], label=origin.value, **look(origin))
    known = report.front.known
    if known is not None:
        axes.axhline(known, color=MUTED, linestyle="--", linewidth=1, label="known to be possible")
    reference = report.front.reference
    where = "" if reference is None else f"Hypervolume {reference_text(reference, report.objectives)}"
    dress(axes, "trial, in the order in which they ended", "hypervolume", where)
    legend(figure, [axes])
    return figure
