"""The last word on a run of code: its best version trained anew on fresh seeds, on all held-out text, once.

The value that a search ends with is the best of many looks at the same text, and flatters. So the best version and the
first one are trained again with seeds that the search did not use, and scored on the whole validation split and on the
test split, which nothing has looked at before. That is done once for a run. Before the first look `final.jsonl` says
durably which version is looked at and on how many seeds; scores join it as they come. One that was cut off goes on with
that version and these seeds, whatever the run has found since. What came of it is `final.json`.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from agentopt.config import load_config
from agentopt.errors import RunError, UsageError
from agentopt.journal import lock_folder
from agentopt.lm.corpora import Split
from agentopt.lm.evaluate import Verdict
from agentopt.lm.task import CodeTask
from agentopt.log import Log, read_log
from agentopt.report.load import load_run
from agentopt.report.verdicts import best_version
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.study import trial_seed
from agentopt.task import load_task
from agentopt.trial import Json, Outcome

FILE = "final.json"
LOG = "final.jsonl"
SEEDS = 3
"""How often each version is trained, where nothing else is said."""
FRESH = 1_000_000
"""The first number of an evaluation seed that no trial has."""
EXAMS = ((Split.VAL, None), (Split.TEST, None))


@dataclass(frozen=True)
class Final:
    """What one version is worth."""

    version: str
    trial: int | None
    """None: the first version."""
    validation: tuple[float, ...]
    """By seed; a training that failed is left out."""
    test: tuple[float, ...]
    failed: tuple[str, ...] = ()

    @property
    def spread(self) -> float:
        """The standard deviation of the test values over seeds."""
        return statistics.stdev(self.test) if len(self.test) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Opening:
    """What was decided before the first look at the test split."""

    trial: int | None
    """The trial of the best version; None: that is the first one, and no other is looked at."""
    seeds: int
    time: str
    by: str
    """The user and the machine."""

    def __str__(self) -> str:
        version = "the first version" if self.trial is None else f"the version of trial {self.trial}"
        return f"The test split was opened on {self.time} by {self.by}, for {version} on {self.seeds} seeds"


def finalise(run: Path, seeds: int | None, say: Callable[[str], None]) -> list[Final]:
    """Returns the last word on the first and on the best version of a run, and keeps it in the run folder.

    One that was cut off goes on as it began. Raises UsageError for a run of another kind, one that has had its last
    word, and other seeds than it was opened for.
    """
    config, _ = load_config(run)
    task = load_task(config.task, **config.task_options)
    if not isinstance(task, CodeTask):
        raise UsageError(f"{run} is a run of {config.task}, which has no held-out text: finalise is for code.")
    lock = lock_folder(run)
    try:
        if (run / FILE).exists():
            begun = "The test split was opened before" if (before := _opened(run)) is None else str(before)
            raise UsageError(f"{begun}: {run / FILE} holds what came of it. That is final.")
        opening = _open(run, seeds, say)
        measuring = _Measuring(task, run, config.seed, opening.seeds, say)
        found = [measuring.version(trial) for trial in dict.fromkeys((None, opening.trial))]
        if not all(one.test for one in found):
            raise RunError(f"No training of a version of {run} came to its end: {found[-1].failed or found[0].failed}.")
        _write(run, found)
    finally:
        lock.release()
    return found


def _opened(run: Path) -> Opening | None:
    """Returns how the test split of a run was opened; None where it was not."""
    for record in read_log(run / LOG)[0]:
        if record["event"] == "opened":
            return Opening(record["trial"], record["seeds"], record["time"], record["by"])
    return None


def _open(run: Path, seeds: int | None, say: Callable[[str], None]) -> Opening:
    """Returns what was decided when the test split was first opened; durably writes it down where that is now."""
    opening = _opened(run)
    if opening is not None:
        if seeds not in (None, opening.seeds):
            raise UsageError(f"{opening}. It goes on with these alone: --seeds {opening.seeds}, not {seeds}.")
        say(f"{opening}, and that was cut off. It goes on.")
        return opening
    report = load_run(run)
    if report.best is None:
        raise UsageError(f"{run} has no complete trial: there is nothing to finalise.")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    opening = Opening(best_version(report), SEEDS if seeds is None else seeds, now, f"{_user()} on {platform.node()}")
    with Log(run / LOG) as log:
        log.append({"event": "opened", "pid": os.getpid(), **asdict(opening)}, durable=True)
    _sync(run)
    return opening


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return f"user {os.getuid()}"


def _write(run: Path, found: list[Final]) -> None:
    """Writes what came of it, whole or not at all."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    half = run / f".{FILE}"
    half.write_text(
        json.dumps({"finished": time, "versions": [asdict(one) for one in found]}, indent=2) + "\n", "utf-8"
    )
    half.replace(run / FILE)


def _sync(folder: Path) -> None:
    """Brings the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def final_json(run: Path, found: list[Final]) -> dict[str, Json]:
    """Returns the object that `--json` prints."""
    return {"run": str(run), "versions": [asdict(one) for one in found]}


@dataclass(frozen=True)
class _Measuring:
    """The trainings of one finalise."""

    task: CodeTask
    run: Path
    seed: int
    """The run's."""
    seeds: int
    say: Callable[[str], None]

    def version(self, trial: int | None) -> Final:
        """Returns what a version is worth; what is known of it already is not measured again.

        A training that failed has failed, but where none has come to its end they are tried again.
        """
        name = "the first version" if trial is None else f"trial {trial}"
        told = {r["number"]: r for r in read_log(self.run / LOG)[0] if r["event"] == "measured" and r["trial"] == trial}
        if not any(record["values"] for record in told.values()):
            told = {}
        for number in range(self.seeds):
            if number in told:
                continue
            self.say(f"{name}: training {number + 1} of {self.seeds} on a fresh seed")
            values, reason = self._scores(trial, trial_seed(self.seed, FRESH + number))
            told[number] = {"trial": trial, "number": number, "values": values, "reason": reason}
            with Log(self.run / LOG) as log:
                log.append({"event": "measured", **told[number]}, durable=True)
        found = [told[number]["values"] for number in range(self.seeds) if told[number]["values"]]
        failed = tuple(told[number]["reason"] for number in range(self.seeds) if not told[number]["values"])
        validation, test = (tuple(column) for column in zip(*found, strict=True)) if found else ((), ())
        return Final(name, trial, validation, test, failed)

    def _scores(self, trial: int | None, seed: int) -> tuple[list[float], str]:
        """Returns the values of a version trained on a seed, one for each exam, or none and why."""
        repository = Repository.open(self.run / REPOSITORY)
        text = repository.file(trial, self.task.code.file)
        with repository.worktree(trial) as work:
            found = self.task.run(work, text, seed, EXAMS)
        if isinstance(found, Outcome):
            return [], found.error
        if any(score.verdict is not Verdict.OK for score in found.scores):
            return [], "; ".join(f"{score.verdict}: {score.reason}" for score in found.scores)
        return [score.bpb for score in found.scores], ""
