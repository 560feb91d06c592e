"""The command that reports what runs and comparisons found: prints it, and writes pages, figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentopt.cli import cli, runs_dir_option, show
from agentopt.errors import RunError

if TYPE_CHECKING:
    from agentopt.report.comparison.analysis import Analysis
    from agentopt.report.load import RunReport


@cli.command()
@click.argument("runs", nargs=-1, required=True)
@runs_dir_option
def report(runs: tuple[str, ...], runs_dir: Path) -> None:
    """Prints what RUNS found (folders, names, folders of runs, comparisons); writes a page, figures and tables."""
    from agentopt.report.comparison.folder import FILE as COMPARISON
    from agentopt.report.load import load_run
    from agentopt.runs import find_runs

    single = []
    for given in runs:
        compared = next((p for p in (Path(given), runs_dir / given) if (p / COMPARISON).is_file()), None)
        if compared is None:
            single.append(given)
        else:
            _report_comparison(compared)
    reports = [load_run(folder) for given in single for folder in find_runs(given, runs_dir)]
    if reports:
        _report_runs(reports)


def _report_runs(reports: Sequence[RunReport]) -> None:
    """Prints all runs, then writes their files; runs of several methods on the same tasks and seeds are compared."""
    from agentopt.report.analysis import RunAnalysis
    from agentopt.report.comparison.page import comparison_items
    from agentopt.report.comparison.text import render_comparison
    from agentopt.report.figures import convergence, write_figures
    from agentopt.report.html import MOST_RUNS, page_of, write_report
    from agentopt.report.tables import overview_table, write_csv, write_tables
    from agentopt.report.text import overview, render

    for item in reports:
        show(render(item))
        show("")
    compared = _comparable(reports)
    if len(reports) > 1:
        show(overview(reports))
    if compared is not None:
        show("")
        show(render_comparison(compared))
    analyses, page = [RunAnalysis(item) for item in reports], page_of([item.run for item in reports])
    with _written(page.parent):
        for analysis in analyses:
            run = analysis.report.run
            few = len(reports) <= MOST_RUNS
            _paths(write_figures(analysis, run) if few else [convergence(analysis.report)])
            _paths(write_tables(analysis, run))
        if len(reports) > 1:
            _paths([write_csv(overview_table(reports), page.with_name("runs.csv"))])
        _paths([write_report(analyses, page, comparison=None if compared is None else comparison_items(compared))])


def _comparable(reports: Sequence[RunReport]) -> Analysis | None:
    """Returns the comparison that runs make up; None where no two methods finished the same task and seed."""
    from agentopt.report.comparison.analysis import Analysis
    from agentopt.report.comparison.gather import comparison_of_reports

    found = Analysis(comparison_of_reports(reports))
    return found if any(test.n for test in found.tests) else None


def _report_comparison(folder: Path) -> None:
    from agentopt.report.comparison.analysis import Analysis
    from agentopt.report.comparison.files import write_comparison
    from agentopt.report.comparison.folder import load_comparison
    from agentopt.report.comparison.page import write_comparison_page
    from agentopt.report.comparison.text import render_comparison

    found = Analysis(load_comparison(folder))
    show(render_comparison(found))
    with _written(folder):
        files = write_comparison(found, folder / "report")
        _paths([*files, write_comparison_page(found, folder, files)])


def _paths(paths: Sequence[Path]) -> None:
    for path in paths:
        show(path.as_posix())


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Says what to do where files cannot be written into a folder."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(
            f"The report cannot be written to {error.filename or folder}: {error.strerror or error}. What it says is"
            " printed above; for its files make room there, or copy the folder to where you may write."
        ) from error
