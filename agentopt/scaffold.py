"""Makes the folder of a new task, and tries a task out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentopt.errors import UsageError
from agentopt.executors.inline import InlineExecutor
from agentopt.executors.local import LocalExecutor
from agentopt.protocols import Done, Executor, Job, Task
from agentopt.task import load_task, task_folders, task_names
from agentopt.trial import Json, Outcome, Params, Status

TASK = '''"""{name}: say here what is optimized and why; methods that ask a language model show it this text."""

from agentopt import Float, Int, Objective

space = [
    Float("learning_rate", 1e-5, 1e-1, log=True, default=1e-3),
    Int("width", 8, 512, log=True, default=64),
]
objectives = [Objective("loss", "minimize")]


def evaluate(params, seed=0):
    """Returns the loss of a configuration, or a mapping with `loss` and further numbers to be recorded."""
    distance = (params["learning_rate"] / 3e-3 - 1) ** 2 + (params["width"] / 128 - 1) ** 2
    return {{"loss": distance, "width_used": params["width"]}}
'''
SURROGATE = '''"""{name}: a surrogate fitted on {trials} trials of {source}."""

from pathlib import Path

from agentopt.surrogate.task import load_surrogate_task


def make(noise: float = 0.0):
    """Returns the task; `noise` is the standard deviation of an error that is added to each value."""
    return load_surrogate_task(Path(__file__).with_name("model.npz"), noise)
'''
README = """# {name}

What is optimized, where the data comes from and under which licence, how long one evaluation takes.

- Try it: `agentopt task check {name}`
- Search: `agentopt run cmaes --task {name} --trials 50`

`task.py` holds `space` (a list of Float, Int and Choice), `objectives` and `evaluate(params, seed)`. It may also hold
`description`, `repair(params)` (a function that returns an admissible configuration), `timeout` (seconds, default
3600) and `isolation` ("process", the default: each evaluation runs in a supervised child process; "inline": in the
process of the search, for cheap code).
"""


def init_task(name: str, tasks: Path = Path("tasks")) -> Path:
    """Writes `tasks/NAME` with a task that runs as it is, and returns the folder."""
    folder = new_folder(name, tasks)
    folder.mkdir(parents=True)
    (folder / "task.py").write_text(TASK.format(name=name), encoding="utf-8")
    (folder / "README.md").write_text(README.format(name=name), encoding="utf-8")
    return folder


def new_folder(name: str, tasks: Path = Path("tasks")) -> Path:
    """Returns the folder of a new task, not made yet; raises UsageError where it cannot be."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UsageError(f"{name!r} cannot be a task's name: letters, digits, '.', '_' and '-' only.")
    if (tasks / name).exists():
        raise UsageError(f"{tasks / name} exists already; choose another name.")
    if name in {*task_folders(), *task_names()}:
        raise UsageError(f"There is a task {name}, which {tasks / name} would hide; choose another name.")
    return tasks / name


def fit_task(trials: Path, name: str, **how: Any) -> dict[str, Json]:
    """Fits a surrogate as `fit_file` does, writes it as the task `tasks/NAME`, and returns what was done."""
    from agentopt.surrogate.command import fit_file

    folder = new_folder(name)
    done = fit_file(trials, folder / "model.npz", **how)
    text = SURROGATE.format(name=name, trials=done["trials"], source=trials.name)
    (folder / "task.py").write_text(text, encoding="utf-8")
    return done


@dataclass(frozen=True)
class Check:
    """What trying a task out has shown."""

    task: Task
    params: Params
    is_default: bool
    """Whether the configuration is the task's default one, and not the middle of its space."""
    outcomes: tuple[Outcome, ...]
    """One evaluation, and a second one with the same seed where the first completed."""
    seconds: tuple[float, ...]

    @property
    def ok(self) -> bool:
        """Whether the task can be used."""
        return all(outcome.status is Status.COMPLETE for outcome in self.outcomes)

    @property
    def deterministic(self) -> bool:
        """Whether both evaluations gave the same values."""
        return len(self.outcomes) == 2 and self.outcomes[0].values == self.outcomes[1].values


def check_task(name: str) -> Check:
    """Loads a task, and evaluates its default configuration twice in the way that a run does."""
    task = load_task(name)
    defaults = task.space.defaults()
    params = task.repair(task.space.decode([0.5] * len(task.space)) if defaults is None else defaults)
    if not task.space.contains(params):
        raise UsageError(f"Task {name}: repair gives a configuration that is not in the space: {params}.")
    executor: Executor = (
        InlineExecutor(task)
        if task.isolation == "inline"
        else LocalExecutor(name, {}, workers=1, timeout=task.timeout, folder=None)
    )
    try:
        done = [_evaluate(executor, Job(0, params, seed=0))]
        if done[0].outcome.status is Status.COMPLETE:
            done.append(_evaluate(executor, Job(1, params, seed=0)))
    finally:
        executor.close()
    return Check(task, params, defaults is not None, tuple(d.outcome for d in done), tuple(d.seconds for d in done))


def _evaluate(executor: Executor, job: Job) -> Done:
    executor.submit(job)
    return executor.wait(None)[0]
