"""What the tasks of several runs are called, so that only runs that measured the same thing share a name."""

from __future__ import annotations

from collections.abc import Sequence

from agentopt.report.load import RunReport


def task_labels(reports: Sequence[RunReport]) -> list[str]:
    """Returns for each run its task's name with the options it was made with.

    Where runs of one such name have different objectives, as after a change of the file, these are named as well.
    """
    names = [_with_options(report) for report in reports]
    goals = [tuple((o.name, o.direction) for o in report.objectives) for report in reports]
    kinds = {name: {own for other, own in zip(names, goals, strict=True) if other == name} for name in set(names)}
    return [
        name if len(kinds[name]) == 1 else f"{name} ({', '.join(f'{way} {goal}' for goal, way in own)})"
        for name, own in zip(names, goals, strict=True)
    ]


def _with_options(report: RunReport) -> str:
    options = report.header.get("task_options") or {}
    return report.task + (f"[{','.join(f'{k}={v}' for k, v in sorted(options.items()))}]" if options else "")
