"""Tasks: how a name, a file, a folder or a function becomes something that can be evaluated."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import ValidationError

from agentopt.errors import AgentoptError, UsageError, unknown
from agentopt.functions import check_function, takes_seed
from agentopt.mistakes import mistakes
from agentopt.objectives import as_objectives
from agentopt.outcomes import guarded
from agentopt.paths import data_dirs
from agentopt.protocols import Isolation, Objective, Task
from agentopt.space import SearchSpace, as_space
from agentopt.trial import Outcome, Params, Value

ENTRY_POINTS = "agentopt.tasks"
FOLDER_VARIABLE = "AGENTOPT_TRIAL"
"""Names the folder that a supervised evaluation may make and fill: it stays in the run folder."""
CODE_FILE = "sandbox.toml"
"""Makes a folder one of code that can be tuned or edited."""
DEFAULT_TASK = "autoresearch-surrogate"
DEFAULT_TIMEOUT = 3600.0
"""Wall seconds for one evaluation of a user's task that states no limit of its own."""


@dataclass(frozen=True)
class FunctionTask:
    """A task made of a Python function of the parameters as one dict, which may also take `seed`."""

    name: str
    space: SearchSpace
    function: Callable[..., object]
    objectives: tuple[Objective, ...] = (Objective(),)
    description: str = ""
    repairer: Callable[[dict[str, Value]], Params] | None = None
    isolation: Isolation = "inline"
    timeout: float | None = None
    optimum: float | None = None
    """The best value there is, where it is known, in the task's units; of several objectives the front's hypervolume.

    Hypervolumes are measured from the `reference` of each objective.
    """
    median: float | None = None
    """The value of the median configuration, where it is known: a regret of 1 (0: the best)."""
    best_known: float | None = None
    """The best value, or hypervolume, that a stated search has found, where the optimum is not known."""
    best_params: Params | None = None
    """A configuration that has the optimum, where one is known. Optimizers are not told it."""
    front: Callable[[], Sequence[Sequence[float]]] | None = None
    """Gives points of the true front, in the task's units, where it is known: all of them, or evenly spread ones."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Source, licence and the like, for `agentopt show`."""

    def __post_init__(self) -> None:
        """Raises UsageError for a function that cannot be called with the parameters as one dict."""
        check_function(self.function, f"Task {self.name}", self.space.names)

    @cached_property
    def _takes_seed(self) -> bool:
        return takes_seed(self.function)

    def evaluate(self, params: Params, seed: int = 0) -> Outcome:
        """Evaluates a configuration; what the function raises becomes a failed outcome.

        Raises UsageError for a configuration that is not of this space.
        """
        self.space.check(params)
        extra = {"seed": seed} if self._takes_seed else {}
        return guarded(lambda: self.function(dict(params), **extra), self.objectives)

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns the configuration with the space's repairs and the task's own applied, inside the space."""
        repaired = self.space.repair(params)
        if self.repairer is None:
            return repaired
        try:
            return self.space.complete(self.repairer(dict(repaired)))
        except Exception as error:
            text = str(error) if isinstance(error, UsageError) else f"{explain(error)}."
            raise UsageError(f"The repair of {self.name} cannot be used for {repaired!r:.200}: {text}") from error

    def describe(self) -> str:
        """Returns what the task is about."""
        return self.description


def sampled_median(space: SearchSpace, function: Callable[[dict[str, Any]], float]) -> float:
    """Returns the median value of 1001 uniform configurations, always the same ones."""
    rng = np.random.default_rng(0)
    return float(np.median([function(space.sample(rng)) for _ in range(1001)]))


def load_task(name: str, **options: Any) -> Task:
    """Returns the task of a name; raises UsageError naming what is wrong and where.

    A name is one of: a task in `./tasks` or among the built-in ones (`hartmann6`; `sphere-14`: the task `sphere`, made
    with the variant `14`), a Python file or module and the function in it (`my.py:evaluate`, `package.mod:evaluate`), a
    folder with a `task.toml` or `task.py`, or a name under the entry point group `agentopt.tasks`.
    """
    head, _, attribute = name.rpartition(":")
    if head and not Path(name).exists():
        return _from_module(name, import_code(head), attribute, options)
    if name.endswith(".py") and Path(name).is_file():
        return _from_module(f"{name}:evaluate", import_code(name), "evaluate", options)
    if Path(name).is_dir() and any((Path(name) / file).is_file() for file in ("task.toml", "task.py")):
        return _from_folder(name, Path(name), "", options)
    code = _code_folder(name)
    if code is not None:
        from agentopt.lm.task import load_code_task

        return load_code_task(name, code, options)
    found = folder_of(name)
    if found is not None:
        return _from_folder(name, found[0], found[1], options)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return _call_factory(name, _loaded(entry), "", options)
    if "/" in name or name.endswith((".py", ".toml")):
        wrong = f"{name} holds no task.toml or task.py" if Path(name).exists() else f"No such file: {name}"
        raise UsageError(f"{wrong}. A task is a file my.py, a folder, or a name of `agentopt list tasks`.")
    raise unknown("task", name, task_names())


def _loaded(entry: EntryPoint) -> Callable[..., Task]:
    """Returns what a plug-in offers under a name; raises UsageError where it cannot be loaded."""
    try:
        factory: Callable[..., Task] = entry.load()
    except (Exception, SystemExit) as error:
        raise UsageError(f"The plug-in {entry.name} ({entry.value}) cannot be loaded: {explain(error)}") from error
    return factory


def task_folders() -> dict[str, Path]:
    """Returns the folder of each task in `./tasks` and among the built-in ones, by name."""
    folders: dict[str, Path] = {}
    for place in data_dirs("tasks"):
        for folder in sorted(place.iterdir()):
            if (folder / "task.toml").is_file() or (folder / "task.py").is_file():
                folders.setdefault(folder.name, folder)
    return folders


def task_names() -> list[str]:
    """Returns the names that can be loaded, with the variants that families of tasks state."""
    names: list[str] = []
    for name, folder in task_folders().items():
        variants: Sequence[str] = ()
        if (folder / "task.py").is_file():
            with suppress(UsageError):  # a broken task is reported when it is asked for
                variants = getattr(_load_file(folder / "task.py"), "VARIANTS", ())
        names.extend([f"{name}-{variant}" for variant in variants] or [name])
    return [*names, *code_folders(), *(entry.name for entry in entry_points(group=ENTRY_POINTS))]


def code_folders() -> dict[str, Path]:
    """Returns the folders of code to be tuned or edited, in `./sandboxes` and among the built-in ones, by name."""
    folders: dict[str, Path] = {}
    for place in data_dirs("sandboxes"):
        for folder in sorted(place.iterdir()):
            if (folder / CODE_FILE).is_file():
                folders.setdefault(folder.name, folder)
    return folders


def _code_folder(name: str) -> Path | None:
    """Returns the folder of a task with code, by its name or path."""
    return Path(name) if (Path(name) / CODE_FILE).is_file() else code_folders().get(name)


def folder_of(name: str) -> tuple[Path, str] | None:
    """Returns the folder of a task, and the variant that the rest of its name is."""
    folders = task_folders()
    for known in sorted(folders, key=len, reverse=True):
        if name == known or name.startswith(f"{known}-"):
            return folders[known], name[len(known) + 1 :]
    return None


def _from_folder(name: str, folder: Path, variant: str, options: Mapping[str, Any]) -> Task:
    if (folder / "task.toml").is_file():
        from agentopt.command import load_command_task

        if variant:
            raise unknown("task", name, task_names())
        return load_command_task(folder / "task.toml", options)
    module = _load_file(folder / "task.py")
    if hasattr(module, "make"):
        return _call_factory(name, module.make, variant, options)
    return _from_module(name, module, "evaluate", options)


def _call_factory(name: str, factory: Callable[..., Task], variant: str, options: Mapping[str, Any]) -> Task:
    known = [p for p in inspect.signature(factory).parameters if p != "variant"]
    for option in options:
        if option not in known:
            raise unknown(f"option of task {name}:", option, known)
    if variant and "variant" not in inspect.signature(factory).parameters:
        raise unknown("task", name, task_names())
    extra = {"variant": variant} if "variant" in inspect.signature(factory).parameters else {}
    try:
        task = factory(**extra, **options)
    except AgentoptError:
        raise
    except Exception as error:
        raise UsageError(f"Task {name}: {explain(error)}") from error
    if not all(hasattr(task, part) for part in ("space", "objectives", "evaluate", "describe")):
        raise UsageError(f"Task {name}: {task!r:.60} was made, which is no task.")
    return task


def _from_module(name: str, module: ModuleType, attribute: str, options: Mapping[str, Any]) -> Task:
    """Returns the task of a module that holds `space` and a function; see the README for what else it may hold."""
    where = getattr(module, "__file__", None) or module.__name__
    function = getattr(module, attribute, None)
    if function is None or not callable(function):
        functions = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
        raise unknown(f"function in {where}:", attribute, functions)
    for option in options:
        raise unknown(f"option of task {name}:", option, ())
    if not hasattr(module, "space"):
        raise UsageError(f'{where} holds no `space`: add one, as in  space = [Float("x", 0, 1)].')
    try:
        space = as_space(module.space)
    except (ValidationError, ValueError, TypeError) as error:
        raise UsageError(f"{where}: space: {explain(error)}") from error
    _check_module(module, where)
    return FunctionTask(
        name=name,
        space=space,
        function=function,
        objectives=as_objectives(getattr(module, "objectives", None), where),
        description=str(getattr(module, "description", None) or module.__doc__ or function.__doc__ or "").strip(),
        repairer=getattr(module, "repair", None),
        isolation=getattr(module, "isolation", "process"),
        timeout=getattr(module, "timeout", DEFAULT_TIMEOUT),
    )


def _check_module(module: ModuleType, where: str) -> None:
    """Raises UsageError where one of the names that a task's module may hold is not what it must be."""
    timeout, isolation = getattr(module, "timeout", None), getattr(module, "isolation", "process")
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and 0 < timeout < math.inf):
        raise UsageError(f"{where}: timeout: it must be seconds above 0, or None (given {timeout!r:.60}).")
    if isolation not in ("inline", "process"):
        raise UsageError(f"{where}: isolation: it must be 'inline' or 'process' (given {isolation!r:.60}).")
    if getattr(module, "repair", None) is not None and not callable(module.repair):
        raise UsageError(f"{where}: repair: it must be a function of the parameters (given {module.repair!r:.60}).")


def import_code(head: str) -> ModuleType:
    """Imports a file (`my.py`) or a module (`package.mod`), from the working directory too."""
    if head.endswith(".py") or "/" in head:
        path = Path(head)
        if not path.is_file():
            raise UsageError(f"There is no file {head}.")
        return _load_file(path)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(head)
    except ModuleNotFoundError as error:
        raise UsageError(f"Cannot import {head}: {error}.") from error
    except Exception as error:
        raise UsageError(f"{head} cannot be loaded: {explain(error)}") from error


def _load_file(path: Path) -> ModuleType:
    """Executes a Python file as a module of its own; its folder is importable to it."""
    path = path.resolve()
    name = f"agentopt_task_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except UsageError:
        sys.modules.pop(name, None)
        raise
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise UsageError(f"{path} cannot be loaded: {explain(error)}") from error
    return module


def explain(error: BaseException) -> str:
    """Returns an error in one line: that of settings as `kind: field: what is wrong`."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{error.title}: {mistake}" for mistake in mistakes(error)) + "."
    return f"{type(error).__name__}: {error}"
