"""Evaluates trials in supervised child processes on this machine.

Each worker is a warm process in its own session that evaluates one job after another. The supervisor here owns the
clock, the output and the kill: a job that overruns its time or floods its output, or whose process dies, becomes a
typed failure, its whole process tree is killed, and the next job gets a fresh worker. A worker dies with its parent.
Not covered: memory limits, file and network isolation.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from agentopt.outcomes import failure
from agentopt.paths import own_python
from agentopt.protocols import Done, Job
from agentopt.streams import Stream
from agentopt.trial import Json, Outcome, Status, edit_to_json, outcome_from_json

FLOOD_BYTES = 64 << 20
"""A job that prints more than this is stopped."""
START_SECONDS = 60.0
"""How long a new worker may take to load its task: a job's own time begins after that."""
_POLL_SECONDS = 0.2


class _Worker:
    """One child process and the job it is evaluating."""

    def __init__(self, task: Mapping[str, Json], env: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            own_python("-m", "agentopt.executors.worker", str(theirs.fileno()), str(os.getpid())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, **env},
        )
        theirs.close()
        self.channel = ours
        self._buffer = b""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.streams = {
            "stdout": Stream(os.dup(self.process.stdout.fileno())),
            "stderr": Stream(os.dup(self.process.stderr.fileno())),
        }
        self.process.stdout.close()
        self.process.stderr.close()
        self.job: Job | None = None
        self.started = 0.0
        self.loaded = False
        """Whether the task was loaded."""
        self._send(task)

    def start(self, job: Job, folder: Path | None) -> None:
        """Gives the worker a job, and the folder that the job may make for its files."""
        self.job, self.started = job, time.perf_counter()
        where = None if folder is None else str(folder)
        edit = None if job.edit is None else edit_to_json(job.edit)
        self._send({"id": job.id, "params": dict(job.params), "seed": job.seed, "edit": edit, "folder": where})

    def _send(self, message: Mapping[str, Json]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.channel.sendall(json.dumps(message).encode() + b"\n")

    def answer(self) -> dict[str, Json] | None:
        """Reads the worker's answer; an empty one says that the worker is gone, None that there is more to come."""
        try:
            chunk = self.channel.recv(1 << 16)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            return {}
        self._buffer += chunk
        while b"\n" in self._buffer:
            message, _, self._buffer = self._buffer.partition(b"\n")
            try:
                answer = json.loads(message)
            except ValueError:
                return {}
            if answer != {"loaded": True}:
                return answer if isinstance(answer, dict) else {}
            self.loaded, self.started = True, time.perf_counter()
        return None

    def end(self) -> int:
        """Kills the process tree, and returns the exit code the worker had (negative: a signal)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5 if self.process.poll() is not None else 0)
        code = self.process.poll()
        kill_tree(self.process.pid)
        self.process.wait()
        self.channel.close()
        return self.process.returncode if code is None else code


def kill_tree(pid: int) -> None:
    """Kills a process, its session's process group, and every descendant that is still its own."""
    try:
        victims = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        victims = []
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()


class LocalExecutor:
    """Evaluates up to `workers` jobs at a time."""

    def __init__(
        self,
        task: str,
        options: Mapping[str, Json],
        *,
        workers: int,
        timeout: float | None,
        folder: Path | None,
    ) -> None:
        """`task` and `options` are what `load_task` takes; output goes to `folder/<trial id>/`."""
        self.capacity = workers
        self._task = {"task": task, "options": dict(options)}
        self._timeout = timeout
        self._folder = folder
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._env = {k: v for k, v in threads.items() if k not in os.environ} if workers > 1 else {}
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    def submit(self, job: Job) -> None:
        """Starts the job on an idle worker, or a new one."""
        while self._idle and self._idle[-1].process.poll() is not None:
            self._idle.pop().end()
        worker = self._idle.pop() if self._idle else _Worker(self._task, self._env)
        worker.start(job, None if self._folder is None else self._folder.resolve() / str(job.id))
        self._busy.append(worker)

    def wait(self, timeout: float | None) -> Sequence[Done]:
        """Returns the jobs that ended, watching time and output of all of them meanwhile."""
        deadline = None if timeout is None else time.perf_counter() + timeout
        done: list[Done] = []
        while self._busy and not done:
            left = _POLL_SECONDS if deadline is None else max(0.0, deadline - time.perf_counter())
            pause = min(_POLL_SECONDS, left)
            ready, _, _ = select.select([worker.channel for worker in self._busy], [], [], pause)
            for worker in list(self._busy):
                ended = self._collect(worker) if worker.channel in ready else self._check(worker)
                if ended is not None:
                    done.append(ended)
            if left == 0:
                break
        return done

    def cancel(self, job_id: int) -> None:
        """Kills the job's worker; what it printed is kept."""
        worker = next(worker for worker in self._busy if worker.job is not None and worker.job.id == job_id)
        worker.end()
        self._save_output(worker)
        self._busy.remove(worker)

    def close(self) -> None:
        """Kills every worker."""
        for worker in self._idle + self._busy:
            worker.end()
        self._idle, self._busy = [], []

    def _check(self, worker: _Worker) -> Done | None:
        """Stops a job that has overrun a limit."""
        if self._timeout is not None:
            limit = self._timeout if worker.loaded else max(self._timeout, START_SECONDS)
            if time.perf_counter() - worker.started > limit:
                doing = "running" if worker.loaded else "loading the task"
                return self._kill(worker, failure(Status.TIMEOUT, f"still {doing} after {limit:g} s"))
        if any(stream.total > FLOOD_BYTES for stream in worker.streams.values()):
            return self._kill(worker, failure(Status.FAILED, f"printed more than {FLOOD_BYTES >> 20} MiB"))
        return None

    def _collect(self, worker: _Worker) -> Done | None:
        answer = worker.answer()
        if answer is None:
            return None
        assert worker.job is not None
        if answer.get("id") != worker.job.id:
            return self._bury(worker)
        self._save_output(worker)
        self._busy.remove(worker)
        self._idle.append(worker)
        done = Done(worker.job.id, outcome_from_json(answer["outcome"]), float(answer["seconds"]))
        worker.job = None
        return done

    def _bury(self, worker: _Worker) -> Done:
        """Returns the failure of a job whose process ended under it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(2)
        code = worker.end()
        tail = self._save_output(worker).decode(errors="replace").strip()[-1000:]
        if code == -signal.SIGKILL:
            outcome = failure(Status.OOM, "the process was killed by SIGKILL: out of memory, most likely")
        elif code < 0:
            outcome = failure(Status.FAILED, f"the process was killed by {signal.Signals(-code).name}\n{tail}".strip())
        else:
            outcome = failure(
                Status.FAILED, f"the process exited with code {code} during the evaluation\n{tail}".strip()
            )
        return self._done(worker, outcome)

    def _kill(self, worker: _Worker, outcome: Outcome) -> Done:
        worker.end()
        self._save_output(worker)
        return self._done(worker, outcome)

    def _done(self, worker: _Worker, outcome: Outcome) -> Done:
        assert worker.job is not None
        self._busy.remove(worker)
        return Done(worker.job.id, outcome, time.perf_counter() - worker.started)

    def _save_output(self, worker: _Worker) -> bytes:
        """Writes what the job printed to its folder, and returns its standard error."""
        texts = {name: stream.take() for name, stream in worker.streams.items()}
        if self._folder is not None and worker.job is not None:
            for name, text in texts.items():
                if text:
                    folder = self._folder / str(worker.job.id)
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(text)
        return texts["stderr"]
