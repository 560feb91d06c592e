"""TPE: what Optuna is told about failures and about configurations that were changed before they were run."""

from __future__ import annotations

import logging

import numpy as np
import optuna
import pytest
from pydantic import ValidationError

from agentopt.optimizers.tpe import Tpe
from agentopt.outcomes import failure
from agentopt.protocols import Objective, Problem
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Trial

SPACE = SearchSpace((Float("x", 0, 1), Int("p", 1, 64, powers_of=2), Choice("c", ("a", "b"))))


def _tpe(objectives=1, space=SPACE, **options):
    problem = Problem(space, tuple(Objective(f"f{i}") for i in range(objectives)))
    return Tpe(problem, Tpe.Options(**options), np.random.default_rng(0))


def _trial(number, params, *values, token=None):
    outcome = Outcome(Status.COMPLETE, values) if values else failure(Status.TIMEOUT, "slow")
    return Trial(number, params, outcome, Origin.TPE, token)


def _told(tpe):
    trials = tpe._search._study.get_trials(deepcopy=False)
    told = [t for t in trials if t.state is optuna.trial.TrialState.COMPLETE]
    return [(t.params["x"], SPACE.from_optuna(t.params)["p"], t.values) for t in told]


def test_what_was_run_is_what_it_learns_from():
    tpe = _tpe()
    same, other = tpe.ask(2)
    tpe.tell(_trial(0, {**same.params, "p": 16}, 1.0, token=same.token))
    changed = {"x": 0.125, "p": 64, "c": "b"}
    tpe.tell(_trial(1, changed, 2.0, token=other.token))
    assert _told(tpe) == [(same.params["x"], 16, [1.0]), (0.125, 64, [2.0])]
    assert tpe.explain()["pending"] == 0
    assert tpe.explain()["good"][0]["value"] == 1.0


def test_suggestions_are_rounded_to_the_space():
    assert {s.params["p"] for s in _tpe().ask(60)} == {1, 2, 4, 8, 16, 32, 64}


@pytest.mark.parametrize(
    ("failed", "after_two", "after_four"),
    [
        ("worst", [], [[3.0], [3.0], [3.0], [3.0]]),
        ("ignore", [], [[3.0]]),
        (100, [[100.0], [100.0]], [[3.0], [100.0], [100.0], [100.0]]),
    ],
)
def test_a_failure_is_told_by_the_stated_rule(failed, after_two, after_four):
    tpe = _tpe(failed=failed)
    first, second, third, fourth = tpe.ask(4)
    tpe.tell(_trial(0, first.params, token=first.token))
    tpe.tell(_trial(1, second.params))
    assert [values for *_, values in _told(tpe)] == after_two
    tpe.tell(_trial(2, third.params, 3.0, token=third.token))
    tpe.tell(_trial(3, fourth.params, token=fourth.token))
    assert sorted(values for *_, values in _told(tpe)) == after_four


def test_the_worst_value_is_the_worst_so_far():
    tpe = _tpe()
    params = {"x": 0.5, "p": 1, "c": "a"}
    for number, values in enumerate([(1.0,), (5.0,), (), (9.0,), ()]):
        tpe.tell(_trial(number, params, *values))
    assert [values for *_, values in _told(tpe)] == [[1.0], [5.0], [5.0], [9.0], [9.0]]


def test_several_objectives_are_taken_and_the_worst_is_the_worst_of_each():
    tpe = _tpe(objectives=2, multivariate=False, n_startup_trials=3)
    tpe.tell(_trial(0, {"x": 0.5, "p": 1, "c": "a"}, 1.0, 8.0))
    tpe.tell(_trial(1, {"x": 0.6, "p": 1, "c": "a"}, 4.0, 2.0))
    tpe.tell(_trial(2, {"x": 0.7, "p": 1, "c": "a"}))
    assert _told(tpe)[-1][-1] == [4.0, 8.0]
    assert len(tpe.ask(5)) == 5
    assert tpe.explain()["phase"] == "densities"


def test_it_begins_uniformly_and_says_so():
    tpe = _tpe(n_startup_trials=3)
    for number in range(3):
        (suggestion,) = tpe.ask(1)
        assert suggestion.origin is Origin.RANDOM
        tpe.tell(_trial(number, suggestion.params, float(number), token=suggestion.token))
    assert tpe.ask(1)[0].origin is Origin.TPE


def test_it_is_quiet_and_leaves_the_users_logging_alone(capfd, recwarn):
    before = optuna.logging.get_verbosity(), logging.getLogger("optuna.storages._in_memory").level
    tpe = _tpe(group=True, n_startup_trials=1)
    for number, suggestion in enumerate(tpe.ask(5)):
        tpe.tell(_trial(number, suggestion.params, float(number), token=suggestion.token))
    tpe.ask(2)
    assert (optuna.logging.get_verbosity(), logging.getLogger("optuna.storages._in_memory").level) == before
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group": True, "multivariate": False}, "group needs multivariate"),
        ({"failed": "worse"}, "failed"),
        ({"failed": float("nan")}, "finite"),
        ({"n_ei_candidates": 0}, "n_ei_candidates"),
        ({"gamma": 0.1}, "gamma"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        Tpe.Options(**options)
    assert Tpe.Options(failed="100").failed == 100.0
