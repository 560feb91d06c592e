"""Puts the parts of a sandbox together: what the program gets of this machine, and what runs it."""

from __future__ import annotations

import marshal
import math
import os
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agentopt.errors import UsageError, unknown
from agentopt.sandbox import bubblewrap, landlock, ownership, seccomp
from agentopt.sandbox.places import Readable, python_folders
from agentopt.sandbox.supervisor import Process
from agentopt.sandbox.tiers import why_not
from agentopt.sandbox.tree import Launch
from agentopt.sandbox.usage import tasks_of_user
from agentopt.sandbox.values import Execution, Limits, Tier

_ROOM_FOR_OTHERS = 128
"""Processes beyond the limit where the kernel counts all of a user's together: other sandboxes start some meanwhile."""
SHIM = Path(__file__).with_name("shim.py")
_SPARE_DATA, _SPARE_ADDRESSES = 1 << 30, 8 << 30
"""What one process may reserve beyond the memory of the tree: a backstop for the time between two looks at it."""


class Sandbox:
    """A folder in which programs run apart from the rest of this machine."""

    def __init__(
        self,
        work: Path | str,
        *,
        tier: Tier | str = Tier.BUBBLEWRAP,
        limits: Limits | None = None,
        readonly: Iterable[Path | str | tuple[Path | str, Path | str]] = (),
        gpu: bool = False,
    ) -> None:
        """`work` is the folder that programs may write, at the same path inside.

        `readonly` are paths that they may read beyond the system's and Python's own: at the same path, or as pairs at
        another one, which may lie over a file in `work`. `gpu` gives them the devices of NVIDIA GPUs, with no bound on
        address space. Raises UsageError where the tier does not work on this machine: there is never a weaker one
        instead.
        """
        if tier not in list(Tier):
            raise unknown("sandbox tier", str(tier), map(str, Tier))
        self.tier = Tier(tier)
        self.limits = limits or Limits()
        self.work = _work_folder(Path(work))
        self._gpu = gpu
        self._readable = [_readable(item) for item in readonly]
        self._overlays = {item.inside: item.source for item in self._readable if item.inside.is_relative_to(self.work)}
        self._mounts = self.tier is Tier.BUBBLEWRAP
        if not self._mounts:
            for item in self._readable:
                _check_without_mounts(item, self.work, self.tier)
        reason = why_not(self.tier)
        if reason:
            raise UsageError(f"The sandbox tier `{self.tier}` does not work here: {reason}. See `agentopt doctor`.")

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float,
        stdin: bytes | None = None,
    ) -> Execution:
        """Runs a program to its end, `timeout` seconds at most, and returns how it went.

        Its environment is `env` and a minimal one (`PATH` with this Python first, `HOME`, `TMPDIR`, `USER`, `LANG`).
        Raises RunError where the sandbox cannot be set up.
        """
        with self._start(argv, env or {}, timeout, stdin=stdin, channel=None) as process:
            return process.wait()

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float) -> Process:
        """Starts a program with a channel: a socket that it inherits as file descriptor `$AGENTOPT_CHANNEL`.

        Use it as a context manager, which ends the program. Raises RunError where the sandbox cannot be set up.
        """
        return self._start(argv, env or {}, timeout, stdin=None, channel=socket.socketpair())

    def _start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        timeout: float,
        *,
        stdin: bytes | None,
        channel: tuple[socket.socket, socket.socket] | None,
    ) -> Process:
        if not argv or not timeout > 0:
            raise UsageError(f"A sandbox needs a program and a positive timeout, not {list(argv)} and {timeout}.")
        with ExitStack() as stack:
            uid = stack.enter_context(ownership.own_uid()) if self._drops_root() else None
            home = bubblewrap.TMP if self._mounts else stack.enter_context(ownership.private_folder(uid))
            stack.enter_context(ownership.lent(self.work, uid, self._overlays, copied=not self._mounts))
            wanted = self._wanted(argv, env, uid, home)
            passed = []
            if channel is not None:
                passed.append(channel[1].detach())
                wanted["env"]["AGENTOPT_CHANNEL"] = str(passed[0])
            wanted["passed"] = list(passed)
            ready, wanted["ready"] = os.pipe()
            passed += [wanted["ready"], _data_fd(marshal.dumps(wanted))]
            command = [sys.executable, "-I", "-S", str(SHIM), str(passed[-1])]
            info = None
            if self._mounts:
                info, info_inside = os.pipe()
                passed += [info_inside, _data_fd(seccomp.seccomp_filter(self.tier))]
                command = [*self._bubblewrap(info_inside, passed[-1]), *command]
            launch = Launch(
                command=command,
                passed=passed,
                ready=ready,
                info=info,
                stdin=stdin,
                folders=[self.work] if self._mounts else [self.work, home],
                limits=self.limits,
                timeout=timeout,
                own_processes=2 if self._mounts else 1,
            )
            process = Process(launch, None if channel is None else channel[0], stack.pop_all())
        return process  # noqa: RET504 - an exit stack could suppress, as far as types tell

    def _drops_root(self) -> bool:
        return os.geteuid() == 0 and self.tier is not Tier.PROCESS

    def _wanted(self, argv: Sequence[str], env: Mapping[str, str], uid: int | None, home: Path) -> dict[str, Any]:
        """Returns what the shim is told."""
        walls: dict[str, Any] = {"landlock": None, "seccomp": ""}
        if self.tier is Tier.LANDLOCK:
            paths = [item.source for item in self._readable]
            walls["landlock"] = landlock.ruleset([self.work, home], paths, gpu=self._gpu)
            walls["seccomp"] = seccomp.seccomp_filter(self.tier).hex()
        return {
            "argv": [str(word) for word in argv],
            "env": _environment(home) | {str(name): str(value) for name, value in env.items()},
            "work": str(self.work),
            "uid": uid,
            "rlimits": self._rlimits(),
            "keeper": not self._mounts,
            "parent": os.getpid(),
            **walls,
        }

    def _bubblewrap(self, info_fd: int, seccomp_fd: int) -> list[str]:
        readable = [*self._readable, Readable(SHIM, SHIM)]
        if (self.work / ".git").exists():
            readable.append(Readable(Path(os.devnull), self.work / ".git"))
        return bubblewrap.command(self.work, readable, gpu=self._gpu, seccomp_fd=seccomp_fd, info_fd=info_fd)

    def _rlimits(self) -> dict[str, int]:
        """Returns the limits that the kernel keeps, by their names in `resource`."""
        limits = self.limits
        processes = limits.processes + 2
        if not self._mounts and os.geteuid() != 0:  # the kernel counts all of the user's: a brake
            processes = tasks_of_user(os.geteuid()) + limits.processes + _ROOM_FOR_OTHERS
        found = {
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_NPROC": processes,
        }
        if limits.cpu_seconds is not None:
            found["RLIMIT_CPU"] = math.ceil(limits.cpu_seconds) + 1
        if not self._gpu:
            found["RLIMIT_DATA"] = limits.memory_bytes + _SPARE_DATA
            found["RLIMIT_AS"] = limits.memory_bytes + _SPARE_ADDRESSES
        return found


