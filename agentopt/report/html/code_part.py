"""What the page shows of a run of code: its experiments, what each changed, and what was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agentopt.code.keeper import Keeper, Verdict
from agentopt.report.foreign import shown_line, shown_patch
from agentopt.report.html import code_chart
from agentopt.report.load import RunReport
from agentopt.report.text import number
from agentopt.report.verdicts import ExperimentRow, Step, best_version, experiment_rows, lineage
from agentopt.report.versions import Versions, versions_of
from agentopt.trial import Json

MOST_LINES = 400
"""The lines of one experiment's patch on the page."""
_MOST_WHOLE = 2000
_WORDS = 200
"""The characters of a summary or a cause on the page."""
_Told = TypeVar("_Told", ExperimentRow, Step)


@dataclass(frozen=True)
class CodePart:
    """The experiments of one run, ready for the template; foreign texts are cut and have nothing hidden in them."""

    file: str
    rows: Sequence[ExperimentRow]
    verdicts: Sequence[str]
    """Those that occurred; none for a method that keeps or discards nothing."""
    steps: Sequence[Step]
    """The way from the first version to the best."""
    others: Sequence[ExperimentRow]
    """What was kept and is not on that way."""
    counts: str
    """How many experiments ended in which way."""
    noise: str
    """What is known of the noise; empty where no experiment is judged by it."""
    best: str
    """The name of the best version."""
    patch: str
    """What the best version changes in the first one."""
    figures: Mapping[str, Any]
    """Plotly figures by name."""
    data: Mapping[int, Json]
    """What the dialog shows of each trial."""


def code_part(report: RunReport) -> CodePart | None:
    """Returns what the page shows of a run of code; None for other runs and before the first trial."""
    versions, keeper = versions_of(report), report.keeper
    if versions is None or not report.trials:
        return None
    rows = tuple(replace(_told(row), cause=shown_line(row.cause, _WORDS)) for row in experiment_rows(report, versions))
    steps, best = tuple(map(_told, lineage(report))), best_version(report)
    known, way = {row.verdict for row in rows}, {step.trial for step in steps}
    own = set() if keeper is None else keeper.versions.keys() - way
    refs = " ".join("refs/agentopt/" + ("seed" if one is None else f"t{one}") for one in (None, best))
    return CodePart(
        file=versions.file,
        rows=rows,
        verdicts=[verdict.value for verdict in Verdict if verdict.value in known],
        steps=steps,
        others=[row for row in rows if row.verdict == Verdict.KEEP.value and row.trial.id in own],
        counts="" if keeper is None else _counts(keeper),
        noise="" if keeper is None else _noise(keeper, report),
        best="the first version" if best is None else f"trial {best}",
        patch=shown_patch(versions.patch(None, best), _MOST_WHOLE, f"git -C {report.run.name}/repo diff {refs}"),
        figures={} if keeper is None else {"experiments": code_chart.experiments(report, keeper)},
        data={row.trial.id: _data(row, versions, report) for row in rows},
    )


def _told(item: _Told) -> _Told:
    return replace(item, summary=shown_line(item.summary, _WORDS))


def _counts(keeper: Keeper) -> str:
    found = Counter(verdict.value for verdict in keeper.verdicts.values())
    return ", ".join(f"{found[verdict.value]} {verdict.value}" for verdict in Verdict if found[verdict.value])


def _noise(keeper: Keeper, report: RunReport) -> str:
    pairs, floor, name = keeper.pairs, number(keeper.noise), report.objectives[0].name
    if report.header["options"].get("noise_floor") is not None:
        known = f"Two runs of one version are taken to differ by {floor} in {name}, as the run was told."
    elif pairs:
        many = "one version" if pairs == 1 else f"{pairs} versions"
        known = f"Two runs of one version differ by {floor} in {name}, measured on {many} that ran twice."
    else:
        return f"How much two runs of one version differ in {name} is not known: none ran twice."
    return f"{known} A gain of more than twice that is kept at once; a smaller one must prove itself in a second run."


def _data(row: ExperimentRow, versions: Versions, report: RunReport) -> dict[str, Json]:
    number_ = row.trial.id
    command = f"agentopt show {report.run.name} --trial {number_} --diff"
    return {
        "verdict": row.verdict,
        "change": row.change,
        "summary": row.summary,
        "parent": row.parent,
        "lines": f"+{row.added} -{row.removed}",
        "patch": shown_patch(versions.patch(row.parent, number_), MOST_LINES, command),
    }
