"""All figures of a run by their names, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentopt.report.analysis import RunAnalysis
from agentopt.report.canvas import style, write_figure
from agentopt.report.figures import fronts, parameters, trials
from agentopt.report.figures.candidates import predictions_figure
from agentopt.report.figures.experiments import experiments_figure
from agentopt.report.figures.whereabouts import whereabouts_figure
from agentopt.report.load import RunReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_figures(analysis: RunAnalysis) -> dict[str, Figure]:
    """Returns each figure of a run by its name, those left out for which there is nothing to show."""
    report, shares, made = analysis.report, analysis.importance, dict[str, "Figure"]()
    made["convergence"] = trials.convergence_figure(report)
    if report.best is not None and len(report.objectives) > 1:
        made["front"] = fronts.front_figure(report)
        made["hypervolume"] = fronts.hypervolume_figure(report)
    if analysis.failure_map:
        made["failures"] = parameters.failures_figure(analysis.failure_map)
    if not isinstance(shares, str):
        made["importance"] = parameters.importance_figure(shares)
    if analysis.completed:
        made["slices"] = parameters.slices_figure(analysis)
        made["parallel"] = parameters.parallel_figure(analysis)
    if analysis.whereabouts is not None:
        made["whereabouts"] = whereabouts_figure(analysis.configured, analysis.whereabouts)
    if (found := analysis.candidates) is not None and (found.forecasts or found.chances):
        made["predictions"] = predictions_figure(report, found)
    if report.keeper is not None and report.trials:
        made["experiments"] = experiments_figure(report, report.keeper)
    if report.exchanges:
        made["ledger"] = trials.ledger_figure(report)
    return made


def write_figures(analysis: RunAnalysis, folder: Path) -> list[Path]:
    """Writes each figure of a run as PNG and SVG into a folder, and returns the files."""
    with style():
        figures = run_figures(analysis)
        return [path for name, figure in figures.items() for path in write_figure(figure, folder, name)]


def convergence(report: RunReport) -> Path:
    """Writes the figure of the best value so far into the run folder, and returns the file.

    Of several objectives that is the hypervolume so far.
    """
    with style():
        if report.best is not None and len(report.objectives) > 1:
            return write_figure(fronts.hypervolume_figure(report), report.run, "hypervolume", ["png"])[0]
        return write_figure(trials.convergence_figure(report), report.run, "convergence", ["png"])[0]
