"""Who keeps a model server: its note on disk, the lock of its users, and the process that ends it after the last one.

Every process that uses a server holds a shared lock on the server's `.users` file. The kernel drops the lock when the
process ends, however it ends. A small supervisor, `python -m agentopt.llm.supervise SPEC`, owns the server's processes
and tries a few times a second to lock the file alone: when it can, nobody is left, and it ends the server and itself.
So a run that is killed leaves no server behind, and a server that two runs share stays until the second is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

import psutil

from agentopt.paths import cache_dir

POLL_SECONDS = 0.2
END_SECONDS = 10.0
ORPHAN_SECONDS = 0.5
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Record:
    """The note of a running server; a process is its id and its start time, for ids come back."""

    key: str
    port: int
    served_name: str
    engine: str
    device: str
    log: str
    supervisor: int = 0
    supervisor_started: float = 0.0
    server: int = 0
    server_started: float = 0.0
    context: int | None = None
    """The tokens of prompt and reply that were asked for; None in notes that do not say it."""

    def __str__(self) -> str:
        """Returns `the server of qwen-0.8b on port 8123 (started 14:02)`; the time is that of this machine's clock."""
        started = datetime.fromtimestamp(self.supervisor_started).astimezone()
        return f"the server of {self.served_name} on port {self.port} (started {started:%H:%M})"

    def alive(self) -> bool:
        """Says whether the supervisor and the server's first process both run."""
        return runs(self.supervisor, self.supervisor_started) and runs(self.server, self.server_started)


def state_file(key: str) -> Path:
    """Returns where the note of a server is kept."""
    return cache_dir("servers") / f"{key}.json"


def users_file(key: str) -> Path:
    """Returns the file whose shared locks are the server's users."""
    return cache_dir("servers") / f"{key}.users"


def read_record(key: str) -> Record | None:
    """Returns the note of a server, or None where there is none that can be read."""
    try:
        return Record(**json.loads(state_file(key).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def running() -> list[Record]:
    """Returns the notes of all servers that run."""
    folder = cache_dir("servers")
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return [record for path in paths if (record := read_record(path.stem)) is not None and record.alive()]


def why_start(key: str, served_name: str, context: int, found: Record | None) -> str:
    """Returns why a server must be started; `found` is the note of one with the same options that is of no use."""
    if found is not None:
        return "the last one ended" if not found.alive() else f"{found} does not answer"
    others = [record for record in running() if record.served_name == served_name and record.key != key]
    if not others:
        return "none is running"
    if others[0].context not in (None, context):
        return f"{others[0]} has a context of {others[0].context} tokens, not {context}"
    return f"{others[0]} has other settings"


def lock_users(key: str, *, alone: bool) -> int | None:
    """Returns a file descriptor that holds the users' lock, alone or shared, or None where it is not to be had now."""
    path = users_file(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def runs(pid: int, started: float) -> bool:
    """Says whether the process that had this id at that time still runs."""
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError):
        return False


def end_server(record: Record) -> None:
    """Ends a server with its whole process tree and its supervisor, and removes its note; waits until they are gone."""
    if runs(record.supervisor, record.supervisor_started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.supervisor, signal.SIGTERM)
        deadline = time.monotonic() + 2 * END_SECONDS
        while runs(record.supervisor, record.supervisor_started) and time.monotonic() < deadline:
            time.sleep(0.05)
        if runs(record.supervisor, record.supervisor_started):
            end_tree(record.supervisor)
    if runs(record.server, record.server_started):
        end_tree(record.server)
    if read_record(record.key) == record:
        state_file(record.key).unlink(missing_ok=True)


def end_tree(pid: int) -> None:
    """Ends a process and all its descendants: the first one politely, and what is left a moment later not."""
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        top.terminate()
    psutil.wait_procs([top], timeout=END_SECONDS)
    _, left = psutil.wait_procs(tree, timeout=ORPHAN_SECONDS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            left += [child for child in process.children(recursive=True) if child not in left]
            process.kill()
    psutil.wait_procs(left, timeout=END_SECONDS)


def _die_with_parent() -> None:
    """Runs in the child before the command: asks the kernel (on Linux) to end it when the supervisor dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _write_record(record: Record) -> None:
    path = state_file(record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(asdict(record)))
    part.replace(path)


def supervise(note: dict[str, object], command: list[str]) -> int:
    """Runs a server until it ends, its users are gone, or a signal comes; returns the exit code."""
    asked_to_stop: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        asked_to_stop.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
    )
    key = str(note["key"])
    record = Record(
        **note,  # type: ignore[arg-type]
        supervisor=os.getpid(),
        supervisor_started=psutil.Process().create_time(),
        server=child.pid,
        server_started=psutil.Process(child.pid).create_time(),
    )
    _write_record(record)
    lock = None
    while child.poll() is None and not asked_to_stop:
        lock = lock_users(key, alone=True)
        if lock is not None:  # kept until this process ends: a newcomer waits until the server is gone
            break
        time.sleep(POLL_SECONDS)
    if child.poll() is None:
        end_tree(child.pid)
    with contextlib.suppress(ProcessLookupError):  # what the server left behind in its process group
        os.killpg(child.pid, signal.SIGKILL)
    if read_record(key) == record:
        state_file(key).unlink(missing_ok=True)
    return child.wait()


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    sys.exit(min(abs(supervise(spec["note"], spec["command"])), 255))
