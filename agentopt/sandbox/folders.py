"""Makes and removes folders that hostile code may fill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentopt.errors import RunError


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Gives the folder, empty: what a killed process left under its name is removed first, and all of it at the end."""
    remove_tree(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Removes a folder whatever is in it: paths of any depth, folders without permissions, links (never followed).

    Nothing may be writing to it any more. Raises RunError where something stays. The coreutils do it, because
    `shutil.rmtree` fails on deep trees (it recurses) and on folders that their owner made unreadable.
    """
    if not os.path.lexists(folder):
        return
    remove = ["rm", "-rf", "--one-file-system", "--", str(folder)]
    done = subprocess.run(remove, capture_output=True, text=True, check=False)
    if done.returncode:
        subprocess.run(["chmod", "-R", "u+rwx", "--", str(folder)], capture_output=True, check=False)  # noqa: S607
        done = subprocess.run(remove, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"Cannot remove {folder}: {done.stderr.strip()[-300:]}")
