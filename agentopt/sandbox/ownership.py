"""Lends a folder to the sandbox's user and takes it back, whatever the program has made of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agentopt.errors import RunError
from agentopt.sandbox.folders import remove_tree
from agentopt.sandbox.usage import DEEPEST

_UIDS = range(61000, 61184)
"""User ids that Debian and systemd leave free."""
_LOCKS = Path("/run/agentopt-sandbox")


@contextmanager
def own_uid() -> Iterator[int]:
    """Gives a user id that no other sandbox on this machine has, so that limits per user count one sandbox."""
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    for uid in _UIDS:
        lock = os.open(_LOCKS / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield uid
        finally:
            os.close(lock)
        return
    raise RunError(f"All {len(_UIDS)} user ids for sandboxes are taken: run fewer trials at a time.")


@contextmanager
def private_folder(uid: int | None) -> Iterator[Path]:
    """Gives a sandbox without mounts its own place for temporary files, and removes it."""
    folder = Path(tempfile.mkdtemp(prefix="agentopt-"))
    try:
        if uid is not None:
            os.chown(folder, uid, uid)
        yield folder
    finally:
        remove_tree(folder)


@contextmanager
def lent(work: Path, uid: int | None, overlays: Mapping[Path, Path], *, copied: bool) -> Iterator[None]:
    """Makes `uid` the owner of a folder and of what is in it for a while; None leaves the owner as it is.

    `overlays` are files of ours by the paths in the folder over which they lie; `copied` puts copies there, for want of
    mounts. Afterwards everything in the folder is the caller's and accessible to them, the files under the overlays
    have their content, or are gone where there was none, and so is a `.git` that was not there.
    """
    for path in overlays:
        if path.parent.resolve() != path.parent:
            raise RunError(f"A link stands in the way to {path}: a program that ran in {work} may have left it.")
        if path.is_symlink():
            path.unlink()
    files = [path for path in (work / ".git", *overlays) if path.is_symlink() or not path.is_dir()]
    before = {path: path.read_bytes() if path.is_file() else None for path in files}
    if copied:
        for path, source in overlays.items():
            _restore(path, source.read_bytes())
    if uid is not None:
        _give(work, uid, uid)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):  # a program without walls may have removed it
            _give(work, os.geteuid(), os.getegid())
            for path, content in before.items():
                _restore(path, content)


def _restore(path: Path, content: bytes | None) -> None:
    """Makes a file what it was; None: it was not there."""
    as_it_was = path.is_file() and not path.is_symlink() and path.read_bytes() == content
    if as_it_was or (content is None and not os.path.lexists(path)):
        return
    remove_tree(path)
    if content is not None and path.parent.is_dir():
        path.write_bytes(content)


def _give(folder: Path, uid: int, gid: int) -> None:
    """Makes a user the owner of a folder and its content, and makes every folder in it accessible to its owner.

    Nothing else may write to it meanwhile. Only root changes owners. Links are not followed; files with further names,
    which may lie elsewhere, and what is nested deeper than `DEEPEST` stay as they are.
    """
    _give_one(str(folder), os.lstat(folder), None, uid, gid)
    _give_content(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), DEEPEST, uid, gid)


def _give_content(folder: int, depth: int, uid: int, gid: int) -> None:
    """Does the above for what is in an open folder, and closes it."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                _give_one(entry.name, found, folder, uid, gid)
                if stat.S_ISDIR(found.st_mode) and depth > 0:
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    _give_content(os.open(entry.name, flags, dir_fd=folder), depth - 1, uid, gid)
    finally:
        os.close(folder)


def _give_one(name: str, found: os.stat_result, folder: int | None, uid: int, gid: int) -> None:
    is_folder = stat.S_ISDIR(found.st_mode)
    if os.geteuid() == 0 and (is_folder or found.st_nlink == 1):
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
    if is_folder and (found.st_mode & 0o700) != 0o700:
        os.chmod(name, stat.S_IMODE(found.st_mode) | 0o700, dir_fd=folder)
