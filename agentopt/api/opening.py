"""What `minimize` and `AskTell` share: what they are given becomes a task and an open run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentopt.build import Say, Watch, open_run, plan, resume_run, same_run, silent
from agentopt.changes import Changes
from agentopt.config import DEFAULT_TRIALS, load_config
from agentopt.config import FILE as CONFIG
from agentopt.errors import JournalError, UsageError
from agentopt.functions import called
from agentopt.journal import read_history
from agentopt.llm.settings import ModelSettings
from agentopt.opened import OpenRun
from agentopt.progress import Watcher
from agentopt.protocols import Objective
from agentopt.space import Parameter, SearchSpace, as_space
from agentopt.task import FunctionTask

Space = SearchSpace | Iterable[Parameter]
Model = str | ModelSettings | Mapping[str, Any]
_LOG = logging.getLogger("agentopt")


def objectives_of(given: Sequence[Objective] | None, *, maximize: bool) -> tuple[Objective, ...]:
    """Returns the objectives, after `maximize` where none are given; raises UsageError for what cannot be meant."""
    if given is None:
        return (Objective(direction="maximize" if maximize else "minimize"),)
    if wrong := [one for one in given if not isinstance(one, Objective)]:
        raise UsageError(
            f"objectives: {wrong[0]!r:.60} is no objective; give Objective(NAME) or Objective(NAME, 'maximize')."
        )
    names = [objective.name for objective in given]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"objectives: one or more with different names are needed, not {names}.")
    if maximize:
        raise UsageError("maximize is for one objective without a name: give Objective(NAME, 'maximize') instead.")
    return tuple(given)


def function_task(
    name: str, fn: Callable[..., object], space: Space, objectives: tuple[Objective, ...], description: str = ""
) -> FunctionTask:
    """Returns the task of a function; raises UsageError for a space or a function that cannot be used."""
    try:
        made = as_space(space)
    except ValueError as error:
        raise UsageError(f"The space cannot be used: {error}") from error
    return FunctionTask(name, made, fn, objectives, description or (called(fn).__doc__ or "").strip())


def folder_of(run: str | Path | None, stack: ExitStack) -> Path:
    """Returns the run folder, a temporary one where none is to be kept."""
    return Path(stack.enter_context(TemporaryDirectory(prefix="agentopt-")) if run is None else run)


def telling(watcher: Watcher) -> Say:
    """Returns what tells the logger, and the screen where progress is shown on it."""

    def tell(line: str) -> None:
        _LOG.info("%s", line)
        if not watcher.quiet:
            watcher.say(line)

    return tell


def open_function_run(
    task: FunctionTask,
    settings: Mapping[str, Any],
    folder: Path,
    stack: ExitStack,
    say: Say,
    *,
    watch: Watch = silent,
    default_trials: int | None = DEFAULT_TRIALS,
) -> OpenRun:
    """Opens a run on a function in a folder: a new one, or one to be continued with the budgets that are given now."""
    given = {key: value for key, value in settings.items() if value is not None}
    model = given.get("model")
    if isinstance(model, ModelSettings):
        given["model"] = model.model_dump()
    elif isinstance(model, str):
        given["model"] = {"name": model}
    named = {**given, "task": task.name}
    prepared = plan(named, task=task, where="arguments", say=say, trials=default_trials)
    if (folder / CONFIG).is_file():
        same_run(prepared, folder)
        more = _changed(folder, {key: getattr(prepared.config, key) for key in Changes.model_fields if key in given})
        return stack.enter_context(resume_run(folder, task=task, watch=watch, say=say, **more))
    return stack.enter_context(open_run(prepared, folder, watch=watch, say=say, inline=True))


def _changed(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is given that a run does not have."""
    before: dict[str, Any] = {"max_failures": load_config(folder)[0].max_failures}
    with suppress(JournalError):  # of a run that ended before its first record was written
        history = read_history(folder)
        before |= {"trials": history.budget.trials, "budget": history.budget.seconds}
        before |= {} if history.now.max_failures is None else {"max_failures": history.now.max_failures}
    return {key: value for key, value in given.items() if key not in before or value != before[key]}
