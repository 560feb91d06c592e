"""Writes the command line of bubblewrap: which namespaces, and what of this machine exists in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agentopt.sandbox import places
from agentopt.sandbox.places import Readable

TMP, _SHM = Path("/tmp"), Path("/dev/shm")  # noqa: S108 - inside, these are the program's own
TMP_BYTES = 256 << 20
"""The size of /tmp, which like /dev/shm is memory that `Limits.memory_bytes` does not count."""
SHM_BYTES = 64 << 20
_OLDEST = (0, 8)


def why_not() -> str:
    """Returns why bubblewrap cannot be used here and the remedy, or nothing where it can."""
    program = shutil.which("bwrap")
    if program is None:
        return "bwrap is not installed: install the package `bubblewrap`"
    found = re.search(r"(\d+)\.(\d+)", _run([program, "--version"]).stdout)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        return f"{program} is older than 0.8 or does not tell its version: install a newer `bubblewrap`"
    done = _run([program, *_namespaces(), "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"])
    if done.returncode == 0:
        return ""
    remedy = (
        "give this container CAP_SYS_ADMIN, or run as an ordinary user"
        if os.geteuid() == 0
        else "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, or "
        "kernel.apparmor_restrict_unprivileged_userns=0)"
    )
    return f"{done.stderr.strip()[-300:] or f'bwrap ended with {done.returncode}'}: {remedy}"


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def command(work: Path, readable: Sequence[Readable], *, gpu: bool, seccomp_fd: int, info_fd: int) -> list[str]:
    """Returns bwrap with all its options, for the program's own command line to follow.

    `work` is the one writable folder. What lies deeper is mounted later, so that a read-only file may lie in `work`,
    and `work` in a read-only folder.
    """
    mounts: list[tuple[Path, list[str]]] = [
        (Path("/proc"), ["--proc", "/proc"]),
        (Path("/dev"), ["--dev", "/dev"]),
        (_SHM, ["--perms", "1777", "--size", str(SHM_BYTES), "--tmpfs", str(_SHM)]),
        (TMP, ["--perms", "1777", "--size", str(TMP_BYTES), "--tmpfs", str(TMP)]),
        (work, ["--bind", str(work), str(work)]),
    ]
    mounts += [(Path(name), _system(Path(name))) for name in places.SYSTEM if os.path.lexists(name)]
    same = [*places.etc_files(), *places.python_folders()]
    for item in (*(Readable(path, path) for path in same), *readable):
        mounts.append((item.inside, ["--ro-bind", str(item.source), str(item.inside)]))
    for device in places.gpu_devices() if gpu else ():
        mounts.append((device, ["--dev-bind", str(device), str(device)]))
    # What lies under /tmp gets folders of its own to lie in, which the program cannot write.
    tops = {TMP / where.parts[2] for where, _ in mounts if where.is_relative_to(TMP) and len(where.parts) > 3}
    tops -= {where for where, _ in mounts}
    mounts += [(top, ["--perms", "0755", "--tmpfs", str(top)]) for top in tops]
    mounts.sort(key=lambda mount: len(mount[0].parts))
    options, made = _namespaces(), {Path("/")}
    for where, option in mounts:
        for folder in reversed(where.parents):
            if folder not in made:  # bwrap would copy the mode of the outer folder, which may shut others out
                made.add(folder)
                options += ["--perms", "0755", "--dir", str(folder)]
        made.add(where)
        options += option
    for folder in (*sorted(tops), Path("/dev"), Path("/")):
        options += ["--remount-ro", str(folder)]
    return [shutil.which("bwrap") or "bwrap", *options, "--seccomp", str(seccomp_fd), "--info-fd", str(info_fd), "--"]


def _namespaces() -> list[str]:
    """Returns the options that every sandbox has.

    Root needs no user namespace, and its program becomes another user later. Anyone else gets one, and no further ones.
    """
    shared = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    shared += ["--hostname", "sandbox", "--die-with-parent", "--new-session"]
    if os.geteuid() == 0:
        return [*shared, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-user", "--disable-userns", *shared]


def _system(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)]
