"""The checks themselves: each catches an optimizer or a task that breaks its rule."""

from __future__ import annotations

import time

import numpy as np
import pytest

from agentopt.optimizers.local import LocalSearch
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask
from agentopt.testing import contracts
from agentopt.trial import Suggestion


class GlobalGenerator(LocalSearch):
    def ask(self, n):
        np.random.random()  # noqa: NPY002
        return super().ask(n)


class Clock(LocalSearch):
    def ask(self, n):
        self._rng.random(time.perf_counter_ns() % 7)
        return super().ask(n)


class NotPlain(LocalSearch):
    def ask(self, n):
        return [
            Suggestion(
                {k: np.float64(v) if isinstance(v, float) else v for k, v in s.params.items()}, s.origin, s.token
            )
            for s in super().ask(n)
        ]


class NoToken(LocalSearch):
    def ask(self, n):
        return [Suggestion(s.params, s.origin) for s in super().ask(n)]


class DrawsForNothing(LocalSearch):
    def ask(self, n):
        if not n:
            self._rng.random()
        return super().ask(n)


class NeedsValues(LocalSearch):
    def tell(self, trial):
        assert trial.values[0] is not None
        super().tell(trial)


class GivesUp(LocalSearch):
    def ask(self, n):
        return super().ask(n) if self._asked < 15 else []


class ChangesWhenExplained(LocalSearch):
    def explain(self):
        self._rng.random()
        return super().explain()


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (GlobalGenerator, contracts.seed_decides),
        (Clock, contracts.calls_decide),
        (NotPlain, contracts.suggestions_are_admissible),
        (NoToken, contracts.suggestions_are_admissible),
        (DrawsForNothing, contracts.empty_ask_changes_nothing),
        (NeedsValues, contracts.failures_are_taken),
        (GivesUp, contracts.any_order_is_taken),
        (ChangesWhenExplained, contracts.explains_itself),
    ],
)
def test_a_broken_optimizer_is_caught(broken, check):
    def build(problem, seed):
        return broken(problem, broken.Options(), np.random.default_rng(seed))

    with pytest.raises((AssertionError, IndexError)):
        check(build, contracts.PROBLEMS["mixed"])


SPACE = SearchSpace((Float("x", 0, 8, default=1), Float("y", 0, 8, default=2)))


@pytest.mark.parametrize(
    ("task", "check"),
    [
        (FunctionTask("t", SPACE, lambda p: p["x"]), contracts.task_is_described),
        (FunctionTask("t", SPACE, lambda p: next(iter(p.values()))), contracts.evaluation_is_repeatable),
        (FunctionTask("t", SPACE, lambda _: time.perf_counter()), contracts.evaluation_is_repeatable),
        (FunctionTask("t", SPACE, lambda _: 1 / 0), contracts.defaults_can_be_evaluated),
        (
            FunctionTask("t", SPACE, lambda _: 1, repairer=lambda p: {**p, "x": p["x"] / 2}),
            contracts.repairs_are_idempotent,
        ),
        (
            FunctionTask("t", SPACE, lambda _: 1, repairer=lambda p: {**p, "x": max(3, p["x"])}),
            contracts.defaults_are_admissible,
        ),
    ],
)
def test_a_broken_task_is_caught(task, check):
    with pytest.raises(AssertionError):
        check(task)
