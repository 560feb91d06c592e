"""Where runs live: the folder of a new one, and the folder that a name means."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from agentopt.config import FILE as CONFIG
from agentopt.config import RunConfig
from agentopt.errors import UsageError, unknown
from agentopt.journal import FILE as JOURNAL


def run_folder(config: RunConfig, runs_dir: Path, name: str | None) -> Path:
    """Returns where a new run goes: `--name` below the folder of runs, else method, task, seed and the time."""
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UsageError(f"--name {name!r} cannot be a folder's name: letters, digits, '.', '_' and '-' only.")
        return runs_dir / name
    head, _, attribute = config.task.rpartition(":")
    task = f"{Path(head).stem}-{attribute}" if head else Path(config.task).name
    method = config.method.rpartition(":")[2]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{method}-{task}-s{config.seed}")[:100].lstrip(".-")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = [f"{stem}-{stamp}", *(f"{stem}-{stamp}-{n}" for n in range(2, 100))]
    return next(path for path in (runs_dir / name for name in names) if not path.exists())


def find_run(given: str, runs_dir: Path) -> Path:
    """Returns the run folder of a path or of a name below the folder of runs."""
    for path in (Path(given), runs_dir / given):
        if any((path / file).is_file() for file in (JOURNAL, CONFIG)):
            return path
    if Path(given).is_dir():
        raise UsageError(f"{given} is not a run folder: it has no {JOURNAL}.")
    known: list[str] = []
    with suppress(OSError):
        known = [path.name for path in runs_dir.iterdir() if (path / JOURNAL).is_file()]
    raise unknown("run", given, known)


def find_runs(given: str, runs_dir: Path) -> list[Path]:
    """Returns the run folder of a path or name, or all that a folder holds."""
    folder = Path(given)
    if folder.is_dir() and not (folder / JOURNAL).is_file():
        found = sorted(path for path in folder.iterdir() if (path / JOURNAL).is_file())
        if found:
            return found
    return [find_run(given, runs_dir)]
