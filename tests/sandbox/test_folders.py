"""Removing folders: whatever is in them, whoever runs it, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from agentopt.errors import RunError
from agentopt.sandbox.folders import remove_tree


@pytest.fixture
def place():
    """A folder that every user can reach, in memory where there is a place for it: deep trees are slow on a disk."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_tree_too_deep_for_recursion_and_path_names_is_removed(place):
    top = place / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(top)
    assert list(place.iterdir()) == []


def test_links_are_removed_and_not_followed(place):
    kept = place / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    top = place / "top"
    top.mkdir()
    (top / "link").symlink_to(kept)
    os.link(kept / "file", top / "hard")
    os.mkfifo(top / "pipe")
    remove_tree(top)
    remove_tree(top)
    (place / "dangling").symlink_to("nowhere")
    remove_tree(place / "dangling")
    assert [path.relative_to(place).as_posix() for path in sorted(place.rglob("*"))] == ["kept", "kept/file"]


def test_an_ordinary_user_can_remove_folders_without_permissions(place):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            top = place / "top"
            (top / "closed" / "inner").mkdir(parents=True)
            (top / "closed" / "inner" / "file").write_text("x")
            (top / "closed" / "inner").chmod(0o500)
            (top / "closed").chmod(0)
            top.chmod(0o500)
            remove_tree(top)
            code = 1 if top.exists() else 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_what_cannot_be_removed_is_said(place):
    (place / "top").mkdir()
    place.chmod(0o555)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            remove_tree(place / "top")
        except RunError as error:
            code = 0 if "Cannot remove" in str(error) and "top" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    place.chmod(0o777)
