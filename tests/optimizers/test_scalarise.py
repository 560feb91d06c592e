"""One loss for several objectives, by hand and in Centaur."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.errors import UsageError
from agentopt.optimizers.centaur import Centaur, CentaurOptions
from agentopt.optimizers.cmaes import CmaEs
from agentopt.optimizers.scalarise import Scalarisation
from agentopt.pareto import hypervolume
from agentopt.protocols import Objective, Problem
from agentopt.space import Float, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Trial

SPACE = SearchSpace((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))


def problem(*references):
    return Problem(SPACE, tuple(Objective(f"f{i}", reference=r) for i, r in enumerate(references)), trials=60)


def trial(number, values, *, origin=Origin.RANDOM, token=None, note=None, params=None):
    outcome = Outcome(Status.COMPLETE, values) if values else Outcome(Status.FAILED)
    return Trial(number, params or {"x": 0.0, "y": 0.0}, outcome, origin, token, note or {})


def test_by_hand():
    scalar = Scalarisation(problem(10.0, 4.0))
    trials = [trial(0, (0.0, 4.0)), trial(1, (10.0, 0.0)), trial(2, (5.0, 1.0)), trial(3, ())]
    for one in trials:
        scalar.tell(one)
    # Shares of the way from the best to the reference: (0, 1), (1, 0), (0.5, 0.25); each has the weight of a half.
    expected = [0.5 + 0.05 * 0.5, 0.5 + 0.05 * 0.5, 0.25 + 0.05 * 0.375, math.inf]
    assert [scalar.loss(one) for one in trials] == pytest.approx(expected)


def test_without_a_reference_the_worst_value_takes_its_place():
    scalar = Scalarisation(problem(None, None), (3.0, 1.0))
    for number, values in enumerate([(0.0, 8.0), (2.0, 0.0)]):
        scalar.tell(trial(number, values))
    assert scalar.loss(trial(2, (1.0, 4.0))) == pytest.approx(0.375 + 0.05 * 0.5)


def test_one_objective_stays_as_it_is():
    scalar = Scalarisation(problem(None))
    scalar.tell(trial(0, (7.0,)))
    assert scalar.loss(trial(1, (-3.0,))) == -3.0


def test_as_many_weights_as_objectives():
    with pytest.raises(UsageError, match="weights has 3 numbers, and the task 2 objectives: f0, f1"):
        Scalarisation(problem(None, None), (1.0, 1.0, 1.0))


pairs = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=12)


@given(pairs)
def test_what_is_dominated_is_worse_or_as_good(values):
    scalar = Scalarisation(problem(None, None))
    trials = [trial(i, pair) for i, pair in enumerate(values)]
    for one in trials:
        scalar.tell(one)
    for a in trials:
        for b in trials:
            if all(x <= y for x, y in zip(a.values, b.values, strict=True)):
                assert scalar.loss(a) <= scalar.loss(b) + 1e-9


@given(st.lists(st.sampled_from([-1.7e308, 0.0, 1.0, 1.7e308]), min_size=2, max_size=2))
def test_the_largest_numbers_give_numbers(values):
    scalar = Scalarisation(problem(None, None))
    for number, pair in enumerate([(-1.7e308, 1.7e308), (1.7e308, -1.7e308), tuple(values)]):
        scalar.tell(trial(number, pair))
        assert math.isfinite(scalar.loss(trial(number, pair)))


def told(number, asked, values):
    """Returns the trial that came of a suggestion."""
    return trial(number, values, origin=asked.origin, token=asked.token, note=asked.note, params=asked.params)


VALUES = [(0.0, 10.0), (1.0, 9.0), (4.0, 5.0), (5.0, 1.0), (1000.0, 0.0), (2.0, 4.0)]
"""The fifth trial stretches the first objective: from then on the second one decides."""


def test_a_generation_is_ranked_on_the_scale_at_its_end():
    made, options = problem(None, None), CentaurOptions(core="cmaes", ratio=0.0, sampler="uniform")
    search, plain = Centaur(made, options, np.random.default_rng(0)), CmaEs(made, options, np.random.default_rng(0))
    trials = [told(number, asked, VALUES[number]) for number, asked in enumerate(search.ask(6))]
    for one in trials:
        search.tell(one)
    scalar = Scalarisation(made)
    for one in trials:
        scalar.tell(one)
    for number, (asked, one) in enumerate(zip(plain.ask(9), trials, strict=True)):
        plain.tell(told(number, asked, (scalar.loss(one),)))
    assert search.explain()["generation"] == 1
    assert search.explain()["mean"] == plain.explain()["mean"]


def test_a_models_trial_is_compared_with_earlier_ones_on_the_scale_of_now():
    """The model's trial shows that the others, which seemed alike in the second objective, are all bad in it."""
    options = CentaurOptions(core="cmaes", sampler="uniform", ratio=1.0, poor="reissue", warmup=3)
    search = Centaur(problem(None, None), options, np.random.default_rng(0))
    for number, values in enumerate([(0.0, 10.0), (1.0, 10.0), (2.0, 10.0)]):
        search.tell(told(number, search.ask(1)[0], values))
    (asked,) = search.ask(1)
    assert asked.origin is Origin.CONTROL
    search.tell(told(3, asked, (3.0, 0.0)))
    assert [again.note["slot"] for again in search.ask(9)] == [4, 5], "it is better than two of three, and keeps it"


def test_centaur_walks_towards_the_front():
    """Two bowls: the front is the line between their middles, which the scalarised search has to find."""

    def values(params):
        return tuple((params["x"] - c) ** 2 + (params["y"] - c) ** 2 for c in (0.3, 0.6))

    made = problem(1.0, 1.0)
    options = CentaurOptions(core="cmaes", sampler="incumbent", ratio=0.3, warmup=6)
    apart = []
    for seed in range(5):
        search, trials = Centaur(made, options, np.random.default_rng(seed)), []
        for number in range(60):
            (asked,) = search.ask(1)
            trials.append(told(number, asked, values(asked.params)))
            search.tell(trials[-1])
        assert hypervolume([t.values for t in trials[:10]], (1, 1)) < hypervolume([t.values for t in trials], (1, 1))
        apart.append(max(abs(t.params["x"] - t.params["y"]) for t in trials[-10:]))
    assert median(apart) < 0.2
    weights = CentaurOptions(core="cmaes", sampler="incumbent", weights=(1.0, 0.0))
    assert Centaur(made, weights, np.random.default_rng(0)).ask(1)
