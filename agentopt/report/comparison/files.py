"""A comparison as files: each figure as PNG and SVG, each table as CSV, the summary as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from agentopt.report.canvas import style, write_figure
from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.figures import comparison_figures
from agentopt.report.comparison.summary import comparison_json
from agentopt.report.comparison.tables import comparison_tables
from agentopt.report.tables import write_csv

SUMMARY = "summary.json"


def write_comparison(analysis: Analysis, folder: Path) -> list[Path]:
    """Writes the figures, tables and summary of a comparison into a folder, and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = folder / SUMMARY
    text = json.dumps(comparison_json(analysis), indent=1, allow_nan=False)
    summary.write_text(text + "\n", encoding="utf-8")
    paths = [summary]
    for name, table in comparison_tables(analysis).items():
        paths.append(write_csv(table, folder / f"{name}.csv"))
    with style():
        for name, figure in comparison_figures(analysis).items():
            paths += write_figure(figure, folder, name)
    return paths
