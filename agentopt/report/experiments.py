"""The experiments of a code agent's run: what was tried and whether it was kept, as `results.tsv` and as patches."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agentopt.code.keeper import Keeper, Verdict
from agentopt.errors import AgentoptError, UsageError
from agentopt.journal import History
from agentopt.protocols import Objective, minimised
from agentopt.report.keeping import new_keeper
from agentopt.report.load import RunReport
from agentopt.report.tables import Table
from agentopt.report.versions import parent_of, versions_of
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.trial import Trial

FILE = "results.tsv"
_GIB = 1 << 30


def results_table(
    trials: Sequence[Trial], objective: Objective, keeper: Keeper, commits: Mapping[int | None, str]
) -> Table:
    """Returns the experiments in the columns of karpathy/autoresearch's results.tsv.

    `trials` are in the task's units; `commits` are the hashes by trial. A crash has the value 0; second runs belong to
    the experiment that they decide.
    """
    known, rows = {trial.id: trial for trial in trials}, []
    for experiment in keeper.experiments:
        trial, verdict = known[experiment.trial], keeper.verdicts[experiment.trial]
        if verdict is Verdict.AGAIN:
            continue
        status = Verdict.DISCARD if verdict is Verdict.OPEN else verdict
        value = trial.values[0] if trial.complete else 0.0
        memory = trial.outcome.metrics.get("peak_bytes", 0.0) / _GIB
        summary = " ".join("".join(c if c.isprintable() else " " for c in experiment.summary).split())
        rows.append((commits.get(trial.id, "")[:7], f"{value:.6f}", f"{memory:.1f}", status.value, summary))
    return Table(("commit", objective.name, "memory_gb", "status", "description"), tuple(rows))


class ResultsFile:
    """Keeps `results.tsv` of a run up to date while it goes on: it is called with the history after each step.

    The file is written whole and then put in place, so that readers never find half of it. The journal has it all: what
    cannot be written (a full disk) is left for the next time.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._keeper: Keeper | None = None
        self._told = 0

    def __call__(self, history: History) -> None:
        """Takes the history; a run that keeps or discards nothing gets no file."""
        new = history.trials[self._told :]
        if not new:
            return
        if self._told == 0:
            self._keeper = new_keeper(history.header)
        self._told = len(history.trials)
        if self._keeper is None:
            return
        objectives = tuple(Objective(**record) for record in history.header["objectives"])
        for trial in new:
            self._keeper.tell(minimised(trial, objectives))
        with suppress(OSError):
            _write(self._run, results_table(history.trials, objectives[0], self._keeper, _commits(self._run)))


def write_results(report: RunReport) -> Path | None:
    """Writes `results.tsv` into the run folder, and returns its path; None for a run that keeps or discards nothing.

    Raises OSError where the folder takes no file.
    """
    keeper = report.keeper
    if keeper is None:
        return None
    return _write(report.run, results_table(report.trials, report.objectives[0], keeper, _commits(report.run)))


def patch_of(report: RunReport, number: int) -> str:
    """Returns the unified patch from the version that a trial was made from to the one that it ran."""
    versions = versions_of(report)
    trial = next((trial for trial in report.trials if trial.id == number), None)
    if versions is None or trial is None:
        raise UsageError(f"{report.run} has no code of a trial {number}.")
    return versions.patch(parent_of(trial), number)


def _commits(run: Path) -> dict[int | None, str]:
    """Returns the commit of each trial; nothing where the run's repository cannot be read."""
    try:
        return {version.trial: version.sha for version in Repository.open(run / REPOSITORY).log()}
    except AgentoptError:
        return {}


def _write(run: Path, table: Table) -> Path:
    path, half = run / FILE, run / f".{FILE}.{os.getpid()}"
    try:
        with half.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
            writer.writerows([table.columns, *table.rows])
        half.replace(path)
    except OSError:
        with suppress(OSError):  # nor is there half a file where the folder takes none
            half.unlink(missing_ok=True)
        raise
    return path
