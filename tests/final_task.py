"""A task of code whose trainings take no time: what `finalise` trains, with values that follow from version and seed.

It leaves a line in `$FINAL_TASK_LOG` for each training. `$FINAL_TASK_KILL=N` ends the process, as a power cut would,
once training N (from 1) has its scores; `$FINAL_TASK_FAIL` names texts of versions whose trainings fail.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from agentopt.code.literals import read_literals
from agentopt.lm.budget import Budget
from agentopt.lm.evaluate import Score, Verdict
from agentopt.lm.feed import Ending, Served
from agentopt.lm.folder import read_folder
from agentopt.lm.task import CodeTask, Trained
from agentopt.outcomes import failure
from agentopt.sandbox import Execution, ExecutionStatus, Tier
from agentopt.trial import Status

TINY = Path(__file__).parent / "tiny_code"


def worth(smoothing, seed, exam):
    """Returns the value of a version on the validation split (exam 0) or the test split (1)."""
    return smoothing + exam + seed % 1000 / 1000


@dataclass(frozen=True)
class Swift(CodeTask):
    """The tiny code, of which nothing is run."""

    def run(self, work, text, seed, exams):
        """Returns scores that follow from the text and the seed."""
        log = Path(os.environ["FINAL_TASK_LOG"])
        with log.open("a") as file:
            file.write(f"{work.name} {seed}\n")
        if (bad := os.environ.get("FINAL_TASK_FAIL")) and bad in text:
            return failure(Status.OOM, "too large")
        value = read_literals(text).values["SMOOTHING"]
        scores = tuple(Score(Verdict.OK, bpb=worth(value, seed, n)) for n, _ in enumerate(exams))
        if os.environ.get("FINAL_TASK_KILL") == str(len(log.read_text().splitlines())):
            os.kill(os.getpid(), signal.SIGKILL)
        execution = Execution(ExecutionStatus.OK, 0, "", "", 0.1, 0, 0.1, "")
        return Trained(execution, Served(Ending.SPENT, 1, 1, 1, 0.0, 0.0), scores)


def make():
    """Returns the task."""
    return Swift("swift", read_folder(TINY), "none", Budget.parse("8k tokens"), Tier.PROCESS)
