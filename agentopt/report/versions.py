"""The versions of the file that a run of code tuned or edited, from its journal, and the patches between them."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from agentopt.code.literals import write_literals
from agentopt.code.source import SourceError
from agentopt.code.tunable import changed_numbers
from agentopt.report.load import RunReport
from agentopt.report.text import shown
from agentopt.trial import Trial

MOST_LINES = 20_000
"""A patch between longer files replaces them whole: finding what they share could take hours."""


@dataclass(frozen=True)
class Versions:
    """The text that each trial of a run ran; None is the version that the run began with."""

    report: RunReport
    file: str
    first: str
    """The text of the first version."""

    @cached_property
    def texts(self) -> Mapping[int | None, str]:
        """The texts by trial; a trial whose values do not fit into the first version has none."""
        found: dict[int | None, str] = {None: self.first}
        for trial in self.report.trials:
            if trial.edit is not None:
                found[trial.id] = trial.edit.text
                continue
            try:
                found[trial.id] = write_literals(self.first, trial.params)
            except SourceError:
                continue
        return found

    def patch(self, before: int | None, after: int | None) -> str:
        """Returns the unified patch from one version to another; empty where they are equal or one is not known."""
        if before not in self.texts or after not in self.texts:
            return ""
        return unified(self.texts[before], self.texts[after], self.file)

    def summary(self, trial: Trial) -> str:
        """Returns what a trial changed, in one line: the words of its edit, else the numbers that it has set."""
        if trial.edit is not None:
            return " ".join(trial.edit.summary.split())
        try:
            changed = changed_numbers(self.first, trial.params)
        except SourceError:
            return ""
        return ", ".join(f"{name} = {shown(value)}" for name, value in changed.items()) or "the first version"


def versions_of(report: RunReport) -> Versions | None:
    """Returns the versions of a run of code; None for a run that had no code."""
    code = report.header.get("code")
    return None if code is None else Versions(report, str(code["file"]), str(code["text"]))


def parent_of(trial: Trial) -> int | None:
    """Returns the trial whose version a trial's was made from; None: the first version."""
    return None if trial.edit is None else trial.edit.parent


def unified(before: str, after: str, file: str) -> str:
    """Returns the patch between two texts of a file in the form that `git apply` and `patch -p1` take.

    Lines end at line feeds alone: other characters that end lines elsewhere are part of them.
    """
    old, new = (list(io.StringIO(text, newline="\n")) for text in (before, after))
    names = (f"a/{file}", f"b/{file}")
    if old == new:
        return ""
    if max(len(old), len(new)) > MOST_LINES:
        head = [f"--- {names[0]}\n", f"+++ {names[1]}\n", f"@@ -{_extent(old)} +{_extent(new)} @@\n"]
        lines = [*head, *(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        lines = list(difflib.unified_diff(old, new, *names))
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _extent(lines: list[str]) -> str:
    return f"{1 if lines else 0},{len(lines)}"
