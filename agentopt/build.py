"""The composition root: the only module that turns the names of a configuration into objects that work together."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agentopt.changes import NOT_REPEATABLE, Changes, apply, moved
from agentopt.config import DEFAULT_TRIALS, RunConfig, save_config, validated, with_none
from agentopt.errors import AgentoptError, ReplayMismatch, UsageError
from agentopt.executors.inline import InlineExecutor
from agentopt.executors.local import LocalExecutor
from agentopt.journal import FILE as JOURNAL
from agentopt.journal import History, Journal
from agentopt.llm import check_model, hold_model, is_repeatable
from agentopt.opened import OpenRun
from agentopt.optimizers import METHODS, Method, MethodOptions, load_method
from agentopt.protocols import FUNCTION, Executor, Optimizer, Problem, Task, is_ask_tell
from agentopt.provenance import made_of, provenance
from agentopt.resolve import absolute, model_settings, stored_config
from agentopt.study import Stop, Study, baseline
from agentopt.task import code_folders, load_task
from agentopt.trial import Json, SeedRule
from agentopt.watchers import Watchers

Say = Callable[[str], None]
Watch = Callable[[History], None]


def silent(_: object) -> None:
    """Says nothing, watches nothing."""


class _Gateway(Protocol):
    seconds_left: Callable[[], float]

    def close(self) -> None: ...


@dataclass(frozen=True)
class Plan:
    """A configuration whose names are resolved: everything that can be checked before a run folder is made."""

    config: RunConfig
    task: Task
    options: MethodOptions

    @property
    def problem(self) -> Problem:
        """What the optimizer may know."""
        task, c = self.task, self.config
        code = getattr(task, "code", None)
        return Problem(task.space, task.objectives, task.describe(), c.trials, c.task, code, task.repair, c.workers)

    def optimizer(self, *gateway: Any) -> Optimizer:
        """Builds the optimizer, with its gateway where it needs one."""
        rng = np.random.default_rng([self.config.seed, 1])
        return load_method(self.config.method)(self.problem, self.options, rng, *gateway)

    def header(self) -> dict[str, Json]:
        """Returns the journal's first record: what a report must know of the run."""
        c = self.config
        return {
            "method": c.method,
            "task": c.task,
            "task_options": c.task_options,
            "seed": c.seed,
            "space": self.task.space.to_json(),
            "objectives": [asdict(objective) for objective in self.task.objectives],
            "options": c.options,
            "budget": {"trials": c.trials, "seconds": c.budget},
            "workers": c.workers,
            "model": None if c.model is None else c.model.model_dump(mode="json"),
            **{fact: getattr(self.task, fact, None) for fact in ("optimum", "best_known", "median")},
            "code": None if self.problem.code is None else asdict(self.problem.code),
            "seeds": (SeedRule.TRIAL if self.problem.code is None else SeedRule.SHARED).value,
            "repeatable": c.model is None or is_repeatable(c.model),
            "made_of": made_of(c),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def plan(
    settings: Mapping[str, Any],
    *,
    task: Task | None = None,
    where: str = "the run",
    say: Say = silent,
    trials: int | None = DEFAULT_TRIALS,
) -> Plan:
    """Returns the plan of raw settings (as a TOML file holds them), with every default filled in.

    With `task` that object is used, and the settings' name for it is only a label. `trials` is the budget where the
    settings state none at all.
    """
    raw = {key: value for key, value in settings.items() if key != "model"}
    config = validated(RunConfig, raw, where)
    if "method" not in raw:
        say(f"No method was given: using {config.method}. The others:  agentopt list methods")
    if config.executor == "ray":
        raise UsageError("--executor ray is not available yet; use --executor local.")
    options = options_of(config, model=bool(settings.get("model")))
    if task is None:
        config = config.model_copy(update={"task": absolute(config.task)})
        task = _task(config)
    elif config.workers > 1:
        raise UsageError("workers > 1 needs a task that can be loaded by name, as in my.py:evaluate.")
    if len(task.objectives) > 1 and getattr(load_method(config.method), "single_objective", False):
        several = ", ".join(name for name in METHODS if _takes_several(name, task))
        raise UsageError(
            f"{config.method} takes one objective, and {config.task} has {len(task.objectives)}. Methods that take"
            f" several: {several}."
        )
    if _lacks_code(load_method(config.method), task):
        raise UsageError(
            f"{config.method} edits code, and {config.task} has none. Tasks with code: {', '.join(code_folders())}."
        )
    if (why_not := getattr(task, "why_not", None)) is not None and (reason := why_not()):
        raise UsageError(f"Task {config.task} cannot run here: {reason}")
    for note in (getattr(task, "warning", ""), task.space.unused_defaults() if config.default else ""):
        if note:
            say(note)
    if config.trials is None and config.budget is None:
        config = config.model_copy(update={"trials": trials})
    model = model_settings(config, options, settings.get("model"), say)
    update = {"options": options.model_dump(mode="json"), "model": model}
    return Plan(config.model_copy(update=update), task, options)


def open_run(plan: Plan, run: Path, *, watch: Watch = silent, say: Say = silent, inline: bool = False) -> OpenRun:
    """Makes a run folder and returns the run in it; there is no folder after a usage error or without the endpoint.

    With `inline` the task's object is called in this process, whatever its isolation.
    """
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        fix = f"resume it with  agentopt resume {run}  or" if (run / JOURNAL).exists() else "remove it, or"
        raise UsageError(f"{run} exists and is not empty: {fix} choose another name with --name.")
    if not plan.options.needs_model:
        plan.optimizer()
    if plan.config.model is not None:
        check_model(plan.config.model)
    existed = run.exists()
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    try:
        run.mkdir(parents=True, exist_ok=existed)
    except OSError as error:
        raise UsageError(f"Cannot make the run folder {run}: {error.strerror}.") from error
    try:
        save_config(plan.config, run, provenance(plan.config))
        return _assemble(plan, run, watch=watch, say=say, inline=inline)
    except (UsageError, ImportError):
        shutil.rmtree(run)
        with suppress(OSError):  # another run may have come to life beside this one
            for folder in made[1:]:
                folder.rmdir()
        if existed:
            run.mkdir()
        raise


def resume_run(
    run: Path,
    *,
    watch: Watch = silent,
    say: Say = silent,
    task: Task | None = None,
    trials: int | None = None,
    budget: float | str | None = None,
    max_failures: int | None = None,
    base_url: str | None = None,
    strict: bool = False,
) -> OpenRun:
    """Opens an existing run folder; what it is made of comes from its `config.toml` alone.

    `trials` and `budget` (wall seconds, or a text such as "30m") are what it may spend from now on, all sessions
    counted; None: as before. Its optimizer goes on as it was planned: it is not told. `max_failures` is that of
    `RunConfig`, `base_url` the endpoint that serves the model, from now on. With `strict`, UsageError is raised where
    the code of the task or a package is no longer what it was.
    """
    given = {"trials": trials, "budget": budget, "max_failures": max_failures, "base_url": base_url, "strict": strict}
    changes = validated(Changes, given, "agentopt resume")
    config, origin = stored_config(run)
    if task is None and config.task.startswith(FUNCTION):
        how = "AskTell" if is_ask_tell(config.task) else "minimize on a function"
        raise UsageError(f"{run} was started from Python with {how}: continue it there, with run={str(run)!r}.")
    try:
        resolved = plan(moved(config, run, base_url), task=task, where=str(run / "config.toml"))
    except UsageError as error:
        started = origin.get("directory", "")
        hint = f" The run was started in {started}." if started and started != str(Path.cwd()) else ""
        raise UsageError(f"{error}{hint}") from error
    if resolved.config.model is not None:
        check_model(resolved.config.model)
    return _assemble(resolved, run, watch=watch, say=say, inline=task is not None, changes=changes)


def same_run(plan: Plan, run: Path) -> None:
    """Raises UsageError where a run folder was made by another configuration than the plan's, `Changes` left aside."""
    there = stored_config(run)[0]
    before = there.model_dump() | {"options": options_of(there, model=there.model is not None).model_dump(mode="json")}
    now = plan.config.model_dump()
    for name in before:
        if name in Changes.model_fields or (name == "task" and is_ask_tell(before[name]) and is_ask_tell(now[name])):
            continue
        if json_value(before[name]) != json_value(now[name]):
            raise UsageError(f"{run} was started with {name} = {before[name]!r:.80}, not {now[name]!r:.80}.")


def _assemble(
    plan: Plan, run: Path, *, watch: Watch, say: Say, inline: bool, changes: Changes | None = None
) -> OpenRun:
    config, task = plan.config, plan.task
    with ExitStack() as stack:
        header = json_value(plan.header())
        journal = stack.enter_context(Journal(run, header))
        if journal.history.header["space"] != json_value(task.space.to_json()):
            raise ReplayMismatch(f"The search space of {config.task} is not the one that {run} was started with.")
        if changes is not None:
            apply(changes, journal, header["made_of"], say)
        if not header["repeatable"] and not journal.history.events:
            say(NOT_REPEATABLE.format(model=config.model and config.model.name))

        def left() -> float:
            return study.seconds_left()

        model = stack.enter_context(ExitStack())
        try:
            optimizer = _optimizer(plan, journal, say, model, left)
        except (AgentoptError, KeyboardInterrupt) as error:
            reason = Stop.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Stop.ERROR
            journal.stopped(reason.value, t=journal.history.elapsed)
            raise
        watchers = [watch]
        if plan.problem.code is not None:
            from agentopt.report.experiments import ResultsFile

            watchers.insert(0, ResultsFile(run))
        defaults = task.space.defaults() if config.default else None
        first = [] if defaults is None else [baseline(defaults)]
        study = Study(
            task,
            optimizer,
            _executor(plan, run, inline=inline),
            journal,
            seed=config.seed,
            max_failures=config.max_failures if (given := journal.history.now.max_failures) is None else given,
            first=first,
            watch=Watchers(watchers, say),
        )

        def again() -> Optimizer:
            with hold_model(config.model, run, say):  # a server that lives is not started again
                model.close()
                return _optimizer(plan, journal, say, model, left)

        return OpenRun(config, run, task, optimizer, journal, first, study, say, again, stack.pop_all())


def _optimizer(
    plan: Plan, journal: Journal, say: Say, model: ExitStack, seconds_left: Callable[[], float]
) -> Optimizer:
    """Builds the optimizer of a run, and the gateway of one that asks a model; closing `model` lets go of that."""
    if plan.config.model is None:
        return plan.optimizer()
    gateway = _open_gateway(plan.config, journal.run, say, journal.history.calls)
    model.callback(gateway.close)
    gateway.seconds_left = seconds_left
    return plan.optimizer(gateway)


def json_value(value: Any) -> Any:
    """Returns a value as it reads back from the journal."""
    return json.loads(json.dumps(value))


def _executor(plan: Plan, run: Path, *, inline: bool) -> Executor:
    """Cheap trusted tasks run in this process; whatever needs a clock or a second worker runs in children."""
    config, task = plan.config, plan.task
    isolation = config.isolation or task.isolation
    if inline or (isolation == "inline" and config.workers == 1 and config.trial_timeout is None):
        return InlineExecutor(task)
    timeout, folder = config.trial_timeout or task.timeout, run / "trials"
    return LocalExecutor(config.task, config.task_options, workers=config.workers, timeout=timeout, folder=folder)


def _takes_several(name: str, task: Task) -> bool:
    """Whether a method can be run on the task, given that it has several objectives."""
    method = load_method(name)
    return not getattr(method, "single_objective", False) and not _lacks_code(method, task)


def _lacks_code(method: Method, task: Task) -> bool:
    """Whether the method edits code and the task has none."""
    return getattr(method, "needs_code", False) and getattr(task, "code", None) is None


def options_of(config: RunConfig, *, model: bool) -> MethodOptions:
    """Returns the options of a configuration's method, checked; `model` is whether the user names a language model."""
    kind = load_method(config.method).Options
    given = {**kind.with_model, **config.options} if model else config.options
    return validated(kind, with_none(kind, given), f"option of {config.method}")


def _task(config: RunConfig) -> Task:
    try:
        inspect.signature(load_task).bind(config.task, **config.task_options)
    except TypeError as error:
        raise UsageError(f"Options of task {config.task}: {error}.") from error
    return load_task(config.task, **config.task_options)


def _open_gateway(config: RunConfig, run: Path, say: Say, acknowledged: int) -> _Gateway:
    from agentopt.llm import open_gateway

    assert config.model is not None
    gateway: _Gateway = open_gateway(config.model, run, config.seed, say, acknowledged=acknowledged)
    return gateway
