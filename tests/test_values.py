"""The values that travel behave as Python values do: they are pickled, copied and printed."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest

from agentopt import AtLeast, Choice, Float, Int, Objective, SearchSpace
from agentopt.api import Ask, AskTell
from agentopt.trial import Edit, Origin, Outcome, Status, Suggestion, Trial

SPACE = [Float("x", -5, 5), Int("n", 1, 9), Choice("kind", ("a", "b"))]
EDIT = Edit("x = 1\n" * 500, parent=3, summary="Widen it.")
OUTCOME = Outcome(Status.COMPLETE, (0.5,))
FAILED = Outcome(Status.FAILED, error="Traceback\n" + "  a line\n" * 80 + "ValueError: x is too wide")


def asked():
    with AskTell(SPACE, "random", seed=1) as search:
        return search.ask()[0]


@pytest.mark.parametrize(
    "value",
    [
        EDIT,
        OUTCOME,
        FAILED,
        Suggestion({"x": 1.0}, Origin.CMAES),
        Suggestion({}, Origin.LLM, edit=EDIT),
        Trial(7, {"x": 1.0}, OUTCOME, Origin.CMAES),
        Trial(7, {}, FAILED, Origin.LLM, token=1, note={"turn": 1, "calls": list(range(200))}, edit=EDIT),
        Objective("loss", "maximize", 3.0),
        SearchSpace((Int("a", 1, 4), Int("b", 1, 4)), (AtLeast("a", "b"),)),
        asked(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_pickled_copied_and_print_short(value):
    assert pickle.loads(pickle.dumps(value)) == value
    assert deepcopy(value) == value
    assert len(repr(value)) < 400
    assert len(str(value).splitlines()) <= 2


def test_what_is_printed_says_what_counts():
    assert repr(Trial(7, {"x": 1.0}, OUTCOME, Origin.CMAES)) == (
        "Trial(id=7, params={'x': 1.0}, outcome=Outcome(status='complete', values=(0.5,)), origin='cmaes')"
    )
    assert repr(FAILED) == "Outcome(status='failed', error='ValueError: x is too wide')"
    assert isinstance(asked(), Ask)
