"""A run in memory: problems to try a method on, functions that fail on purpose, and the record of every call."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from agentopt.code.literals import read_literals
from agentopt.outcomes import failure
from agentopt.protocols import Code, Objective, Optimizer, Problem
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace
from agentopt.trial import (
    Edit,
    Json,
    Origin,
    Outcome,
    Params,
    Status,
    Suggestion,
    Trial,
    Value,
    edit_from_json,
    edit_to_json,
    outcome_from_json,
    outcome_to_json,
    suggestion_to_json,
)

Build: TypeAlias = Callable[[Problem, int], Optimizer]
"""Makes an optimizer of a problem and a seed."""
Judge: TypeAlias = Callable[[int, Params], Outcome]
"""Gives the outcome of a trial by its id and params."""

FAILURES = tuple(status for status in Status if status is not Status.COMPLETE)
TRIALS = 20
"""How many trials a simulated run has, unless said otherwise."""


def _problem(*parameters: Float | Int | Choice, repairs: tuple[AtLeast, ...] = ()) -> Problem:
    return Problem(SearchSpace(parameters, repairs), (Objective(),), "A test function.", trials=TRIALS)


PROBLEMS: Mapping[str, Problem] = {
    "mixed": _problem(
        Float("rate", 1e-5, 1e-1, log=True, default=1e-3),
        Float("share", -0.5, 0.5, default=0.0),
        Int("layers", 1, 6, default=2),
        Int("batch", 8, 256, powers_of=2, default=32),
        Int("warmup", 0, 100, step=10, default=20),
        Choice("kind", ("a", "b", "c"), default="a"),
        Choice("flag", (True, False), default=True),
    ),
    "one-real": _problem(Float("x", 0.0, 1.0)),
    "one-integer": _problem(Int("n", 1, 1000, log=True)),
    "integers": _problem(Int("a", -3, 3), Int("b", 0, 1), Int("c", 1, 4096, powers_of=4)),
    "grids": _problem(
        Float("rate", values=(1e-8, 7.5e-6, 0.01, 1.0)), Int("width", values=(4, 6, 10, 16, 25)), Float("x", 0.0, 1.0)
    ),
    "choices": _problem(Choice("a", ("x", "y")), Choice("b", (1, 2.5, "z", False))),
    "repairs": _problem(
        Int("heads", 1, 16), Int("width", 16, 256, step=16), Float("high", 0.0, 1.0), Float("low", 0.0, 1.0),
        repairs=(AtLeast("width", "heads", 16), AtLeast("high", "low")),
    ),
}  # fmt: skip
"""Spaces that methods get wrong: without numbers, with one parameter, finite, with repairs."""

_MOST_LAYERS = 3


def _without_idle_layers(params: Params) -> dict[str, Value]:
    """Returns a network whose layers beyond its depth have the least width."""
    depth = int(params["depth"])
    idle = {name: 1 for i in range(depth, _MOST_LAYERS) if (name := f"width_{i + 1}") in params}
    return {**params, **idle}


MERGED_PROBLEM = replace(
    _problem(Int("depth", 1, _MOST_LAYERS), *(Int(f"width_{i + 1}", 1, 3) for i in range(_MOST_LAYERS))),
    repairer=_without_idle_layers,
)
"""Networks whose idle layers do not count: the task's repair makes 39 of its 81 configurations."""

_PROGRAM = """# A program to be tuned or edited.
DEPTH = 2
RATE = 0.5  # of the learning
SHARE = 0.25


def build():
    return DEPTH * RATE


def main():
    print(build(), SHARE)
"""
CODE_PROBLEM = Problem(
    SearchSpace(
        (
            Int("DEPTH", 1, 9, default=2),
            Float("RATE", 0.0, 1.0, default=0.5),
            Float("SHARE", 1e-3, 1.0, log=True, default=0.25),
        )
    ),
    (Objective(),),
    "A test program.",
    trials=TRIALS,
    code=Code("program.py", _PROGRAM, "Anything may be changed.", ("build", "main")),
)
"""A program for the methods that edit code: its loss is that of the numbers which stand in it."""


