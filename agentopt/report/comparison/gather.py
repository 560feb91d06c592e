"""A comparison of runs that were made one by one: they are grouped by method and options, task, and seed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentopt.errors import JournalError
from agentopt.report.comparison.cells import Method
from agentopt.report.comparison.folder import Comparison, assemble
from agentopt.report.load import RunReport
from agentopt.report.task_labels import task_labels
from agentopt.trial import Json, Origin


def comparison_of_reports(reports: Sequence[RunReport]) -> Comparison:
    """Returns the comparison that several runs make up, with notes on what they do not have in common."""
    if not reports:
        raise JournalError("There are no runs to compare.")
    kinds = [_kind(report) for report in reports]
    names = dict(zip(dict.fromkeys(kinds), _labels([json.loads(kind) for kind in dict.fromkeys(kinds)]), strict=True))
    found: dict[tuple[str, str, int], RunReport] = {}
    double = 0
    for kind, task, report in zip(kinds, task_labels(reports), reports, strict=True):
        key = (names[kind], task, report.seed)
        double += key in found
        if key not in found or (report.status == "done" and found[key].status != "done"):
            found[key] = report
    notes = list(_notes(list(found.values())))
    if double:
        notes.append(f"{double} runs repeat a method, task and seed that is there already; one of each is counted.")
    budgets = [report.budget.trials or 0 for report in reports]
    records = {label: json.loads(kind) for kind, label in names.items()}
    return assemble(
        _common([report.run for report in reports]),
        [Method(label, record["method"], record["options"]) for label, record in records.items()],
        found,
        tasks=sorted({task for _, task, _ in found}),
        seeds=sorted({seed for _, _, seed in found}),
        trials=max(budgets) or None,
        notes=notes,
    )


def _kind(report: RunReport) -> str:
    """Returns what makes two runs runs of the same method."""
    model = report.header.get("model")
    name = model.get("name") or model.get("kind") or "unnamed" if isinstance(model, Mapping) else model
    record = {"method": report.method, "options": report.header.get("options", {}), "model": name}
    return json.dumps(record, sort_keys=True)


def _labels(kinds: Sequence[Mapping[str, Json]]) -> list[str]:
    """Returns a label for each kind: the method, with those options in which it differs from its namesakes."""
    labels = []
    for kind in kinds:
        others = [other for other in kinds if other["method"] == kind["method"]]
        keys = sorted({key for other in others for key in other["options"]})
        mine = {key: kind["options"].get(key) for key in keys}
        told = [f"{k}={v}" for k, v in mine.items() if any(other["options"].get(k) != v for other in others)]
        if kind["model"] is not None and len({other["model"] for other in others} - {None}) > 1:
            told.append(f"model={kind['model']}")
        labels.append(str(kind["method"]) + (f"[{','.join(told)}]" if told else ""))
    return [label if labels.count(label) == 1 else f"{label}#{i + 1}" for i, label in enumerate(labels)]


def _notes(reports: Sequence[RunReport]) -> list[str]:
    notes, budgets = [], defaultdict(set)
    for task, report in zip(task_labels(reports), reports, strict=True):
        budgets[task].add(report.budget)
    differing = sorted(task for task, found in budgets.items() if len(found) > 1)
    if differing:
        notes.append(f"The runs did not have the same budget on {', '.join(differing)}.")
    started = {report.trials[0].origin is Origin.BASELINE for report in reports if report.trials}
    if len(started) > 1:
        notes.append("Some runs began with the task's default configuration and others did not.")
    return notes


def _common(runs: Sequence[Path]) -> Path:
    parents = {run.parent for run in runs}
    return parents.pop() if len(parents) == 1 else Path()
