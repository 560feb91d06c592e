"""The page: puts the parts of the runs into the template."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import jinja2
from markupsafe import Markup

from agentopt.errors import UsageError
from agentopt.report.analysis import RunAnalysis
from agentopt.report.html import charts
from agentopt.report.html.run_part import Part, run_part
from agentopt.report.html.theme import CONFIG, origin_style, page_json
from agentopt.report.load import RunReport
from agentopt.report.tables import Table, overview_table
from agentopt.report.task_labels import task_labels

FILE = "report.html"
MOST_RUNS = 12
"""A page of more runs than this lists them without their details: it would be too large for a phone."""
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Notice:
    """A paragraph of a comparison; one that is a warning is red."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing that is finished, as SVG; it stands on white in both themes."""

    svg: str
    text: str
    """What it shows, for those who do not see it."""


Item: TypeAlias = "tuple[str, Any]"
"""A title, and a plotly figure, a Table, a Notice, a text or a Picture.

Consecutive items of one title stand below one heading.
"""


def write_report(runs: Sequence[RunAnalysis], out: Path, *, comparison: Sequence[Item] | None = None) -> Path:
    """Writes the page of these runs, and returns the file."""
    if not runs and not comparison:
        raise UsageError("A report needs a run or a comparison.")
    reports = [run.report for run in runs]
    figures: dict[str, Any] = {}
    parts: list[Part] = []
    if len(reports) <= MOST_RUNS:
        for i, run in enumerate(runs):
            part = run_part(f"r{i}", run)
            figures |= {name: page_json(figure) for name, figure in part.figures.items()}
            parts.append(part)
    variables = {
        "title": _title(reports),
        "parts": parts,
        "overview": overview_table(reports) if len(reports) > 1 else None,
        "listed": len(reports) > MOST_RUNS,
        "most": MOST_RUNS,
        "overlays": _overlays(reports, figures) if len(reports) > 1 else [],
        "comparison": _sections(comparison or (), figures),
    }
    data = {"config": CONFIG, "figures": figures, "runs": {part.id: part.data for part in parts}}
    out.parent.mkdir(parents=True, exist_ok=True)
    half = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        half.write_text(_render(variables, data), encoding="utf-8", errors="replace")
        half.replace(out)
    except OSError:
        half.unlink(missing_ok=True)
        raise
    return out


def page_of(runs: Sequence[Path]) -> Path:
    """Returns where the page of these runs goes: into the run's folder, or the one that holds them all."""
    if len(runs) == 1:
        return runs[0] / FILE
    parents = {run.parent for run in runs}
    folder = parents.pop() if len(parents) == 1 else Path(os.path.commonpath([run.resolve() for run in runs]))
    return folder / FILE


def _render(variables: dict[str, Any], data: dict[str, Any]) -> str:
    scripts = _scripts()
    # Plotly compiles the drawing routines of parallel coordinates; no text of a run is ever part of them.
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts.values())
    return _template().render(
        **variables,
        **scripts,
        policy=f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        style=Markup(_file("page.css") + origin_style()),  # noqa: S704 - a file of ours
        data=Markup(script_json(data)),  # noqa: S704 - nothing in it can end the element
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


@cache
def _scripts() -> dict[str, Markup]:
    """Returns plotly's code and ours, which are the same in every page."""
    from plotly.offline import get_plotlyjs

    return {"plotly": _script(get_plotlyjs()), "script": _script(_file("page.js"))}


def script_json(data: Any) -> str:
    """Returns JSON that can stand in a script element: in ASCII, and without a character that HTML reads."""
    dumped = json.dumps(data, separators=(",", ":"))
    return dumped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _script(source: str) -> Markup:
    lines = source.replace("\r\n", "\n").replace("\r", "\n")
    return Markup(lines.replace("</script", "<\\/script").replace("<!--", "<\\!--"))  # noqa: S704 - plotly's and ours


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _title(reports: Sequence[RunReport]) -> str:
    if len(reports) == 1:
        return f"{reports[0].method} on {reports[0].task}, seed {reports[0].seed}"
    if not reports:
        return "Comparison"
    tasks = list(dict.fromkeys(report.task for report in reports))
    return f"{len(reports)} runs on {tasks[0] if len(tasks) == 1 else f'{len(tasks)} tasks'}"


def _overlays(reports: Sequence[RunReport], figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Draws the best value so far of each task that several runs had, and returns names of figures and tasks."""
    found = []
    labels = task_labels(reports)
    for i, task in enumerate(dict.fromkeys(labels)):
        own = [report for label, report in zip(labels, reports, strict=True) if label == task]
        if 1 < len(own) <= 4 * MOST_RUNS:
            figures[f"overlay-{i}"] = page_json(charts.overlay(own))
            found.append((f"overlay-{i}", task))
    return found


def _sections(items: Sequence[Item], figures: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Returns each title with its contents, ready for the template."""
    sections: list[tuple[str, list[dict[str, Any]]]] = []
    for i, (title, content) in enumerate(items):
        if not sections or sections[-1][0] != title:
            sections.append((title, []))
        if isinstance(content, Table):
            entry: dict[str, Any] = {"kind": "table", "table": content}
        elif isinstance(content, Notice | str):
            notice = Notice(content) if isinstance(content, str) else content
            entry = {"kind": "notice", "text": notice.text, "warning": notice.warning}
        elif isinstance(content, Picture):
            coded = base64.b64encode(content.svg.encode("utf-8", "replace")).decode()
            entry = {"kind": "picture", "source": f"data:image/svg+xml;base64,{coded}", "text": content.text}
        else:
            figures[f"comparison-{i}"] = page_json(content)
            entry = {"kind": "figure", "name": f"comparison-{i}"}
        sections[-1][1].append(entry)
    return sections
