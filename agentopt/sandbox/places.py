"""Knows which parts of this machine every sandboxed program may read, and its GPU devices."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
"""What the dynamic loader and Debian's alternatives need of /etc: no accounts, hosts or certificates."""


@dataclass(frozen=True)
class Readable:
    """A file or folder of this machine, and where the program finds it."""

    source: Path
    inside: Path


def python_folders() -> list[Path]:
    """Returns the folders of the running Python and of its virtual environment that lie outside /usr."""
    prefixes = {Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)}
    folders = prefixes | {folder.resolve() for folder in prefixes}
    return sorted(folder for folder in folders if not folder.is_relative_to("/usr"))


def etc_files() -> list[Path]:
    """Returns the readable parts of /etc that this machine has."""
    return [Path("/etc", name) for name in ETC if Path("/etc", name).exists()]


def gpu_devices() -> list[Path]:
    """Returns the device files of NVIDIA GPUs, the folder of their capabilities among them."""
    return sorted(path for path in Path("/dev").glob("nvidia*") if not path.is_symlink())
