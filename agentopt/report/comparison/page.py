"""A comparison as one page of HTML: what must be said first, then its tables and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.family import tested_text
from agentopt.report.comparison.figures import figure_title
from agentopt.report.comparison.tables import methods_table, tasks_table, tests_table
from agentopt.report.html import FILE, Item, Notice, Picture, write_report


def comparison_items(analysis: Analysis) -> list[Item]:
    """Returns what the page says of a comparison: what must be said first, then its tables."""
    notices = [Notice(caveat.text, warning=caveat.grave) for caveat in analysis.caveats]
    methods, family = analysis.comparison.methods, analysis.comparison.family
    return [
        *(("What to keep in mind", notice) for notice in notices),
        ("Methods", methods_table(analysis.standings)),
        *([("Paired tests", Notice(tested_text(methods, family)))] if analysis.tests else []),
        ("Paired tests", tests_table(analysis.tests)),
        ("Tasks", tasks_table(analysis.comparison)),
    ]


def write_comparison_page(analysis: Analysis, folder: Path, files: Sequence[Path]) -> Path:
    """Writes `report.html` into the folder, with the SVG figures among `files`, and returns its path."""
    items = comparison_items(analysis)
    for path in files:
        if path.suffix == ".svg":
            title = figure_title(path.stem)
            items.append((title, Picture(path.read_text(encoding="utf-8"), title)))
    return write_report([], folder / FILE, comparison=items)
