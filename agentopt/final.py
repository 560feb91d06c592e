"""The last word on a run of code: its best version trained anew on fresh seeds, on all held-out text, once.

The value that a search ends with is the best of many looks at the same text, and flatters. So the best version and the
first one are trained again with seeds that the search did not use, and scored on the whole validation split and on the
test split, which nothing has looked at before. That can be done once for a run: what was seen stays in `final.json`.
"""

from __future__ import annotations

import json
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
from agentopt.report.load import RunReport, load_run
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.study import trial_seed
from agentopt.task import load_task
from agentopt.trial import Json, Outcome

FILE = "final.json"
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


def finalise(run: Path, seeds: int, say: Callable[[str], None]) -> list[Final]:
    """Returns the last word on the first and on the best version of a run, and keeps it in the run folder.

    Raises UsageError for a run of another kind, and for one that has had its last word.
    """
    path = run / FILE
    if path.exists():
        raise UsageError(f"The test split was opened for {run} before: {path} holds what came of it. That is final.")
    config, _ = load_config(run)
    task = load_task(config.task, **config.task_options)
    if not isinstance(task, CodeTask):
        raise UsageError(f"{run} is a run of {config.task}, which has no held-out text: finalise is for code.")
    best = _best(load_run(run))
    lock = lock_folder(run)
    try:
        versions = [("the first version", None)] + ([] if best is None else [(f"trial {best}", best)])
        found = [_measure(task, run, name, trial, seed=config.seed, seeds=seeds, say=say) for name, trial in versions]
        if not all(one.test for one in found):
            raise RunError(f"No training of a version of {run} came to its end: {found[-1].failed or found[0].failed}.")
        record = {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": [asdict(one) for one in found],
        }
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    finally:
        lock.release()
    return found


def final_json(run: Path, found: list[Final]) -> dict[str, Json]:
    """Returns the object that `--json` prints."""
    return {"run": str(run), "versions": [asdict(one) for one in found]}


def _best(report: RunReport) -> int | None:
    """Returns the trial of the version that a run found best: of the code that was kept, else of the best value."""
    keeper = report.keeper
    if keeper is not None:
        return keeper.best.trial
    if report.best is None:
        raise UsageError(f"{report.run} has no complete trial: there is nothing to finalise.")
    return report.best.id


def _measure(
    task: CodeTask, run: Path, name: str, trial: int | None, *, seed: int, seeds: int, say: Callable[[str], None]
) -> Final:
    repository = Repository.open(run / REPOSITORY)
    text = repository.file(trial, task.code.file)
    values: list[tuple[float, ...]] = []
    failed: list[str] = []
    for number in range(seeds):
        say(f"{name}: training {number + 1} of {seeds} on a fresh seed")
        with repository.worktree(trial) as work:
            found = task.run(work, text, trial_seed(seed, FRESH + number), EXAMS)
        if isinstance(found, Outcome):
            failed.append(found.error)
        elif any(score.verdict is not Verdict.OK for score in found.scores):
            failed.append("; ".join(f"{score.verdict}: {score.reason}" for score in found.scores))
        else:
            values.append(tuple(score.bpb for score in found.scores))
    validation, test = (tuple(column) for column in zip(*values, strict=True)) if values else ((), ())
    return Final(name, trial, validation, test, tuple(failed))