def _work_folder(path: Path) -> Path:
    """Returns the resolved folder; raises UsageError where a program must not be given it."""
    if not path.is_dir():
        raise UsageError(f"The folder of a sandbox does not exist: {path}. Make it first.")
    work = path.resolve()
    for kept in (Path("/usr"), Path.home(), Path(tempfile.gettempdir()), SHIM, *python_folders()):
        if kept.is_relative_to(work):
            raise UsageError(f"{work} cannot be the folder of a sandbox, which may write all of it: {kept} is in it.")
    if (work / ".git").is_dir():
        raise UsageError(f"{work} is a git repository, and a sandbox may write all of it: use a worktree or a copy.")
    return work


def _readable(item: Path | str | tuple[Path | str, Path | str]) -> Readable:
    source, inside = item if isinstance(item, tuple) else (item, item)
    where = Path(inside).absolute()
    found = Readable(Path(source).absolute(), where.parent.resolve() / where.name)
    if not found.source.exists():
        raise UsageError(f"A sandbox was to show {found.source}, which does not exist.")
    return found


def _check_without_mounts(item: Readable, work: Path, tier: Tier) -> None:
    """Raises UsageError where only mounts could show something as it was asked."""
    if item.inside.is_relative_to(work):
        if not item.source.is_file():
            raise UsageError(f"Only the tier `bubblewrap` keeps the folder {item.inside} read-only, not `{tier}`.")
    elif item.inside != item.source.parent.resolve() / item.source.name:
        raise UsageError(
            f"Only the tier `bubblewrap` can show {item.source} at {item.inside}, not `{tier}`: "
            f"give the path itself, or one under {work}."
        )


def _environment(home: Path) -> dict[str, str]:
    """Returns the environment that every program has: nothing of the caller's."""
    path = dict.fromkeys([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"PATH": ":".join(path), "HOME": str(home), "TMPDIR": str(home), "USER": "sandbox", "LANG": "C.UTF-8"}


def _data_fd(data: bytes) -> int:
    """Returns a file descriptor from which a child reads the data."""
    fd = os.memfd_create("agentopt-sandbox")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
