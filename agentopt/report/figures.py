"""Figures of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentopt.report.load import RunReport
from agentopt.report.palette import colour
from agentopt.trial import Origin

_MARKS = {Origin.BASELINE: "D", Origin.USER: "s", Origin.SOBOL: "v", Origin.LLM: "^", Origin.FALLBACK: "P"}
_FILE = "convergence.png"
_DECADES = 100.0
_MOST = 0.9
"""The share of the values that the axis shows in any case."""
_FAR = 4.0
"""The axis is cut where the worst value is this many times as far from the best as the worst of those."""


def convergence(report: RunReport, path: Path | None = None) -> Path:
    """Draws the best value so far over the trials, each trial coloured by its origin, and returns the file.

    The ending of `path` says what kind of file it is; without one it is `convergence.png` in the run folder.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    objective = report.objectives[0]
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    numbers = range(1, len(report.trials) + 1)
    for origin in dict.fromkeys(trial.origin for trial in report.trials):
        points = [(n, t) for n, t in zip(numbers, report.trials, strict=True) if t.origin is origin and t.complete]
        axes.scatter(
            [n for n, _ in points],
            [trial.values[0] for _, trial in points],
            s=26,
            color=colour(origin),
            marker=_MARKS.get(origin, "o"),
            label=f"{origin.value} ({sum(t.origin is origin for t in report.trials)})",
            zorder=3,
        )
    axes.step(list(numbers), report.best_so_far, where="post", color="#000000", linewidth=1.4, label="best so far")
    if (base := report.baseline) is not None and base.complete:
        axes.axhline(base.values[0], color="#666666", linestyle="--", linewidth=1, label="default configuration")
    failed = [n for n, trial in zip(numbers, report.trials, strict=True) if not trial.complete]
    if failed:
        bottom = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "x", color="#B00000", transform=bottom, label=f"failed ({len(failed)})")
    _scale(axes, report)
    axes.set_xlabel("trial, in the order in which they ended")
    axes.set_ylabel(f"{objective.name} ({objective.direction})")
    axes.set_title(f"{report.method} on {report.task}, seed {report.seed}")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    if report.trials:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    path = report.run / _FILE if path is None else path
    with mpl.rc_context({"svg.hashsalt": report.run.name}):  # the same run gives the same file
        canvas.print_figure(str(path), dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def _scale(axes: Any, report: RunReport) -> None:
    scale = value_scale(report)
    if scale.log:
        axes.set_yscale("log")
    if scale.limits is None:
        return
    axes.set_ylim(*scale.limits)
    edge = 0.985 if report.objectives[0].direction == "minimize" else 0.06
    text = f"{scale.beyond} worse off the scale"
    axes.text(0.99, edge, text, transform=axes.transAxes, ha="right", va="top", fontsize=8)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis on which the good values can be told apart."""

    log: bool = False
    limits: tuple[float, float] | None = None
    """Where the axis ends; None: where the values do."""
    beyond: int = 0
    """How many values lie beyond."""


def value_scale(report: RunReport) -> Scale:
    """Returns the axis for the first objective's values.

    It is logarithmic where the values are positive and spread over more than two decades; else, where a few bad values
    are far away from all others, it ends before them.
    """
    values = sorted((trial.values[0] for trial in report.trials if trial.complete), key=report.objectives[0].loss)
    if not values:
        return Scale()
    if min(values) > 0 and max(values) > _DECADES * min(values):
        return Scale(log=True)
    best, bad, worst = values[0], values[int(_MOST * (len(values) - 1))], values[-1]
    if abs(worst - best) <= _FAR * abs(bad - best) or bad == best:
        return Scale()
    margin = 0.08 * (bad - best)
    low, high = sorted((best - margin, bad + margin))
    beyond = sum(abs(value - best) > abs(bad + margin - best) for value in values)
    return Scale(limits=(low, high), beyond=beyond)
