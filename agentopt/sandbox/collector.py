"""Takes a file that a sandboxed program left, and nothing that only looks like one."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agentopt.errors import AgentoptError

_BLOCK = 1 << 20


class Refusal(StrEnum):
    """Why a file is not taken."""

    MISSING = "missing"
    LINK = "a symbolic link"
    NOT_A_FILE = "not a regular file"
    HARD_LINK = "a hard link"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too large"
    CHANGED = "changed while it was read"


class Refused(AgentoptError):
    """A file that a program left is not taken."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


@dataclass(frozen=True)
class Collected:
    """A file that was taken."""

    path: Path
    """Of the copy."""
    size: int
    """In bytes."""
    sha256: str


def collect(path: Path, into: Path, max_bytes: int) -> Collected:
    """Copies a file that a program left to `into`, and returns what was copied.

    No part of `path` may be a symbolic link, so that the copy is of what lies there: give `Sandbox.work` as it is.
    Raises Refused for anything but a regular file with one name and at most `max_bytes`.
    """
    source = _open(path)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(Refusal.NOT_A_FILE, path)
        if found.st_nlink != 1:
            raise _refused(Refusal.HARD_LINK, path)
        if found.st_size > max_bytes:
            raise _refused(Refusal.TOO_LARGE, path, f" ({found.st_size} bytes; at most {max_bytes} are taken)")
        digest, size = hashlib.sha256(), 0
        with into.open("wb") as copy:
            while size <= found.st_size and (block := os.read(source, _BLOCK)):
                digest.update(block)
                size += len(block)
                copy.write(block)
        if size != found.st_size:
            into.unlink()
            raise _refused(Refusal.CHANGED, path)
    finally:
        os.close(source)
    return Collected(into, size, digest.hexdigest())


def _open(path: Path) -> int:
    """Opens a path part by part, following no link, never waiting for the other end of a pipe."""
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    parts = path.absolute().parts[1:]
    for part in parts:
        last = part is parts[-1]
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY if last else os.O_PATH | os.O_DIRECTORY
        try:
            found = os.lstat(part, dir_fd=folder)
            if stat.S_ISLNK(found.st_mode):
                raise _refused(Refusal.LINK, path)
            if last and not stat.S_ISREG(found.st_mode):
                raise _refused(Refusal.NOT_A_FILE, path)
            deeper = os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            raise _refused(Refusal.MISSING, path) from None
        except OSError as error:
            raise _refused(Refusal.UNREADABLE, path, f" ({error.strerror})") from None
        finally:
            os.close(folder)
        folder = deeper
    return folder


def _refused(refusal: Refusal, path: Path, more: str = "") -> Refused:
    return Refused(refusal, f"{path.name} is not taken: {refusal}{more}.")