@dataclass
class Session:
    """An optimizer in a simulated run, and the record of its calls."""

    optimizer: Optimizer
    problem: Problem
    judge: Judge
    repair: Callable[[Params], dict[str, Value]]
    """What the task makes of a suggestion before it is run."""
    calls: list[int | Trial] = field(default_factory=list)
    """In order: the `n` of each ask that gave something, and each trial told."""
    asked: list[Suggestion] = field(default_factory=list)
    pending: list[tuple[int, Suggestion]] = field(default_factory=list)

    def ask(self, n: int) -> list[Suggestion]:
        """Asks, and keeps what is given as pending."""
        suggestions = self.optimizer.ask(n)
        assert len(suggestions) <= n, f"ask({n}) gave {len(suggestions)} suggestions"
        if suggestions:
            self.calls.append(n)
        for suggestion in suggestions:
            self.pending.append((len(self.asked), suggestion))
            self.asked.append(suggestion)
        return suggestions

    def tell(self, position: int = 0) -> None:
        """Tells one of the pending suggestions."""
        number, suggestion = self.pending.pop(position)
        edit, params = suggestion.edit, suggestion.params
        if edit is None:
            params = self.repair(params)
        outcome = self.judge(number, params if edit is None else self._numbers(edit))
        one = Trial(number, params, outcome, suggestion.origin, suggestion.token, suggestion.note, 0.1, edit)
        self.take(one)

    def take(self, trial: Trial) -> None:
        """Tells a trial, which may be a foreign one."""
        self.optimizer.tell(trial)
        self.calls.append(trial)

    def run(self, trials: int, *, width: int = 1, order: np.random.Generator | None = None) -> Session:
        """Evaluates `trials` suggestions, or all there are, `width` in flight, told in turn or in a random `order`."""
        told = 0
        while told < trials:
            while len(self.pending) < width and self.ask(width - len(self.pending)):
                pass
            if not self.pending:
                break
            self.tell(0 if order is None else int(order.integers(len(self.pending))))
            told += 1
        return self

    def went_on(self, trials: int) -> bool:
        """Whether it gave `trials` suggestions, or had tried every configuration there is before."""
        if len(self.asked) >= trials:
            return True
        key = self.problem.space.key
        tried = {key(s.params) for s in self.asked} | {key(c.params) for c in self.calls if isinstance(c, Trial)}
        return len(tried) >= size(self.problem)

    def _numbers(self, edit: Edit) -> Params:
        """Returns the configuration that a version of the problem's program has."""
        found, default = read_literals(edit.text).values, self.problem.space.defaults()
        return {p.name: p.clip(found.get(p.name, (default or {})[p.name])) for p in self.problem.space.parameters}


def bowl(problem: Problem) -> Judge:
    """Returns a smooth function of the unit cube, with its minimum off the centre."""

    def judge(_: int, params: Params) -> Outcome:
        u = problem.space.encode(params)
        values = [float(((u - 0.3 - 0.1 * i) ** 2).sum()) for i in range(len(problem.objectives))]
        return Outcome(Status.COMPLETE, tuple(values))

    return judge


def session(build: Build, problem: Problem, seed: int = 0, judge: Judge | None = None) -> Session:
    """Returns a simulated run that has not begun; by default it evaluates a bowl, and repairs as the problem says."""
    return Session(build(problem, seed), problem, judge or bowl(problem), problem.repair)


def faulty(problem: Problem) -> Judge:
    """Returns a function where every second trial fails, in every way there is."""
    good = bowl(problem)

    def judge(number: int, params: Params) -> Outcome:
        if number % 2:
            return good(number, params)
        return failure(FAILURES[number // 2 % len(FAILURES)], "a test failure")

    return judge


def size(problem: Problem) -> float:
    """Returns how many configurations there are, repairs aside."""
    return math.prod(parameter.levels or math.inf for parameter in problem.space.parameters)


def as_written(suggestions: Sequence[Suggestion]) -> list[dict[str, Json]]:
    """Returns suggestions as a journal gives them back."""
    return [json.loads(json.dumps(suggestion_to_json(suggestion))) for suggestion in suggestions]


def reread(trial: Trial) -> Trial:
    """Returns a trial as a journal gives it back."""
    params = json.loads(json.dumps(dict(trial.params)))
    outcome = outcome_from_json(json.loads(json.dumps(outcome_to_json(trial.outcome))))
    edit = None if trial.edit is None else edit_from_json(json.loads(json.dumps(edit_to_json(trial.edit))))
    origin, note = Origin(trial.origin.value), json.loads(json.dumps(dict(trial.note)))
    return Trial(trial.id, params, outcome, origin, trial.token, note, trial.seconds, edit)
