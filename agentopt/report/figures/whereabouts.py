"""The figure of where the language model went, against where CMA-ES was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agentopt.report.axes import unit_marks
from agentopt.report.canvas import dress, legend, new_figure, words
from agentopt.report.figures.trials import look
from agentopt.report.palette import colour
from agentopt.report.whereabouts import TURNS, Whereabouts
from agentopt.trial import Origin, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DASHES = (":", "--", "-.", "-")


def whereabouts_figure(trials: Sequence[Trial], went: Whereabouts) -> Figure:
    """Returns the trials in the plane of two parameters, with CMA-ES's ellipses; failed trials are hollow."""
    figure = new_figure(7.8, 5.2)
    axes = figure.add_subplot()
    for origin in dict.fromkeys(trial.origin for trial in trials):
        ours = origin in TURNS
        drawn = {**look(origin, 36 if ours else 18), "zorder": 5 if ours else 3}
        own = sorted((t for t in trials if t.origin is origin), key=lambda t: not t.complete)
        for complete in (True, False):
            points = np.array([went.point(trial) for trial in own if trial.complete is complete]).reshape(-1, 2)
            more = {} if complete else {"facecolors": "none"}
            label = f"{origin.value} ({len(own)})" if complete else None
            axes.scatter(*points.T, label=label, **{**drawn, **more})
    for i, window in enumerate(went.windows):
        line = window.ellipse()
        width, dashes = 1 + 0.4 * i, _DASHES[min(i, 3)]
        axes.plot(*line.T, dashes, color=colour(Origin.CMAES), linewidth=width, label=window.name, zorder=4)
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(-0.05, 1.05)
    dress(axes, went.x.name, went.y.name, "Where the model went, where CMA-ES was")
    for set_ticks, parameter in ((axes.set_xticks, went.x), (axes.set_yticks, went.y)):
        at, labels = unit_marks(parameter)
        set_ticks(at, [words(label) for label in labels])
    legend(figure, [axes])
    return figure
