"""Starts the process tree of a sandbox, learns its first process, and ends all of it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentopt.errors import RunError
from agentopt.sandbox.usage import tree_use
from agentopt.sandbox.values import Limits
from agentopt.streams import Stream

START_SECONDS = 30.0
"""How long a sandbox may take to be set up."""
_END_SECONDS = 20.0
"""How long killed processes may take to be gone."""


@dataclass(frozen=True)
class Launch:
    """What is needed to start a sandbox."""

    command: Sequence[str]
    passed: Sequence[int]
    """File descriptors for the child, which are closed here once it has them."""
    ready: int
    """Where the shim writes `ready` when all that is left to do is the program."""
    info: int | None
    """Where bubblewrap tells the first process of its namespace; None: the child is a keeper, which SIGTERM ends."""
    stdin: bytes | None
    folders: Sequence[Path]
    """The folders whose content counts as disk."""
    limits: Limits
    timeout: float
    own_processes: int
    """How many processes of the tree are the sandbox's own."""


class Tree:
    """A process and its descendants."""

    def __init__(self, launch: Launch) -> None:
        """Starts it; the kernel kills it when the thread that does so ends."""
        self._launch = launch
        self._first: int | None = None
        """The first process of the PID namespace: when it dies, all in the namespace do."""
        try:
            self._process = subprocess.Popen(
                launch.command,
                stdin=subprocess.DEVNULL if launch.stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=launch.passed,
                start_new_session=True,
                cwd="/",
                env={},
            )
        finally:
            for fd in launch.passed:
                os.close(fd)
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.streams = [Stream(os.dup(pipe.fileno())) for pipe in (self._process.stdout, self._process.stderr)]
        self._process.stdout.close()
        self._process.stderr.close()
        if launch.stdin is not None:
            threading.Thread(target=self._feed, args=(launch.stdin,), daemon=True).start()

    def _feed(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(data)

    def printed(self) -> int:
        """Returns the bytes of output so far."""
        return sum(stream.total for stream in self.streams)

    def becomes_ready(self) -> bool:
        """Waits until the program is about to start; false where setting up the sandbox failed."""
        if self._launch.info is not None:  # told before the first process goes on: it cannot have ended yet
            with os.fdopen(self._launch.info, "rb") as info:
                told = _object(info.fileno())
            if told:
                with contextlib.suppress(ProcessLookupError):
                    self._first = os.pidfd_open(json.loads(told)["child-pid"])
        with os.fdopen(self._launch.ready, "rb", buffering=0) as pipe:
            return _readable_within(pipe.fileno(), START_SECONDS) and pipe.read(5) == b"ready"

    def end(self) -> tuple[int, resource.struct_rusage]:
        """Kills what is left, and returns the exit code as a shell gives it, and what the tree used."""
        if self._first is not None:  # bwrap ends with the program, and does not wait for what the program left
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        else:  # not through Popen, which could reap it: what it used would be lost
            os.kill(self.pid, signal.SIGTERM if self._launch.info is None else signal.SIGKILL)
        last = self.pidfd if self._first is None else self._first
        if not (_readable_within(last, _END_SECONDS) and _readable_within(self.pidfd, _END_SECONDS)):
            self._kill_each()
        _, status, used = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        os.close(self.pidfd)
        if self._first is not None:
            os.close(self._first)
        for stream in self.streams:
            stream.wait(_END_SECONDS)
        return (code if code >= 0 else 128 - code), used

    def _kill_each(self) -> None:
        for pid in reversed(tree_use(self.pid).pids):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not _readable_within(self.pidfd, _END_SECONDS):
            raise RunError(f"The processes of a sandbox could not be ended: see process {self.pid}.")


def _readable_within(fd: int, seconds: float) -> bool:
    """Says whether there is something to read, or the process of a pidfd has ended, within this time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _object(fd: int) -> bytes:
    """Reads one JSON object, whose end the writer may not mark by closing; nothing where there is none."""
    text = b""
    while b"}" not in text:
        if not _readable_within(fd, START_SECONDS):
            return b""
        chunk = os.read(fd, 4096)
        if not chunk:
            return b""
        text += chunk
    return text
