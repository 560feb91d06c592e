"""The plan of a comparison on disk: `comparison.json`, which may grow by methods, tasks and seeds, and by nothing else.

A finished cell stays what it was, so what decides a cell's run is fixed when the first one begins.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentopt.compare.design import Contender, Design, Stage
from agentopt.errors import JournalError, UsageError
from agentopt.report.comparison.family import Family
from agentopt.report.comparison.folder import FILE, read_plan

FIXED = {
    "trials": "--trials",
    "budget": "--budget",
    "baseline": "--no-default",
    "model": "the settings of the model",
    "task_options": "--task-option",
    "max_failures": "--max-failures",
    "family": "--family",
}
"""What cannot change, and what says it on the command line."""


def planned(folder: Path) -> Design | None:
    """Returns what the comparison in a folder is planned to be; None where there is none."""
    if not (folder / FILE).is_file():
        return None
    plan = read_plan(folder)
    try:
        return Design(
            methods=tuple(Contender(**method) for method in plan["methods"]),
            tasks=tuple(plan["tasks"]),
            seeds=tuple(plan["seeds"]),
            trials=plan["trials"],
            budget=plan.get("budget"),
            baseline=plan.get("baseline", True),
            model=plan.get("model"),
            task_options=plan.get("task_options", {}),
            max_failures=plan.get("max_failures"),
            family=Family(plan.get("family", Family.ALL)),
            stages=tuple(Stage(**stage) for stage in plan.get("stages", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"{folder / FILE} is no plan of a comparison: {error}.") from error


def joined(there: Design, more: Design, folder: Path) -> Design:
    """Returns the plan in a folder with the methods, tasks and seeds that `more` adds to it.

    Raises UsageError, naming both values, where they differ in what cannot change.
    """
    before, now = there.to_json(), more.to_json()
    for name, flag in FIXED.items():
        if before[name] != now[name]:
            raise UsageError(
                f"{folder} holds another comparison: {flag} was {_shown(before[name])} there, and is"
                f" {_shown(now[name])} now. Give it as it was, or choose another --name."
            )
    methods = {method.label: method for method in (*more.methods, *there.methods)}
    order = dict.fromkeys(method.label for method in (*there.methods, *more.methods))
    return replace(
        there,
        methods=tuple(replace(methods[label], asks=_asks(label, there, more)) for label in order),
        tasks=tuple(dict.fromkeys((*there.tasks, *more.tasks))),
        seeds=tuple(sorted({*there.seeds, *more.seeds})),
    )


def _asks(label: str, *designs: Design) -> bool:
    """Whether a method asks a model: a plan that was written before this was recorded does not say so."""
    return any(method.asks for design in designs for method in design.methods if method.label == label)


def size(design: Design) -> Stage:
    """Returns how large a comparison is."""
    return Stage(len(design.methods), len(design.tasks), len(design.seeds))


def write_plan(design: Design, folder: Path) -> None:
    """Writes the plan into the comparison's folder, at once or not at all."""
    path = folder / FILE
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(design.to_json(), indent=1), encoding="utf-8")
    scratch.replace(path)


def _shown(value: Any) -> str:
    return "not given" if value in (None, {}) else json.dumps(value)
