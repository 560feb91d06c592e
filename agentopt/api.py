"""agentopt from Python: `minimize` for a function, `AskTell` for people who evaluate by themselves.

For example:

    from agentopt import Float, minimize

    result = minimize(lambda p: (p["x"] - 2) ** 2, [Float("x", -5, 5)], method="cmaes", trials=50)
    print(result.value, result.params)

"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NoReturn, Self

from agentopt.build import FUNCTION, OpenRun, Say, Watch, open_run, plan, resume_run, same_run, silent
from agentopt.config import DEFAULT_METHOD, DEFAULT_TRIALS
from agentopt.config import FILE as CONFIG
from agentopt.errors import UsageError
from agentopt.functions import called, name_of
from agentopt.llm.settings import ModelSettings
from agentopt.outcomes import NoResultError, read_outcome
from agentopt.progress import Watcher, watcher_of
from agentopt.protocols import Objective, minimised
from agentopt.report.fronts import Front, front_of
from agentopt.report.load import best_of
from agentopt.result import Result
from agentopt.space import Parameter, SearchSpace, as_space
from agentopt.study import Stop, replay
from agentopt.task import FunctionTask
from agentopt.trial import Origin, Outcome, Params, Suggestion, Trial

Space = SearchSpace | Iterable[Parameter]
Model = str | ModelSettings | Mapping[str, Any]
_LOG = logging.getLogger("agentopt")


def minimize(
    fn: Callable[..., object],
    space: Space,
    method: str = DEFAULT_METHOD,
    *,
    trials: int | None = None,
    budget: float | str | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    model: Model | None = None,
    maximize: bool = False,
    objectives: Sequence[Objective] | None = None,
    run: str | Path | None = None,
    default: bool = True,
    say: Say | None = None,
    progress: bool | None = None,
) -> Result:
    """Searches for the configuration with the lowest `fn(params)`, or the highest with `maximize`.

    Ctrl-C ends the search: what was found by then is returned, with `stop` saying so. Where no trial completed yet, the
    KeyboardInterrupt goes on.

    Args:
        fn: takes a dict of parameters, and `seed` where it has an argument of that name; returns a number, or a
            mapping with `value` and further numbers to be recorded. What it raises makes a failed trial. With
            `objectives`: a number for each in their order, or a mapping with their names.
        space: the parameters.
        method: a name of `agentopt list methods`.
        trials: how many evaluations; 100 where neither this nor `budget` is given.
        budget: wall seconds, or a text such as "30m"; an evaluation that is under way then is finished.
        seed: all randomness of the search comes from it.
        options: the method's options, see `agentopt show METHOD`.
        model: for methods that ask a language model: its name, or settings.
        maximize: whether high values are good.
        objectives: what is optimized, where it is more than one number or has a name; `front` of the result is what
            several come to.
        run: a run folder to keep; one that exists already is continued. None: nothing is kept.
        default: whether the space's default configuration, where it has one, is the first trial.
        say: gets lines on what takes its time, as `print` would; None: the logger `agentopt` does, and the screen
            where progress is shown.
        progress: whether progress is shown on stderr; None: on a terminal and in a notebook.

    """
    wanted = _objectives(objectives, maximize=maximize)
    task = _function_task(fn, space, wanted)
    settings: dict[str, Any] = {"trials": trials, "budget": budget}
    settings |= {"method": method, "seed": seed, "options": options or {}, "model": model, "default": default}
    with ExitStack() as stack:
        folder = _folder(run, stack)
        watcher = stack.enter_context(watcher_of(folder, shown=progress))
        opened = _open(task, settings, folder, stack, say or _telling(watcher), watch=watcher)
        stop, history = opened.execute(), opened.study.history
    best, kept = best_of(history.trials, wanted), None if run is None else folder
    if stop is Stop.INTERRUPTED and best is None:
        raise KeyboardInterrupt
    return Result(best, tuple(history.trials), kept, wanted, stop, history.elapsed)


def _objectives(given: Sequence[Objective] | None, *, maximize: bool) -> tuple[Objective, ...]:
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


class AskTell:
    """A search whose evaluations are made elsewhere: by hand, on a cluster, in a laboratory.

    With `run` everything is kept in that folder, and a later session with the same arguments goes on where the last
    one ended. Usable as a context manager.

        with AskTell([Float("x", -5, 5)], method="cmaes", seed=1, run="runs/by-hand") as search:
            for _ in range(20):
                trial, = search.ask()
                search.tell(trial.id, (trial.params["x"] - 2) ** 2)
            print(search.best)
    """

    def __init__(
        self,
        space: Space,
        method: str = DEFAULT_METHOD,
        *,
        objectives: Sequence[Objective] = (Objective(),),
        trials: int | None = None,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        model: Model | None = None,
        run: str | Path | None = None,
        default: bool = True,
        description: str = "",
        say: Say | None = None,
    ) -> None:
        """`trials` is the number of evaluations planned, where there is one; `description` tells a model the topic.

        The other arguments are those of `minimize`.
        """
        self._objectives = _objectives(objectives, maximize=False)
        task = _function_task(_not_called, space, self._objectives, description)
        settings: dict[str, Any] = {"trials": trials, "method": method, "seed": seed, "options": options or {}}
        with ExitStack() as stack:
            settings |= {"model": model, "default": default}
            folder = _folder(run, stack)
            say = say or _telling(watcher_of(folder))
            self._open = _open(task, settings, folder, stack, say, default_trials=None)
            self._journal = self._open.journal
            self._start = time.monotonic() - self._journal.history.elapsed
            replay(self._journal, self._open.optimizer, self._objectives)
            self._resources = stack.pop_all()

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that were told, in the order of the telling, in their own units."""
        return tuple(self._journal.history.trials)

    @property
    def pending(self) -> tuple[Ask, ...]:
        """What was asked and not told yet, in earlier sessions too."""
        pending = self._journal.history.pending
        return tuple(Ask(number, dict(params), s.origin) for number, (s, params) in pending.items())

    @property
    def best(self) -> Trial | None:
        """The best complete trial, of several objectives in the first one."""
        return best_of(self.trials, self._objectives)

    @property
    def front(self) -> Front:
        """The Pareto set of several objectives, with its hypervolume and the reference point that this counts from."""
        return front_of(self.trials, self._objectives)

    def ask(self, n: int = 1) -> list[Ask]:
        """Returns up to `n` configurations to be evaluated; none where pending ones must be told first."""
        history, began = self._journal.history, time.perf_counter()
        suggestions: Sequence[Suggestion] = self._open.first[history.next_id :][:n]
        asked = 0 if suggestions else n
        suggestions = suggestions or self._open.optimizer.ask(n)
        if not suggestions:
            return []
        params = [self._open.task.repair(suggestion.params) for suggestion in suggestions]
        seconds = time.perf_counter() - began
        ids = self._journal.asked(asked, suggestions, params, t=self._now(), seconds=seconds)
        return [Ask(i, dict(p), s.origin) for i, p, s in zip(ids, params, suggestions, strict=True)]

    def tell(self, trial: int, result: object, *, seconds: float = 0.0) -> Trial:
        """Takes what came of a trial: a number, one per objective, a mapping with them, or an `Outcome`.

        Raises UsageError for what is none of these: the trial then waits for another result. Numbers that are not
        finite make a failed trial.
        """
        if trial not in self._journal.history.pending:
            raise UsageError(f"Trial {trial} was not asked, or has been told already.")
        try:
            outcome = result if isinstance(result, Outcome) else read_outcome(result, self._objectives)
        except NoResultError as error:
            raise UsageError(f"Trial {trial} can still be told; this is no result of it: {error}.") from error
        told = self._journal.finished(trial, outcome, seconds=seconds, t=self._now())
        self._open.optimizer.tell(minimised(told, self._objectives))
        return told

    def close(self) -> None:
        """Ends the session; a kept run folder can be opened again."""
        self._journal.stopped(Stop.INTERRUPTED.value, t=self._now())
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _now(self) -> float:
        return time.monotonic() - self._start


