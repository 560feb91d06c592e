"""A comparison as one page of HTML: what must be said first, then its tables and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentopt.report.caveats import caveats
from agentopt.report.compare_tables import methods_table, tests_table
from agentopt.report.comparison import Comparison
from agentopt.report.html import FILE, Notice, Picture, write_report
from agentopt.report.statistics import pair_tests


def write_comparison_page(comparison: Comparison, folder: Path, files: Sequence[Path]) -> Path:
    """Writes `report.html` into the folder, with the SVG figures among `files`, and returns its path."""
    tests = pair_tests(comparison)
    items: list[tuple[str, object]] = [
        ("What to keep in mind", Notice(caveat.text, warning=caveat.grave)) for caveat in caveats(comparison, tests)
    ]
    items += [("Methods", methods_table(comparison)), ("Paired tests", tests_table(tests))]
    for path in files:
        if path.suffix == ".svg":
            title = path.stem.replace("_", " ").replace("-", " ").capitalize()
            items.append((title, Picture(path.read_text(encoding="utf-8"), title)))
    return write_report([], folder / FILE, comparison=items)
