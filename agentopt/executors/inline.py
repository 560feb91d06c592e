"""Evaluates trials in this process, one at a time: for cheap code that is trusted."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agentopt.outcomes import guarded
from agentopt.protocols import Done, Job, Task


def evaluate(task: Task, job: Job) -> Done:
    """Returns what came of one job, with its wall seconds; whatever the task raises becomes a failed outcome."""
    start = time.perf_counter()
    extra = {} if job.edit is None else {"edit": job.edit}
    outcome = guarded(lambda: task.evaluate(job.params, seed=job.seed, **extra), task.objectives)
    return Done(job.id, outcome, time.perf_counter() - start)


class InlineExecutor:
    """Runs each job when it is waited for."""

    capacity = 1

    def __init__(self, task: Task) -> None:
        self._task = task
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        """Takes the job."""
        self._jobs.append(job)

    def wait(self, timeout: float | None) -> Sequence[Done]:
        """Runs the oldest job, unless there is no time at all; once it runs, `timeout` cannot stop it."""
        return [evaluate(self._task, self._jobs.pop(0))] if self._jobs and timeout != 0 else []

    def cancel(self, job_id: int) -> None:
        """Drops a job that has not run."""
        self._jobs = [job for job in self._jobs if job.id != job_id]

    def close(self) -> None:
        """Drops what has not run."""
        self._jobs.clear()