@dataclass(frozen=True)
class Ask:
    """One configuration that is to be evaluated."""

    id: int
    params: dict[str, Any]
    origin: Origin


def _function_task(
    fn: Callable[..., object], space: Space, objectives: tuple[Objective, ...], description: str = ""
) -> FunctionTask:
    label = f"{FUNCTION}{name_of(fn)}"
    try:
        made = as_space(space)
    except ValueError as error:
        raise UsageError(f"The space cannot be used: {error}") from error
    return FunctionTask(label, made, fn, objectives, description or (called(fn).__doc__ or "").strip())


def _folder(run: str | Path | None, stack: ExitStack) -> Path:
    """Returns the run folder, a temporary one where none is to be kept."""
    return Path(stack.enter_context(TemporaryDirectory(prefix="agentopt-")) if run is None else run)


def _telling(watcher: Watcher) -> Say:
    """Returns what tells the logger, and the screen where progress is shown on it."""

    def tell(line: str) -> None:
        _LOG.info("%s", line)
        if not watcher.quiet:
            watcher.say(line)

    return tell


def _open(
    task: FunctionTask,
    settings: Mapping[str, Any],
    folder: Path,
    stack: ExitStack,
    say: Say,
    *,
    watch: Watch = silent,
    default_trials: int | None = DEFAULT_TRIALS,
) -> OpenRun:
    """Opens a run on a function in a folder: a new one, or one to be continued."""
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
        return stack.enter_context(resume_run(folder, task=task, watch=watch, say=say))
    return stack.enter_context(open_run(prepared, folder, watch=watch, say=say, inline=True))


def _not_called(_: Params) -> NoReturn:
    raise UsageError("The evaluations of an AskTell session are made by its user.")
