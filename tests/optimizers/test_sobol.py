"""The Sobol sequence: one walk, however it is cut into batches, that fills the cube."""

from __future__ import annotations

import warnings

import numpy as np

from agentopt.optimizers.sobol import Sobol
from agentopt.protocols import Objective, Problem
from agentopt.space import Choice, Float, SearchSpace


def _sobol(space, seed=0):
    return Sobol(Problem(space, (Objective(),)), Sobol.Options(), np.random.default_rng(seed))


def test_batches_make_no_difference_and_nothing_is_warned_of():
    space = SearchSpace((Float("x", 0, 1), Float("y", 0, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole, parts = _sobol(space).ask(7), _sobol(space)
        assert [parts.ask(n) for n in (3, 0, 4)] == [whole[:3], [], whole[3:]]
    assert parts.explain() == {"asked": 7, "balanced_at": 8}


def test_a_power_of_two_is_balanced_in_every_parameter():
    space = SearchSpace((Float("x", 0, 1), Choice("c", ("a", "b", "c", "d"))))
    points = [s.params for s in _sobol(space).ask(64)]
    assert sorted(int(64 * p["x"]) for p in points) == list(range(64))
    assert [sum(p["c"] == c for p in points) for c in "abcd"] == [16] * 4
