"""Measures what a process tree uses: memory, processor time, processes, and the disk under its folders."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEEPEST = 64
"""Folders nested deeper than this are not looked into: they count as more than any limit."""
SMALLEST = 4096
"""What a file or folder counts at least, so that the number of empty ones is bounded too."""

_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening a folder says when it was removed, or swapped for something else, since it was listed."""


@dataclass(frozen=True)
class TreeUse:
    """What the processes of a tree use together."""

    pids: tuple[int, ...]
    threads: int
    resident_bytes: int
    """The sum of resident set sizes: shared pages count for each process, so it is never below the true sum."""
    cpu_seconds: float
    """User and system time of the processes and of the ended children that they waited for."""


@cache
def _units() -> tuple[int, float]:
    return os.sysconf("SC_PAGE_SIZE"), 1.0 / os.sysconf("SC_CLK_TCK")


def tree_use(root: int) -> TreeUse:
    """Returns the use of a process and its descendants; what ends meanwhile is left out."""
    page, tick = _units()
    pids, threads, pages, ticks = [], 0, 0, 0
    open_ends = [root]
    while open_ends:
        pid = open_ends.pop()
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything
            open_ends += _children(pid)
        except (OSError, ValueError):
            continue
        pids.append(pid)
        ticks += sum(int(field) for field in fields[11:15])
        threads += int(fields[17])
        pages += max(0, int(fields[21]))
    return TreeUse(tuple(pids), threads, pages * page, ticks * tick)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (thread / "children").read_text(encoding="ascii").split())
        except OSError:
            continue
    return found


def tasks_of_user(uid: int) -> int:
    """Returns how many threads a user has on this machine."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == uid:
                total += len(list((process / "task").iterdir()))
        except OSError:
            continue
    return total


def proportional_bytes(pids: Sequence[int]) -> int:
    """Returns the memory of processes with each shared page counted once among those that share it (PSS)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        except PermissionError:  # it made itself unreadable: what anyone may see of it counts
            total += _resident_bytes(pid)
        except (OSError, StopIteration):  # it has ended
            continue
    return total


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _units()[0]
    except (OSError, IndexError):
        return 0


def disk_bytes(folders: Sequence[Path], pids: Sequence[int]) -> float:
    """Returns what the folders hold, with the files on their disks that the processes have open.

    Files that were unlinked while open are among the latter. Infinite where a folder cannot be looked into: nested too
    deep, or made unreadable.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder in folders:
        try:
            for entry in _walk(folder):
                key = entry.st_dev, entry.st_ino
                if key not in seen:
                    seen.add(key)
                    total += max(SMALLEST, entry.st_blocks * 512)
        except FileNotFoundError:  # removed meanwhile
            continue
        except (OSError, RecursionError):
            return float("inf")
    disks = {device for device, _ in seen}
    for entry in _open_files(pids):
        key = entry.st_dev, entry.st_ino
        if entry.st_dev in disks and key not in seen:
            seen.add(key)
            total += entry.st_blocks * 512 if entry.st_nlink == 0 else 0
    return total


def _walk(folder: Path) -> Iterator[os.stat_result]:
    """Yields what is in a folder, never following a link; the names may be longer than a path can be."""
    base = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    yield os.fstat(base)
    yield from _walk_open(base, DEEPEST)


def _walk_open(folder: int, depth: int) -> Iterator[os.stat_result]:
    """Yields what is in the open folder, and closes it."""
    try:
        if depth == 0:
            raise RecursionError
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    yield found
                    if stat.S_ISDIR(found.st_mode):
                        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                        yield from _walk_open(os.open(entry.name, flags, dir_fd=folder), depth - 1)
                except OSError as error:
                    if error.errno not in _CHANGED:
                        raise
    finally:
        os.close(folder)


def _open_files(pids: Sequence[int]) -> Iterator[os.stat_result]:
    for pid in pids:
        try:
            descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                found = descriptor.stat()
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield found
