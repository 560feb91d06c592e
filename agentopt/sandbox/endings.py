"""Words how a program ended: by itself, unless it had to be stopped."""

from __future__ import annotations

import signal
from pathlib import Path

from agentopt.sandbox.values import Execution, ExecutionStatus

_TAIL = 1000
_OOM_WORDS = ("MemoryError", "out of memory", "Out of memory")
_DISK_WORDS = ("No space left on device", "File too large", "Disk quota exceeded")


def ended_by_itself(code: int, stderr: str, *, spent: bool) -> tuple[ExecutionStatus, str]:
    """Returns the status and the reason for an exit code, as a shell gives it, and what was printed last.

    `spent` says that the limit of processor time was reached, for which the kernel may have ended the program.
    """
    tail = stderr.strip()[-_TAIL:]
    if code == 0:
        return ExecutionStatus.OK, ""
    if code == 128 + signal.SIGXCPU or (spent and code == 128 + signal.SIGKILL):
        return ExecutionStatus.TIMEOUT, "used up its processor time"
    if code == 128 + signal.SIGKILL:
        return ExecutionStatus.OOM, "killed by SIGKILL: out of memory, most likely"
    if code == 128 + signal.SIGXFSZ or any(words in tail for words in _DISK_WORDS):
        return ExecutionStatus.DISK, f"wrote more than it may\n{tail}".strip()
    if any(words in tail for words in _OOM_WORDS):
        return ExecutionStatus.OOM, f"ran out of memory\n{tail}"
    try:
        how = f"killed by {signal.Signals(code - 128).name}"
    except ValueError:
        how = f"exited with code {code}"
    return ExecutionStatus.FAILED, f"{how}\n{tail}".strip()


def last_words(execution: Execution, characters: int) -> str:
    """Returns how a program ended, in one line, and then the last `characters` of what it printed as errors."""
    how = execution.reason.partition("\n")[0]
    return f"{how}\n{execution.stderr.strip()[-characters:]}".strip()


def names_only(text: str, *folders: Path) -> str:
    """Returns a text without the paths of the folders: an end then has the same words in every run."""
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    return text


def size_text(count: float) -> str:
    """Returns a number of bytes in MiB."""
    return f"{count / (1 << 20):.4g} MiB"
