"""Whether processes run, and waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import psutil


def running(pids: Iterable[int]) -> list[int]:
    """Returns those that run; a zombie does not."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Says whether something holds within some seconds."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()
