"""The experiments of a code agent's run: what was tried and whether it was kept, as `results.tsv` and as patches."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from pathlib import Path

from agentopt.code.keeper import Keeper, Verdict
from agentopt.errors import UsageError
from agentopt.report.load import RunReport
from agentopt.report.tables import Table
from agentopt.sandbox.repository import REPOSITORY, Repository

FILE = "results.tsv"
_GIB = 1 << 30


def results_table(report: RunReport, keeper: Keeper, commits: Mapping[int | None, str]) -> Table:
    """Returns the experiments in the columns of karpathy/autoresearch's results.tsv.

    `commits` are the hashes by trial. A crash has the value 0; second runs belong to the experiment that they decide.
    """
    trials, rows = {trial.id: trial for trial in report.trials}, []
    for experiment in keeper.experiments:
        trial, verdict = trials[experiment.trial], keeper.verdicts[experiment.trial]
        if verdict is Verdict.AGAIN:
            continue
        status = Verdict.DISCARD if verdict is Verdict.OPEN else verdict
        value = trial.values[0] if trial.complete else 0.0
        memory = trial.outcome.metrics.get("peak_bytes", 0.0) / _GIB
        summary = " ".join(experiment.summary.split())
        rows.append((commits.get(trial.id, "")[:7], f"{value:.6f}", f"{memory:.1f}", status.value, summary))
    return Table(("commit", report.objectives[0].name, "memory_gb", "status", "description"), tuple(rows))


def write_results(report: RunReport) -> Path | None:
    """Writes `results.tsv` into the run folder, and returns its path; None for a run that edited no code."""
    keeper = report.keeper
    if keeper is None:
        return None
    commits = {version.trial: version.sha for version in Repository.open(report.run / REPOSITORY).log()}
    table, path = results_table(report, keeper, commits), report.run / FILE
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
        writer.writerows([table.columns, *table.rows])
    return path


def patch_of(report: RunReport, number: int) -> str:
    """Returns the unified patch from the version that a trial was made from to the one that it ran."""
    code = report.header.get("code")
    texts: dict[int | None, str] = {None: "" if code is None else code["text"]}
    texts |= {trial.id: trial.edit.text for trial in report.trials if trial.edit is not None}
    trial = next((trial for trial in report.trials if trial.id == number), None)
    if code is None or trial is None:
        raise UsageError(f"{report.run} has no code of a trial {number}.")
    if trial.edit is None:
        return ""
    before, after = texts[trial.edit.parent], trial.edit.text
    names = (f"a/{code['file']}", f"b/{code['file']}")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)
