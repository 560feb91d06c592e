"""What a sandbox is asked for and what came of it: tiers, limits, executions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """How strongly a process tree is kept apart from this machine, the strongest first."""

    BUBBLEWRAP = "bubblewrap"
    """Own namespaces of mounts, processes, network and users: the rest of the machine does not exist inside."""
    LANDLOCK = "landlock"
    """The machine is there, but the kernel refuses files, network and signals outside of what was granted."""
    PROCESS = "process"
    """No isolation at all, for trusted code: only limits, a clean environment and the kill of the whole tree."""


class ExecutionStatus(StrEnum):
    """How an execution ended."""

    OK = "ok"
    """The program returned 0."""
    FAILED = "failed"
    """It returned something else, or was stopped for what no other status names."""
    OOM = "oom"
    TIMEOUT = "timeout"
    DISK = "disk"
    OUTPUT = "output"
    """It printed more than it may."""


@dataclass(frozen=True)
class Limits:
    """What one process tree may use; sizes are in bytes."""

    memory_bytes: int = 4 << 30
    """Of the whole tree (proportional set sizes), looked at every 50 ms."""
    processes: int = 256
    """Processes and threads at a time."""
    disk_bytes: int = 1 << 30
    """What the writable folder may hold, with open files that were unlinked, looked at every 50 ms."""
    file_bytes: int = 1 << 30
    """The largest size of one file."""
    output_bytes: int = 64 << 20
    """Of standard output and standard error together; 1 MiB of each is kept."""
    open_files: int = 256
    """Open files of one process."""
    cpu_seconds: float | None = None
    """Processor time of the whole tree."""


@dataclass(frozen=True)
class Execution:
    """How one program ran."""

    status: ExecutionStatus
    returncode: int
    """As a shell gives it: 128 + the signal for a program that a signal ended."""
    stdout: str
    """What was printed, the middle left out where it was over 1 MiB."""
    stderr: str
    seconds: float
    """Wall time from the start of the sandbox to the end of its last process."""
    peak_bytes: int
    """The largest memory of the tree that was seen."""
    cpu_seconds: float
    """Processor time of the tree, without that of processes nobody waited for."""
    reason: str
    """Why the status is not ok, in words; empty where it is."""
