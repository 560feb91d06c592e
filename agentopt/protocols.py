"""The seams of the workbench: what a task, an optimizer and an executor must offer, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from agentopt.space import SearchSpace
from agentopt.trial import Edit, Json, Outcome, Params, Suggestion, Trial, Value

Isolation: TypeAlias = Literal["inline", "process"]
FUNCTION = "python:"
"""Marks the name of a task that is an object of a Python program: no command can load it."""
ASK_TELL = f"{FUNCTION}ask-tell"
"""The name of the task of a run whose evaluations are made by its user."""
_ASK_TELL_NAMES = frozenset({ASK_TELL, f"{FUNCTION}_not_called"})  # the second one in runs of before 0.1


def is_ask_tell(task: str) -> bool:
    """Whether a task's name is that of a run whose evaluations are made by its user."""
    return task in _ASK_TELL_NAMES


@dataclass(frozen=True, slots=True)
class Objective:
    """One quantity to optimize, in the task's own units."""

    name: str = "value"
    direction: Literal["minimize", "maximize"] = "minimize"
    reference: float | None = None
    """The worst value that still counts, for hypervolumes, in the task's units."""

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            known = "'minimize' or 'maximize'"
            raise ValueError(f"Objective {self.name!r}: direction: it must be {known} (given {self.direction!r:.60})")

    def loss(self, value: float) -> float:
        """Returns the value to be minimised; its own inverse."""
        return -value if self.direction == "maximize" else value


def stated_reference(objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """Returns the reference point in minimised values; None unless every objective states one."""
    stated = [o.loss(o.reference) for o in objectives if o.reference is not None]
    return tuple(stated) if len(stated) == len(objectives) else None


def minimised(trial: Trial, objectives: Sequence[Objective]) -> Trial:
    """Returns the trial as optimizers are told it: every objective is to be minimised."""
    if not trial.complete or all(objective.direction == "minimize" for objective in objectives):
        return trial
    values = tuple(o.loss(v) for o, v in zip(objectives, trial.values, strict=True))
    return replace(trial, outcome=replace(trial.outcome, values=values))


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a code task, as an agent may know it."""

    file: str
    """The name of the one file that may be edited."""
    text: str
    """The file as the task has it, with the values of the space's defaults."""
    program: str
    """The instructions: what may be changed and what counts."""
    required: tuple[str, ...] = ()
    """The functions that the file must keep defining."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an optimizer may know of a task."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    description: str = ""
    trials: int | None = None
    """The budget in trials, where there is one."""
    task: str = ""
    """The name that `load_task` takes, where there is one: for scripted models of known quality, never for prompts."""
    code: Code | None = None
    """The code that is tuned or edited, where the task is one: its space is that of the code's literals."""
    repairer: Callable[[Params], dict[str, Value]] | None = None
    """The task's own `repair`; None: it has none besides its space's."""
    workers: int = 1
    """How many trials may be in flight."""

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns what is run where a configuration is suggested."""
        return self.space.repair(params) if self.repairer is None else self.repairer(params)

    def key(self, params: Params) -> tuple[Value, ...]:
        """Returns a hashable identity of what is run: equal exactly for configurations that a repair makes equal."""
        return self.space.key(self.repair(params))


class Task(Protocol):
    """A blackbox: a space, objectives, and an evaluation that never raises for what happens inside it."""

    @property
    def name(self) -> str:
        """The name that `load_task` takes."""

    @property
    def space(self) -> SearchSpace:
        """The search space."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """One objective or more."""

    @property
    def isolation(self) -> Isolation:
        """`inline` for cheap trusted code, `process` for everything else."""

    @property
    def timeout(self) -> float | None:
        """The wall seconds one evaluation may take; None: no limit."""

    def evaluate(self, params: Params, seed: int = 0) -> Outcome:
        """Evaluates a configuration; the same params and seed give the same outcome where the task can promise it."""

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns the configuration with every constraint of the task satisfied."""

    def describe(self) -> str:
        """Returns what the task is about, for prompts and people."""


class CodeTask(Task, Protocol):
    """A task whose evaluation runs a program: it takes new versions of the program besides new values in it."""

    @property
    def code(self) -> Code:
        """The program as it stands."""

    def evaluate(self, params: Params, seed: int = 0, edit: Edit | None = None) -> Outcome:
        """Evaluates the program with the values of `params` in it, or the edit as it is."""


class Optimizer(Protocol):
    """A search: no I/O, no clock, all randomness from the generator it was given. It minimises.

    Its state is a function of the calls it received, so a run is resumed by making the same calls again.
    """

    def ask(self, n: int) -> list[Suggestion]:
        """Returns up to `n` suggestions; fewer, or none, where it must first be told pending ones.

        A call that returns nothing changes nothing. With no suggestion pending, at least one is returned until the
        search is exhausted. Of a call that raises anything, an interrupt or the death of a model, no state is promised:
        whoever goes on builds the optimizer anew and makes the recorded calls again.
        """

    def tell(self, trial: Trial) -> None:
        """Takes a finished trial, in minimised values; in any order, its own or a foreign one (token None)."""

    def explain(self) -> Mapping[str, Json]:
        """Returns its state in the user's units: for prompts, and for people in `agentopt show RUN --state`.

        `in_words`, where it is there, is a line that is said at the end of a run.
        """


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to be run."""

    id: int
    params: Params
    seed: int
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """One evaluation that ended."""

    id: int
    outcome: Outcome
    seconds: float


class Executor(Protocol):
    """Where trials run."""

    @property
    def capacity(self) -> int:
        """How many jobs may be in flight."""

    def submit(self, job: Job) -> None:
        """Starts a job; at most `capacity` at a time."""

    def wait(self, timeout: float | None) -> Sequence[Done]:
        """Returns the jobs that ended, at least one unless `timeout` seconds passed first; with 0 those that have."""

    def cancel(self, job_id: int) -> None:
        """Stops a job in flight with its whole process tree: nothing comes of it, and its place is free."""

    def close(self) -> None:
        """Stops everything that is still running."""
