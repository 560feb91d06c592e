"""Figures of a comparison on tasks with several objectives: attainment surfaces, hypervolumes over the trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agentopt.report.canvas import MUTED, dress, legend
from agentopt.report.comparison.cells import Array, FrontFacts, TaskFacts
from agentopt.report.comparison.curves import Curve
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.fronts import Surfaces
from agentopt.report.comparison.panels import draw_curves, looks, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROOM = 0.05


def hypervolumes_figure(comparison: Comparison, curves: Sequence[Curve]) -> Figure | None:
    """Returns the median hypervolume over the trials, with its bootstrap interval, a panel for each task."""
    tasks = [
        (task, float(reference))
        for task, reference in zip(comparison.tasks, comparison.references, strict=True)
        if task.front is not None and any(c.task == task.name for c in curves)
    ]
    if not tasks:
        return None
    figure, drawn = panels(len(tasks))
    for panel, (task, reference) in zip(drawn, tasks, strict=True):
        draw_curves(panel, task, [c for c in curves if c.task == task.name], looks(comparison), reference)
        panel.axhline(-reference, color=MUTED, linestyle="--", linewidth=1, label=_limit(task), zorder=1)
        panel.set_ylim(top=max(panel.get_ylim()[1], -reference * (1 + _ROOM)))
        dress(panel, "trials", "hypervolume (median, 95 % interval)", task.name)
    legend(figure, drawn)
    return figure


def _limit(task: TaskFacts) -> str:
    return "all runs together" if task.reference_is == "these runs together" else "known to be possible"


def attainment_figure(comparison: Comparison, found: Sequence[Surfaces]) -> Figure | None:
    """Returns what half of the runs of each method attain in the plane of two objectives, between the quartiles."""
    tasks = [(t.name, t.front) for t in comparison.tasks if t.front and any(s.task == t.name for s in found)]
    if not tasks:
        return None
    figure, drawn = panels(len(tasks))
    dressed = looks(comparison)
    for panel, (name, facts) in zip(drawn, tasks, strict=True):
        own = [one for one in found if one.task == name]
        far = _corner(own)
        for one in own:
            low, median, high = (_steps(one.first, second, far, facts) for second in one.second)
            look = dressed[one.label]
            panel.plot(*median, label=one.label, linewidth=1.5, **look)
            band = [np.concatenate([ends, back[::-1]]) for ends, back in zip(low, high, strict=True)]
            panel.fill(*band, color=look["color"], alpha=0.15, linewidth=0)
        x, y = (f"{objective.name} ({objective.direction})" for objective in facts.objectives)
        dress(panel, x, y, f"{name}: attained by half of the runs, and quartiles")
    legend(figure, drawn)
    return figure


def _corner(found: Sequence[Surfaces]) -> tuple[float, float]:
    """Returns the losses at which surfaces end: the largest that any has, and a little more."""
    ends = []
    for values in ([one.first for one in found], [one.second[np.isfinite(one.second)] for one in found]):
        joined = np.concatenate(values)
        width = float(np.ptp(joined)) or max(1.0, abs(float(joined.max())))
        ends.append(float(joined.max()) + _ROOM * width)
    return ends[0], ends[1]


def _steps(first: Array, second: Array, far: tuple[float, float], facts: FrontFacts) -> tuple[Array, Array]:
    """Returns the line of a surface in the task's units: down from the edge, over each step, and out to the edge."""
    finite = np.isfinite(second)
    x, y = np.append(first[finite], far[0]), second[finite]
    xs = np.repeat(x, 2)[:-1]
    ys = np.concatenate([[far[1]], np.repeat(y, 2)])
    losses = zip(facts.objectives, (xs, ys), strict=True)
    along, up = (-values if objective.direction == "maximize" else values for objective, values in losses)
    return along, up
