"""The incumbent step, by its stated probabilities, and the search that repeats it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.errors import UsageError
from agentopt.optimizers.local import LocalSearch, incumbent_step
from agentopt.protocols import Objective, Problem
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace
from agentopt.testing.contracts import PROBLEMS
from agentopt.trial import Origin, Outcome, Status, Trial

SPACE = SearchSpace(
    (Float("x", 0, 1), Float("y", 1e-4, 1, log=True), Int("n", 0, 200), Choice("c", ("a", "b", "c"))),
)
HERE = {"x": 0.5, "y": 1e-2, "n": 100, "c": "a"}


def _search(space=SPACE, objectives=1, **options):
    problem = Problem(space, tuple(Objective(f"f{i}") for i in range(objectives)))
    return LocalSearch(problem, LocalSearch.Options(**options), np.random.default_rng(0))


@given(st.sampled_from(list(PROBLEMS)), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_step_goes_to_another_member_of_the_space(name, seed, corner):
    space, rng = PROBLEMS[name].space, np.random.default_rng(seed)
    start = space.decode([corner] * len(space)) if seed % 2 else space.sample(rng)
    before = dict(start)
    there = incumbent_step(space, start, rng, move=0.05, step=1e-3, keep=0.95)
    assert space.contains(there)
    assert start == before
    if not space.repairs:
        assert there != start


def test_parameters_move_as_often_and_as_far_as_stated():
    rng = np.random.default_rng(0)
    steps = [incumbent_step(SPACE, HERE, rng) for _ in range(6000)]
    none = 0.6**3 * 0.8  # where nothing is picked, one of the four is
    for name, share in (("x", 0.4), ("y", 0.4), ("n", 0.4), ("c", 0.2)):
        moved = sum(step[name] != HERE[name] for step in steps) / len(steps)
        assert moved == pytest.approx(share + none / 4, abs=0.02)
    moves = np.array([SPACE.encode(step)[:3] - SPACE.encode(HERE)[:3] for step in steps])
    assert moves[moves[:, 0] != 0, 0].std() == pytest.approx(0.1, rel=0.05)
    assert moves[moves[:, 1] != 0, 1].std() == pytest.approx(0.1, rel=0.05)
    others = [step["c"] for step in steps if step["c"] != "a"]
    assert others.count("b") / len(others) == pytest.approx(0.5, abs=0.05)


def test_an_integer_that_is_picked_moves_by_a_level_and_powers_too():
    space = SearchSpace((Int("n", 0, 3), Int("p", 1, 64, powers_of=2)))
    rng = np.random.default_rng(0)
    for n, p in ((0, 1), (3, 64), (1, 8)):
        for _ in range(200):
            there = incumbent_step(space, {"n": n, "p": p}, rng, move=1.0, step=1e-6)
            assert abs(there["n"] - n) == 1
            assert there["p"] in (p // 2, p * 2)


def test_the_edge_stops_a_step_and_mirrors_one_from_the_edge():
    space, rng = SearchSpace((Float("x", 0, 1),)), np.random.default_rng(0)
    near = [incumbent_step(space, {"x": 0.01}, rng)["x"] for _ in range(500)]
    assert min(near) == 0.0
    assert all(incumbent_step(space, {"x": 0.0}, rng)["x"] > 0 for _ in range(500))
    assert all(incumbent_step(space, {"x": 1.0}, rng)["x"] < 1 for _ in range(500))


def test_a_step_is_repaired():
    space = SearchSpace((Int("a", 0, 9), Int("b", 0, 9)), (AtLeast("a", "b"),))
    rng = np.random.default_rng(0)
    for _ in range(100):
        there = incumbent_step(space, {"a": 5, "b": 5}, rng)
        assert there["a"] >= there["b"]


def _trial(number, params, value, token=None):
    return Trial(number, params, Outcome(Status.COMPLETE, (value,)), Origin.BASELINE, token)


def test_it_starts_uniformly_and_then_steps_from_the_best():
    search = _search()
    first = search.ask(3)
    for number, suggestion in enumerate(first):
        search.tell(_trial(number, suggestion.params, float(number), suggestion.token))
    assert [s.origin for s in first + search.ask(7)] == [Origin.RANDOM] * 10
    assert [s.origin for s in search.ask(3)] == [Origin.LOCAL] * 3
    assert search.explain()["incumbent"] == {"value": 0.0, "params": dict(first[0].params)}


def test_with_a_default_configuration_it_steps_from_the_start():
    space = SearchSpace((Float("x", 0, 1, default=0.5), Float("y", 0, 1, default=0.5)))
    search = _search(space)
    assert search.ask(1)[0].origin is Origin.RANDOM, "nothing is known yet"
    search.tell(_trial(0, space.defaults(), 1.0))
    step = search.ask(1)[0]
    assert step.origin is Origin.LOCAL
    assert all(abs(value - 0.5) < 0.5 for value in step.params.values())
    assert _search(space, initial=2).ask(1)[0].origin is Origin.RANDOM


def test_a_configuration_is_not_asked_twice_while_there_is_another():
    space = SearchSpace((Int("a", 0, 5), Choice("b", ("x", "y", "z"))))
    search = _search(space, initial=0)
    search.tell(_trial(99, {"a": 5, "b": "z"}, 1.0))
    asked = [space.key(s.params) for s in search.ask(17)]
    assert len(set(asked)) == 17
    assert (5, "z") not in asked
    assert len(search.ask(2)) == 2, "then repeats are evaluated"


def test_it_takes_one_objective():
    with pytest.raises(UsageError, match="one objective, and the task has 2"):
        _search(objectives=2)
