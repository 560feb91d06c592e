"""`minimize`: a search for the best arguments of a function, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agentopt.api.opening import Model, Space, folder_of, function_task, objectives_of, open_function_run, telling
from agentopt.api.result import Result
from agentopt.build import Say
from agentopt.config import DEFAULT_METHOD
from agentopt.functions import name_of
from agentopt.progress import watcher_of
from agentopt.protocols import FUNCTION, Objective
from agentopt.report.load import best_of
from agentopt.study import Stop
from agentopt.task import FunctionTask


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
    max_failures: int | None = None,
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
        run: a run folder to keep; one that exists already is continued, a finished one where `trials` or `budget` give
            it more. They count all that it has made and spent; None is as before. Without `run` nothing is kept.
        default: whether the space's default configuration, where it has one, is the first trial.
        max_failures: the search ends when so many evaluations in a row failed alike and none completed; 0: never.
            None: 10, or as before with a `run` that exists.
        say: gets lines on what takes its time, as `print` would; None: the logger `agentopt` does, and the screen
            where progress is shown.
        progress: whether progress is shown on stderr; None: on a terminal and in a notebook.

    """
    wanted = objectives_of(objectives, maximize=maximize)
    task = function_task(f"{FUNCTION}{name_of(fn)}", fn, space, wanted)
    settings: dict[str, Any] = {"trials": trials, "budget": budget, "max_failures": max_failures}
    settings |= {"method": method, "seed": seed, "options": options or {}, "model": model, "default": default}
    return _search(task, settings, run, say, progress=progress)


def _search(
    task: FunctionTask, settings: Mapping[str, Any], run: str | Path | None, say: Say | None, *, progress: bool | None
) -> Result:
    with ExitStack() as stack:
        folder = folder_of(run, stack)
        watcher = stack.enter_context(watcher_of(folder, shown=progress))
        opened = open_function_run(task, settings, folder, stack, say or telling(watcher), watch=watcher)
        stop, history = opened.execute(), opened.study.history
    best, kept = best_of(history.trials, task.objectives), None if run is None else folder
    if stop is Stop.INTERRUPTED and best is None:
        raise KeyboardInterrupt
    return Result(best, tuple(history.trials), kept, task.objectives, stop, history.elapsed)
