"""Watches one running sandbox: its clock, what it uses and prints, and the end of its whole process tree."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from agentopt.errors import RunError
from agentopt.sandbox.endings import ended_by_itself, size_text
from agentopt.sandbox.tree import Launch, Tree
from agentopt.sandbox.usage import TreeUse, disk_bytes, proportional_bytes, tree_use
from agentopt.sandbox.values import Execution, ExecutionStatus

TICK_SECONDS = 0.05
"""How often the limits are looked at: more often at first, less often where looking takes longer than this."""
_RESERVE_BYTES = 256 << 20
"""What must stay free on the disk of the writable folder, however it was used up."""


class Process:
    """A running sandbox, as a context manager that ends it."""

    def __init__(self, launch: Launch, channel: socket.socket | None, cleanup: ExitStack) -> None:
        """Starts it, and closes `cleanup` when it has ended; raises RunError where it cannot be set up."""
        self._launch = launch
        self._channel = channel
        self._cleanup = cleanup
        self._wake: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._stopped: tuple[ExecutionStatus, str] | None = None
        self._started = threading.Event()
        self._execution: Execution | None = None
        self._error: Exception | None = None
        self._peak, self._seen, self._cpu = 0, 0, 0.0
        # The kernel kills the child when the thread that started it ends: this one stays until the child has ended.
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()
        self._started.wait()
        try:
            self._raise_error()
        except Exception:
            self.__exit__(None, None, None)
            raise

    @property
    def channel(self) -> socket.socket:
        """The connected socket whose other end the program has as file descriptor `$AGENTOPT_CHANNEL`."""
        assert self._channel is not None, "run() makes no channel: use start()"
        return self._channel

    def wait(self) -> Execution:
        """Returns how it ended, when every process of it has."""
        self._thread.join()
        self._raise_error()
        assert self._execution is not None
        return self._execution

    def kill(self, reason: str) -> None:
        """Ends it as failed for this reason, unless it has ended already; `wait` returns soon after."""
        self._stop(ExecutionStatus.FAILED, reason)
        with self._lock:
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill("the caller left")
        self._thread.join()
        if self._channel is not None:
            self._channel.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _stop(self, status: ExecutionStatus, reason: str) -> None:
        with self._lock:
            self._stopped = self._stopped or (status, reason)

    def _supervise(self) -> None:
        """Runs in the thread: starts, watches and ends the tree."""
        wake = self._wake
        assert wake is not None
        try:
            with self._cleanup:
                self._run(wake)
        except Exception as error:
            self._error = error
        finally:
            with self._lock:
                os.close(wake)
                self._wake = None
            self._started.set()

    def _run(self, wake: int) -> None:
        launch = self._launch
        begun = time.perf_counter()
        tree = Tree(launch)
        try:
            ready = tree.becomes_ready()
            if ready:
                self._started.set()
                self._watch(tree, wake, begun + launch.timeout)
        finally:
            code, used = tree.end()
        seconds = time.perf_counter() - begun
        printed = tree.printed()
        stdout, stderr = (stream.take().decode(errors="replace") for stream in tree.streams)
        if not ready:
            raise RunError(f"The sandbox could not be set up: {stderr.strip()[-1000:] or f'exit code {code}'}")
        self._check_after(printed)
        cpu = max(self._cpu, used.ru_utime + used.ru_stime)
        limit = launch.limits.cpu_seconds
        status, reason = self._stopped or ended_by_itself(code, stderr, spent=limit is not None and cpu >= limit)
        self._execution = Execution(status, code, stdout, stderr, seconds, self._peak, cpu, reason)

    def _watch(self, tree: Tree, wake: int, deadline: float) -> None:
        """Returns when the tree has ended or has to end."""
        poll = select.poll()
        poll.register(tree.pidfd, select.POLLIN)
        poll.register(wake, select.POLLIN)
        pause = TICK_SECONDS / 10
        while not poll.poll(max(0.0, min(pause, deadline - time.perf_counter())) * 1000):
            begun = time.perf_counter()
            if begun >= deadline:
                self._stop(ExecutionStatus.TIMEOUT, f"still running after {self._launch.timeout:g} s")
            else:
                self._check(tree_use(tree.pid), tree.printed())
            if self._stopped is not None:
                return
            pause = max(min(2 * pause, TICK_SECONDS), time.perf_counter() - begun)

    def _check(self, use: TreeUse, printed: int) -> None:
        """Stops the tree where it is over a limit."""
        limits = self._launch.limits
        self._cpu = max(self._cpu, use.cpu_seconds)
        if use.resident_bytes > min(self._seen, limits.memory_bytes):
            self._seen = int(use.resident_bytes * 1.02)
            self._peak = max(self._peak, proportional_bytes(use.pids))
        if self._peak > limits.memory_bytes:
            self._stop(ExecutionStatus.OOM, f"used more than {size_text(limits.memory_bytes)} of memory")
        elif use.threads - self._launch.own_processes > limits.processes:
            self._stop(ExecutionStatus.FAILED, f"ran more than {limits.processes} processes and threads")
        elif limits.cpu_seconds is not None and self._cpu > limits.cpu_seconds:
            self._stop(ExecutionStatus.TIMEOUT, f"used more than {limits.cpu_seconds:g} s of processor time")
        elif printed > limits.output_bytes:
            self._stop(ExecutionStatus.OUTPUT, f"printed more than {size_text(limits.output_bytes)}")
        else:
            self._check_disk(use.pids)

    def _check_disk(self, pids: Sequence[int]) -> None:
        limit = self._launch.limits.disk_bytes
        if disk_bytes(self._launch.folders, pids) > limit:
            self._stop(ExecutionStatus.DISK, f"wrote more than {size_text(limit)}, or folders that cannot be measured")
            return
        with contextlib.suppress(FileNotFoundError):
            free = os.statvfs(self._launch.folders[0])
            if free.f_bavail * free.f_frsize < _RESERVE_BYTES:
                self._stop(ExecutionStatus.DISK, f"less than {size_text(_RESERVE_BYTES)} is left on the disk")

    def _check_after(self, printed: int) -> None:
        """Finds what a program did too fast to be seen doing it."""
        if printed > self._launch.limits.output_bytes:
            self._stop(ExecutionStatus.OUTPUT, f"printed more than {size_text(self._launch.limits.output_bytes)}")
        self._check_disk(())
