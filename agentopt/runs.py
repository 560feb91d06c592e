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

_CELLS = "cells"
"""The folder of the runs of a comparison, in it."""
_NAMED = 4
"""So many runs are named where a name could be any of them."""


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


def plain_runs(runs_dir: Path) -> dict[str, Path]:
    """Returns the runs below the folder of runs that are in no comparison, by name."""
    with suppress(OSError):
        return {path.name: path for path in sorted(runs_dir.iterdir()) if (path / JOURNAL).is_file()}
    return {}


def run_names(runs_dir: Path) -> dict[str, Path]:
    """Returns the runs below the folder of runs by name: `mine`, and in comparisons `compare-1a2b/branin/cmaes/s0`."""
    inside = [path.parent for path in sorted(runs_dir.glob(f"*/{_CELLS}/*/*/*/{JOURNAL}"))]
    return plain_runs(runs_dir) | {"/".join(_parts(path.relative_to(runs_dir))): path for path in inside}


def _parts(path: Path) -> tuple[str, ...]:
    """Returns the parts of a run's name: those of its path, without the folder that a comparison's runs are in."""
    return tuple(part for part in path.parts if part != _CELLS)


def known_run(given: str, runs_dir: Path) -> Path | None:
    """Returns the run folder of a path, of a name, or of the end of a name that no other run has; None for no run.

    Raises UsageError where several names end so.
    """
    for path in (Path(given), runs_dir / given):
        if any((path / file).is_file() for file in (JOURNAL, CONFIG)):
            return path
    wanted, names = _parts(Path(given)), run_names(runs_dir)
    found = [name for name in names if tuple(name.split("/"))[-len(wanted) :] == wanted] if wanted else []
    if len(found) > 1:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise UsageError(f"{given} could be any of {', '.join(found[:_NAMED])}{more}: write more of its name.")
    return names[found[0]] if found else None


def find_run(given: str, runs_dir: Path) -> Path:
    """Returns the run folder of a path or of a name (`known_run`); raises UsageError with the nearest one else."""
    if (found := known_run(given, runs_dir)) is not None:
        return found
    for folder in (Path(given), runs_dir / given):
        if (folder / _CELLS).is_dir():
            raise UsageError(f"{given} is a comparison of many runs: agentopt list runs {given} has their names.")
    if Path(given).is_dir():
        raise UsageError(f"{given} is not a run folder: it has no {JOURNAL}.")
    where = f"{runs_dir.resolve()}{'' if runs_dir.is_dir() else ', which is no folder: --runs-dir names another'}"
    raise unknown("run", given, plain_runs(runs_dir), where)


def find_runs(given: str, runs_dir: Path) -> list[Path]:
    """Returns the run folder of a path or name, or all that a folder holds."""
    folder = Path(given)
    if folder.is_dir() and not (folder / JOURNAL).is_file():
        found = sorted(path for path in folder.iterdir() if (path / JOURNAL).is_file())
        if found:
            return found
    return [find_run(given, runs_dir)]
