"""A place for hostile programs: the surroundings they attack, and launchers that are root or an ordinary user.

As a program it is the launcher that is an ordinary user: each line of its input describes a sandbox, and it runs that
and prints how it went. It stays for the next one, for starting it takes longer than most of what is run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

import agentopt
from agentopt.sandbox import Execution, ExecutionStatus, Limits, Sandbox, Tier, why_not

LAUNCHERS = ("root", "user")
USER = 61990
CANARY = "SBX_CANARY_API_KEY"
LIMITS = Limits(
    memory_bytes=512 << 20,
    processes=64,
    disk_bytes=128 << 20,
    file_bytes=1 << 30,
    output_bytes=4 << 20,
    open_files=128,
)
ROOM = Path(agentopt.__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Arena:
    """A folder with what an attacker would like to have, and `work`, which is its own."""

    launcher: str
    tier: Tier
    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def path(self, name: str) -> Path:
        return self.folder / name

    def layout(self) -> dict[str, object]:
        """Returns what the attacker is assumed to know of the machine."""
        names = {name: str(self.path(name)) for name in ("home", "main", "sibling", "val", "harness", "marker")}
        return {**names, "work": str(self.work), "out": str(self.work / "out"), "launcher_pid": os.getpid()}

    def run(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        limits: Limits = LIMITS,
        readonly: tuple[object, ...] = (),
    ) -> Execution:
        """Runs a program in the sandbox, launched by the arena's launcher; `python` is the launcher's own."""
        wanted = {
            "work": str(self.work),
            "tier": str(self.tier),
            "limits": dataclasses.asdict(limits),
            "argv": argv,
            "env": {"SBX_LAYOUT": json.dumps(self.layout()), **(env or {})},
            "timeout": timeout,
            "readonly": readonly,
        }
        if self.launcher == _current():
            return execute(wanted)
        launcher = _idle.pop() if _idle else _user()
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        launcher.stdin.write(json.dumps({**wanted, "home": _home(self)}) + "\n")
        launcher.stdin.flush()
        line = launcher.stdout.readline()
        if not line:
            raise AssertionError(f"the launcher ended with {launcher.wait()}")
        _idle.append(launcher)
        found = json.loads(line)
        return Execution(**{**found, "status": ExecutionStatus(found["status"])})

    def leaked(self) -> list[int]:
        """Returns the processes that know this arena, other than the tests' own."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                texts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
            except OSError:
                continue
            if any(bytes(self.work) in text for text in texts) and int(process.name) != os.getpid():
                found.append(int(process.name))
        return found


_idle: list[subprocess.Popen[str]] = []
"""Launchers that are an ordinary user and wait for the next sandbox; they end with this process."""


def _user() -> subprocess.Popen[str]:
    """Starts a launcher that is an ordinary user."""
    return subprocess.Popen(
        [str(_user_python()), __file__],
        user=USER,
        group=USER,
        extra_groups=[],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin", CANARY: "secret"},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _home(arena: Arena) -> dict[str, str]:
    return {"HOME": str(arena.path("home")), "TMPDIR": str(arena.path("tmp"))}


def execute(wanted: Mapping[str, object]) -> Execution:
    """Runs what a JSON object describes."""
    box = Sandbox(
        wanted["work"],
        tier=wanted["tier"],
        limits=Limits(**wanted["limits"]),
        readonly=[tuple(item) if isinstance(item, (list, tuple)) else item for item in wanted["readonly"]],
    )
    argv = [sys.executable if word == "python" else word for word in wanted["argv"]]
    return box.run(argv, env=wanted["env"], timeout=wanted["timeout"])


def _current() -> str:
    return "root" if os.geteuid() == 0 else "user"


@cache
def _user_python() -> str | None:
    """Returns a Python that an ordinary user of this machine can start, of this version, for its packages."""
    for program in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        code = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]} or not __import__('agentopt'))"
        env = {"PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            done = subprocess.run([program, "-c", code], user=USER, env=env, cwd="/", check=False, capture_output=True)
        except OSError:
            continue
        if done.returncode == 0:
            return program
    return None


def skip_where_impossible(launcher: str, tier: Tier) -> None:
    """Skips the test where this machine cannot do what it is about."""
    reason = why_not(tier)
    if reason:
        pytest.skip(f"{tier}: {reason}")
    if launcher == "root" and _current() == "user":
        pytest.skip("needs root")
    if launcher == "user" and _current() == "root" and _user_python() is None:
        pytest.skip("no Python of this version that an ordinary user can start")


@contextmanager
def arena(launcher: str, tier: Tier) -> Iterator[Arena]:
    """Gives an arena whose processes and files are gone afterwards."""
    skip_where_impossible(launcher, tier)
    folder = Path(tempfile.mkdtemp(prefix="agentopt-arena-"))
    made = Arena(launcher, tier, folder)
    try:
        for name in ("work/out", "home/.ssh", "main/.git/hooks", "sibling", "tmp"):
            (folder / name).mkdir(parents=True)
        for name in ("home/.bashrc", "home/.ssh/id_canary", "main/README.md", "sibling/train.py", "val", "harness"):
            (folder / name).write_text("original\n")
        folder.chmod(0o755)
        if launcher == "user" and _current() == "root":
            for path in (folder, *folder.rglob("*")):
                os.chown(path, USER, USER)
        yield made
    finally:
        subprocess.run(["chmod", "-R", "u+rwx", str(folder)], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["home"])
        tempfile.tempdir = None  # it is another one now
        sys.stdout.write(json.dumps(dataclasses.asdict(execute(asked))) + "\n")
        sys.stdout.flush()
