"""The figure of a code agent's experiments: what was kept, what was not, and the best version so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentopt.code.keeper import Keeper, Verdict
from agentopt.report.canvas import MUTED, dress, legend, new_figure
from agentopt.report.figures.trials import scale_values, value_name
from agentopt.report.load import RunReport
from agentopt.report.palette import BLACK, OKABE_ITO
from agentopt.report.scale import bounded, heights, value_scale
from agentopt.report.verdicts import best_kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    Verdict.KEEP.value: ("kept", {"color": OKABE_ITO[2], "marker": "o", "s": 46}),
    Verdict.DISCARD.value: ("discarded", {"edgecolors": OKABE_ITO[6], "facecolors": "none", "marker": "o", "s": 28}),
    Verdict.OPEN.value: ("undecided", {"edgecolors": OKABE_ITO[4], "facecolors": "none", "marker": "D", "s": 28}),
    Verdict.AGAIN.value: ("second runs", {"color": OKABE_ITO[5], "marker": "D", "s": 20}),
}
_OTHER = {"edgecolors": MUTED, "facecolors": "none", "marker": "s", "s": 28}


def experiments_figure(report: RunReport, keeper: Keeper) -> Figure:
    """Returns the value of each experiment by what became of it, those without one below, and the best version kept."""
    figure = new_figure(8, 4.8)
    axes = figure.add_subplot()
    places = {trial.id: n for n, trial in enumerate(report.trials)}
    done = [trial for trial in report.trials if trial.complete and trial.id in keeper.verdicts]
    found = {keeper.verdicts[trial.id].value for trial in done}
    for verdict in [*(name for name in _LOOKS if name in found), *sorted(found - _LOOKS.keys())]:
        own = [trial for trial in done if keeper.verdicts[trial.id].value == verdict]
        name, look = _LOOKS.get(verdict, (verdict, _OTHER))
        at = [places[trial.id] for trial in own]
        axes.scatter(at, heights(report, own), label=f"{name} ({len(own)})", zorder=3, **look)
    best = [bounded(value) for value in best_kept(report, keeper)]
    at = [places[experiment.trial] for experiment in keeper.experiments]
    axes.step(at, best, where="post", color=BLACK, linewidth=1.4, label="best kept")
    if failed := [places[trial.id] for trial in report.trials if not trial.complete]:
        bottom, name = axes.get_xaxis_transform(), f"no value ({len(failed)})"
        axes.plot(failed, [0.02] * len(failed), "x", color=OKABE_ITO[1], transform=bottom, label=name)
    scale_values(axes, value_scale(report))
    title = f"{report.method} on {report.task}, seed {report.seed}: {len(keeper.experiments)} experiments"
    dress(axes, "experiment, in the order of ending", value_name(report), title)
    legend(figure, [axes])
    return figure
