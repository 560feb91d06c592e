"""Whether the runs of a comparison were made of the same code and packages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from agentopt.report.load import RunReport


def code_notes(reports: Iterable[RunReport]) -> list[str]:
    """Returns what was not the same in the runs on a task, one line for each such task."""
    versions: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for report in reports:
        later = [change.given.made_of for change in report.changes if change.given.made_of is not None]
        for made_of in (report.header.get("made_of", {}), *later):
            for name, version in made_of.items():
                versions[report.task][name].add(version)
    notes = []
    for task, found in versions.items():
        if differing := sorted(name for name, seen in found.items() if len(seen) > 1):
            notes.append(f"The runs on {task} were not all made of the same versions of {', '.join(differing)}.")
    return notes
