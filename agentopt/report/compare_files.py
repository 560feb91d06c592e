"""A comparison as files: each figure as PNG and SVG, each table as CSV, the summary as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from agentopt.report.compare_figures import comparison_figures
from agentopt.report.compare_tables import AXES, comparison_tables
from agentopt.report.compare_text import comparison_json
from agentopt.report.comparison import Comparison
from agentopt.report.curves import anytime
from agentopt.report.tables import write_csv

SUMMARY = "summary.json"
_REPEATABLE = {"svg": {"Date": None}, "png": {"Software": None}}
"""What is not written into figures, so that the same comparison gives the same files."""


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the figures, tables and summary of a comparison into a folder, and returns the files."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    summary = folder / SUMMARY
    text = json.dumps(comparison_json(comparison), indent=1, allow_nan=False)
    summary.write_text(text + "\n", encoding="utf-8")
    paths = [summary]
    curves = {axis: anytime(comparison, axis) for axis in AXES}
    for name, table in comparison_tables(comparison, curves).items():
        paths.append(write_csv(table, folder / f"{name}.csv"))
    with mpl.rc_context({"svg.hashsalt": "agentopt"}):
        for name, figure in comparison_figures(comparison, curves).items():
            for kind, metadata in _REPEATABLE.items():
                path = folder / f"{name}.{kind}"
                figure.savefig(path, dpi=150, metadata=metadata)
                figure.set_layout_engine("none")  # the layout that the first file was given holds for the other
                paths.append(path)
    return paths
