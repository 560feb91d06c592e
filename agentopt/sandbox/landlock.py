"""Says what a Landlock ruleset grants to a sandboxed program (landlock(7))."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentopt.sandbox import places

OLDEST_ABI = 6
"""Of Linux 6.12: older ones let a program signal any process of its user and connect to its abstract sockets."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 15
_ALL_FILES, _ALL_NETWORK, _ALL_SCOPES = (1 << 16) - 1, (1 << 2) - 1, (1 << 2) - 1
_WRITABLE = _ALL_FILES & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu")
"""What numerical libraries read of the machine."""


def abi() -> int:
    """Returns the version of Landlock that this kernel speaks, 0 where it has none."""
    return max(0, int(ctypes.CDLL(None).syscall(444, None, 0, 1)))


def why_not() -> str:
    """Returns why Landlock cannot be used here and the remedy, or nothing where it can."""
    version = abi()
    if version == 0:
        return "this kernel has no Landlock, or it is off: add `landlock` to the kernel's `lsm=` parameter"
    if version < OLDEST_ABI:
        return f"this kernel's Landlock has ABI {version}, and {OLDEST_ABI} is needed: use Linux 6.12 or newer"
    return ""


def ruleset(writable: Sequence[Path], readable: Sequence[Path], *, gpu: bool) -> dict[str, Any]:
    """Returns what is handled, and the rights that each path is granted with all that lies under it."""
    system = [Path(name) for name in places.SYSTEM]
    grants: list[tuple[str, int]] = [(str(path), _WRITABLE) for path in writable]
    for path in (*system, *places.etc_files(), *places.python_folders(), *map(Path, _FACTS), *readable):
        if path.exists():
            grants.append((str(path), _EXECUTE | _READ_FILE | (_READ_DIR if path.is_dir() else 0)))
    grants += [(f"/dev/{name}", _READ_FILE | _WRITE_FILE) for name in _DEVICES]
    for path in places.gpu_devices() if gpu else ():
        grants.append((str(path), _READ_FILE | _WRITE_FILE | _IOCTL_DEV | (_READ_DIR if path.is_dir() else 0)))
    return {"files": _ALL_FILES, "network": _ALL_NETWORK, "scoped": _ALL_SCOPES, "grants": grants}
