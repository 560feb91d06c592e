"""What `agentopt list` and `agentopt show` know: methods, tasks and runs, as plain data."""

from __future__ import annotations

import math
import re
import types
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agentopt.errors import AgentoptError, UsageError, unknown
from agentopt.journal import FILE as JOURNAL
from agentopt.optimizers import METHODS, load_method
from agentopt.optimizers.extras import EXTRAS
from agentopt.protocols import Task
from agentopt.report.comparison.folder import read_plan
from agentopt.report.load import RunReport, load_run
from agentopt.runs import known_run, plain_runs, run_names
from agentopt.task import load_task, task_folders, task_names
from agentopt.trial import Json

_LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "length >=", "max_length": "length <="}


def methods() -> list[tuple[str, str, str]]:
    """Returns the name of each method, its extra, and its summary; of one that cannot be loaded, why."""
    rows = []
    for name in METHODS:
        try:
            rows.append((name, _extra(name), load_method(name).summary))
        except (AgentoptError, ImportError) as error:
            rows.append((name, _extra(name), f"not available: {error}"))
    return rows


def _extra(method: str) -> str:
    """Returns what a method needs to be installed, and whether that is missing here."""
    extra = EXTRAS.get(method)
    return "" if extra is None else extra.name + (" (missing)" if extra.missing else "")


def tasks() -> list[tuple[str, str, str, str]]:
    """Returns each task's name, numbers of parameters and objectives, first sentence; or why it cannot be loaded."""
    rows = []
    for name in _task_names():
        try:
            task = load_task(name)
        except AgentoptError as error:
            rows.append((name, "-", "-", f"not available: {error}"))
        else:
            rows.append((name, str(len(task.space)), str(len(task.objectives)), _first_sentence(task.describe())))
    return rows


def _first_sentence(text: str) -> str:
    """Returns the first sentence of a text, however many lines it has: up to its full stop, or to a blank line."""
    return " ".join(re.split(r"(?<=[.!?])\s|\n\s*\n", text.strip(), maxsplit=1)[0].split())


def _task_names() -> list[str]:
    """Returns the names of the tasks, without the variants where a broken task keeps them from being known."""
    try:
        return task_names()
    except AgentoptError:
        return list(task_folders())


def runs(folder: Path, comparison: str | None = None) -> dict[str, RunReport]:
    """Returns the runs in a folder by name, the latest first: those that stand alone, or those of one comparison."""
    found = {}
    for name, path in run_names(folder).items():
        if name.rpartition("/")[0].partition("/")[0] == (comparison or ""):
            with suppress(AgentoptError):
                found[name] = load_run(path)
    return dict(sorted(found.items(), key=lambda item: str(item[1].header.get("started", "")), reverse=True))


def comparisons(folder: Path) -> list[tuple[str, ...]]:
    """Returns of each comparison in a folder its name, methods, tasks, seeds, and how many of its runs have begun."""
    rows, begun = [], Counter(name.partition("/")[0] for name in run_names(folder) if "/" in name)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(AgentoptError):
            plan = read_plan(path)
            sizes = [len(plan[kind]) for kind in ("methods", "tasks", "seeds")]
            rows.append((path.name, *map(str, sizes), f"{begun[path.name]} of {math.prod(sizes)}"))
    return rows


def method_card(name: str) -> dict[str, Json]:
    """Returns a method's summary and options."""
    method, extra = load_method(name), EXTRAS.get(name)
    return {
        "method": name,
        "summary": method.summary,
        "install": None if extra is None else extra.fix,
        "installed": extra is None or not extra.missing,
        "options": [_option(key, field) for key, field in method.Options.model_fields.items()],
    }


def task_card(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Json]:
    """Returns what is known of a task."""
    task: Task = load_task(name, **(options or {}))
    return {
        "task": name,
        "description": task.describe(),
        "space": task.space.to_json(),
        "objectives": [asdict(objective) for objective in task.objectives],
        "defaults": task.space.defaults(),
        "optimum": getattr(task, "optimum", None),
        "best_known": getattr(task, "best_known", None),
        "isolation": task.isolation,
        "timeout": task.timeout,
        "facts": dict(getattr(task, "facts", {})),
    }


def kind_of(name: str, runs_dir: Path) -> Literal["method", "task", "run"]:
    """Returns what a name that `show` is given stands for; raises UsageError with the nearest name."""
    if (Path(name) / JOURNAL).is_file():
        return "run"
    if name in METHODS:
        return "method"
    if known_run(name, runs_dir) is not None:
        return "run"
    if ":" in name or Path(name).exists():
        return "method" if _is_method(name) else "task"
    try:
        load_task(name)
    except UsageError as error:
        if str(error).startswith("Unknown task"):
            raise unknown("method, task or run", name, [*METHODS, *task_names(), *plain_runs(runs_dir)]) from error
        raise
    return "task"


def _is_method(name: str) -> bool:
    if name.rpartition(":")[0].endswith(".py") or ":" not in name:
        return False
    try:
        return hasattr(load_method(name), "Options")
    except AgentoptError:
        return False


def _option(name: str, field: FieldInfo) -> dict[str, Json]:
    default = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
    limits = [
        f"{sign} {getattr(item, key)}" for item in field.metadata for key, sign in _LIMITS.items() if hasattr(item, key)
    ]
    return {
        "name": name,
        "type": type_name(field.annotation),
        "limits": ", ".join(limits),
        "default": "required" if default is PydanticUndefined else _plain(default),
        "description": field.description or "",
    }


def type_name(annotation: Any) -> str:
    """Returns a type in the words of a help text."""
    if annotation is None or annotation is type(None):
        return "none"
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(inside[0])
    if origin in {Union, types.UnionType}:
        return " or ".join(type_name(part) for part in inside)
    if origin is Literal:
        return " | ".join(str(choice) for choice in inside)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(member.value) for member in annotation)
    if inside and isinstance(origin, type):
        return f"{origin.__name__} of {', '.join(type_name(part) for part in inside if part is not Ellipsis)}"
    return getattr(annotation, "__name__", str(annotation))


def _plain(value: Any) -> Json:
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value
