"""The figures over a run's trials and exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentopt.report.canvas import MUTED, dress, legend, new_figure
from agentopt.report.load import RunReport
from agentopt.report.palette import BLACK, OKABE_ITO, colour
from agentopt.report.scale import Scale, bounded, heights, value_scale
from agentopt.trial import Origin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = {
    Origin.BASELINE: "D",
    Origin.USER: "s",
    Origin.SOBOL: "v",
    Origin.LLM: "^",
    Origin.FALLBACK: "P",
    Origin.REPEAT: "d",
}
_FAILED = "#B00000"


def look(origin: Origin, size: float = 26) -> dict[str, Any]:
    """Returns how the points of an origin are drawn."""
    return {"color": colour(origin), "marker": _MARKS.get(origin, "o"), "s": size, "zorder": 3}


def value_name(report: RunReport) -> str:
    """Returns the title of an axis of the first objective."""
    objective = report.objectives[0]
    return f"{objective.name} ({objective.direction})"


def convergence_figure(report: RunReport) -> Figure:
    """Returns the best value so far over the trials, each trial coloured by its origin."""
    figure = new_figure(8, 4.8)
    axes = figure.add_subplot()
    places = {trial.id: n for n, trial in enumerate(report.trials)}
    for origin in dict.fromkeys(trial.origin for trial in report.trials):
        own = [trial for trial in report.trials if trial.origin is origin]
        done = [trial for trial in own if trial.complete]
        label = f"{origin.value} ({len(own)})"
        axes.scatter([places[t.id] for t in done], heights(report, done), label=label, **look(origin))
    best = [bounded(value) for value in report.best_so_far]
    axes.step(list(places.values()), best, where="post", color=BLACK, linewidth=1.4, label=report.standing.curve_name)
    if (default := report.standing.default) is not None:
        axes.axhline(bounded(default.value), color=MUTED, linestyle="--", linewidth=1, label="default configuration")
    failed = [places[trial.id] for trial in report.trials if not trial.complete]
    if failed:
        bottom = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "x", color=_FAILED, transform=bottom, label=f"failed ({len(failed)})")
    scale = value_scale(report)
    scale_values(axes, scale)
    if scale.beyond:
        edge = 0.94 if report.objectives[0].direction == "minimize" else 0.09
        text = f"{scale.beyond} worse, at the edge"
        axes.text(0.99, edge, text, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    title = f"{report.method} on {report.task}, seed {report.seed}"
    dress(axes, "trial, in the order in which they ended", value_name(report), title)
    legend(figure, [axes])
    return figure


def scale_values(axes: Any, scale: Scale) -> None:
    """Gives the vertical axis the scale of the first objective's values, with room for those at its edge."""
    if scale.log:
        axes.set_yscale("log")
    if scale.limits is not None:
        low, high = scale.limits
        axes.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))


def ledger_figure(report: RunReport) -> Figure:
    """Returns the tokens of each exchange with the language model, and which ones could not be used."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(8, 3.6)
    axes = figure.add_subplot()
    calls = list(range(len(report.exchanges)))
    prompt = [exchange.prompt_tokens for exchange in report.exchanges]
    reply = [exchange.completion_tokens for exchange in report.exchanges]
    axes.bar(calls, prompt, color=OKABE_ITO[5], label="prompt tokens")
    axes.bar(calls, reply, bottom=prompt, color=OKABE_ITO[1], label="completion tokens")
    for status, marker in (("invalid", "x"), ("too_long", "_"), ("error", "*")):
        bad = [i for i in calls if report.exchanges[i].status == status]
        if bad:
            axes.plot(
                bad,
                [prompt[i] + reply[i] for i in bad],
                marker,
                color=BLACK,
                clip_on=False,
                label=f"{status} ({len(bad)})",
            )
    dress(axes, "exchange", "tokens", f"{len(calls)} exchanges with the language model")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, [axes])
    return figure
