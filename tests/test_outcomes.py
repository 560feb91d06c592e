"""Whatever an evaluation returns or raises becomes a typed outcome; nothing invents an objective value."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.outcomes import failure, guarded, outcome_of
from agentopt.protocols import Objective
from agentopt.trial import Outcome, Status, Trial, best_trial, outcome_from_json, outcome_to_json

ONE = (Objective("loss"),)
TWO = (Objective("loss"), Objective("seconds"))


@pytest.mark.parametrize(
    "returned", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), np.array([2.0]), Fraction(4, 2)]
)
def test_one_number_is_the_value(returned):
    assert outcome_of(returned, ONE) == Outcome(Status.COMPLETE, (2.0,))


@pytest.mark.parametrize("returned", [(1, 2), [1.0, 2.0], {"loss": 1, "seconds": np.float64(2)}])
def test_several_objectives_come_in_order_or_by_name(returned):
    assert outcome_of(returned, TWO).values == (1.0, 2.0)


def test_further_numbers_of_a_mapping_are_metrics_and_the_rest_is_left_out():
    outcome = outcome_of({"loss": 1.5, "acc": 0.9, "epochs": 3, "note": "x", "bad": math.nan, "flag": True}, ONE)
    assert outcome.values == (1.5,)
    assert outcome.metrics == {"acc": 0.9, "epochs": 3.0}


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "loss is None, a NoneType, not a number"),
        ("0.5", "loss is '0.5', a str, not a number"),
        (True, "loss is True, a bool, not a number"),
        (1j, "a complex, not a number"),
        (math.nan, "loss is nan, not a finite number"),
        (-math.inf, "loss is -inf, not a finite number"),
        ((1, 2), "returned 2 values for 1 objectives (loss)"),
        ([], "returned 0 values"),
        (np.array([1.0, 2.0]), "a ndarray, not a number"),
        (np.array("x"), "a ndarray, not a number"),
        (np.bool_(True), "not a number"),
        (10**400, "loss is inf, not a finite number"),
        ({"loss": 10**400, "other": -(10**400)}, "loss is inf, not a finite number"),
        ({"los": 1, "acc": 2}, "returned no loss; it holds los, acc"),
        ({}, "returned no loss; it holds nothing"),
        ({"loss": "x"}, "loss is 'x'"),
        ({"status": "great", "loss": 1}, "returned the status 'great'; known: complete, failed"),
    ],
)
def test_anything_else_is_a_failure_that_says_what_was_wrong(returned, said):
    outcome = outcome_of(returned, ONE)
    assert outcome.status is Status.FAILED
    assert outcome.values == ()
    assert said in outcome.error


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETE])
def test_code_may_say_itself_how_it_failed(status):
    outcome = outcome_of({"status": status.value, "error": "diverged", "step": 7, "loss": 3.0}, ONE)
    assert (outcome.status, outcome.values, outcome.error) == (status, (), "diverged")
    assert outcome.metrics["step"] == 7
    assert outcome_of({"status": status, "error": "x"}, ONE).status is status


def test_code_may_say_that_it_completed():
    assert outcome_of({"status": "complete", "loss": 3}, ONE).values == (3.0,)


def _raising(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad shape"), Status.FAILED),
        (MemoryError(), Status.OOM),
        (RuntimeError("CUDA out of memory. Tried to allocate"), Status.OOM),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), Status.OOM),
        (SystemExit(3), Status.FAILED),
    ],
)
def test_what_is_raised_is_a_failure_with_its_traceback(error, status):
    outcome = guarded(_raising(error), ONE)
    assert outcome.status is status
    assert outcome.values == ()
    assert type(error).__name__ in outcome.error
    assert "bad shape" not in str(error) or "_raising" in outcome.error or "call" in outcome.error


class _Evil:
    """Raises whatever is done with it."""

    def __repr__(self):
        raise RuntimeError("no words")

    __len__ = __iter__ = __str__ = __repr__


def test_a_value_that_cannot_even_be_shown_is_a_failure():
    for returned in (_Evil(), {"loss": _Evil()}, {"status": _Evil()}):
        assert guarded(lambda returned=returned: returned, ONE).status is Status.FAILED


def test_an_interrupt_is_the_users_and_passes_through():
    with pytest.raises(KeyboardInterrupt):
        guarded(_raising(KeyboardInterrupt()), ONE)


def test_an_outcome_passes_through_and_a_long_error_keeps_its_end():
    given_outcome = Outcome(Status.PRUNED, error="enough")
    assert guarded(lambda: given_outcome, ONE) is given_outcome
    error = failure(Status.FAILED, "x" * 5000 + "the cause").error
    assert error.startswith("...")
    assert error.endswith("the cause")
    assert len(error) < 2100


@pytest.mark.parametrize(
    ("status", "values"),
    [
        (Status.COMPLETE, ()),
        (Status.FAILED, (1.0,)),
        (Status.COMPLETE, (math.nan,)),
        (Status.COMPLETE, (1.0, math.inf)),
    ],
)
def test_an_outcome_that_contradicts_itself_cannot_be_made(status, values):
    with pytest.raises(ValueError, match=r"complete|finite"):
        Outcome(status, values)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(NUMBERS, min_size=1, max_size=3),
    st.dictionaries(st.text(), NUMBERS, max_size=3),
    st.sampled_from([status for status in Status if status is not Status.COMPLETE]),
    st.text(max_size=50),
)
def test_json_brings_an_outcome_back(values, metrics, status, error):
    for outcome in (Outcome(Status.COMPLETE, tuple(values), metrics), Outcome(status, (), metrics, error)):
        assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_returned_value_breaks_the_reading(returned):
    for value in (returned, {"loss": returned}, {"status": returned}, {"loss": 1, "status": returned}, {1: returned}):
        assert isinstance(outcome_of(value, ONE), Outcome)
        assert isinstance(guarded(lambda value=value: value, TWO), Outcome)


def test_the_incumbent_is_the_first_of_the_best():
    outcomes = [failure(Status.FAILED, "x"), *(Outcome(Status.COMPLETE, (v,)) for v in (2.0, 1.0, 1.0))]
    trials = [Trial(i, {"x": i}, outcome, "random") for i, outcome in enumerate(outcomes)]
    assert best_trial(trials).id == 2
    assert best_trial(trials[:1]) is None
    assert trials[0].value == math.inf
    assert not trials[0].complete
