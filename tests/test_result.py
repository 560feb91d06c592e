"""What `minimize` returns: found values, why the search ended, tables, one line, and what Ctrl-C leaves."""

from __future__ import annotations

import pickle
import sys
from copy import deepcopy

import pytest

from agentopt import Float, Int, Objective, minimize
from agentopt.errors import RunError, UsageError
from agentopt.journal import read_history
from agentopt.study import Stop

SPACE = [Float("x", -5, 5), Int("n", 1, 9)]
TWO = [Objective("a"), Objective("b", "maximize")]


def loss(params):
    return {"value": params["x"] ** 2 + params["n"], "cubed": params["x"] ** 3}


def two(params):
    return params["x"], params["n"]


def interrupted_at(call):
    """Returns `loss`, interrupted in its call of that number."""
    calls = []

    def fn(params):
        calls.append(params)
        if len(calls) == call:
            raise KeyboardInterrupt
        return loss(params)

    return fn


def test_an_interrupt_returns_what_was_found():
    result = minimize(interrupted_at(8), SPACE, "random", trials=50, seed=1)
    assert result.stop is Stop.INTERRUPTED
    assert len(result.trials) == 7
    assert result.value == min(trial.value for trial in result.trials)
    assert "stop='interrupted'" in str(result)


def test_an_interrupt_before_anything_was_found_goes_on():
    with pytest.raises(KeyboardInterrupt):
        minimize(interrupted_at(1), SPACE, "random", trials=50)


def test_the_result_says_why_the_search_ended_and_how_long_it_took():
    assert minimize(loss, SPACE, "random", trials=3).stop is Stop.TRIALS
    result = minimize(loss, SPACE, "random", budget=0.05)
    assert result.stop is Stop.SECONDS
    assert result.seconds >= 0.05


@pytest.mark.parametrize(("fn", "objectives"), [(loss, None), (two, TWO)])
def test_results_are_pickled_copied_and_print_short(fn, objectives):
    result = minimize(fn, SPACE, "random", trials=60, objectives=objectives)
    assert result.front.trials
    for same in (pickle.loads(pickle.dumps(result)), deepcopy(result)):
        assert same == result
        assert same.front == result.front
    assert len(str(result)) < 400
    assert len(str(result.front)) < 400
    assert "\n" not in str(result)


def test_one_line_says_what_was_found(tmp_path):
    result = minimize(loss, SPACE, "random", trials=30, run=tmp_path / "r")
    assert repr(result) == (
        f"Result(value={result.value!r}, params={result.params!r}, trials={{'complete': 30}}, stop='trials',"
        f" run={str(tmp_path / 'r')!r})"
    )
    several = minimize(two, SPACE, "random", trials=20, objectives=TWO)
    assert f"Front(trials=[{several.front.trials[0].id}" in repr(several)
    failed = repr(minimize(lambda params: 1 / 0, SPACE, "random", trials=3))
    assert failed == "Result(trials={'failed': 3}, stop='trials', error='ZeroDivisionError: division by zero')"


def test_trials_as_a_table():
    pytest.importorskip("pandas")
    frame = minimize(loss, SPACE, "random", trials=5).to_pandas()
    assert len(frame) == 5
    assert {"trial", "status", "values_value", "params_x", "params_n", "metrics_cubed", "seconds"} <= set(frame.columns)
    assert (frame["values_value"] >= 1).all()
    front = minimize(two, SPACE, "random", trials=5, objectives=TWO).to_pandas()
    assert list(front["values_b"]) == list(front["params_n"])


def test_a_missing_pandas_is_named_with_the_fix(monkeypatch):
    result = minimize(loss, SPACE, "random", trials=2)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        result.to_pandas()


def test_a_notebook_shows_the_best_configuration_as_a_table():
    html = minimize(loss, SPACE, "random", trials=4)._repr_html_()
    assert "<th>value</th>" in html
    assert "<th>n</th>" in html
    failed = minimize(lambda params: params["<b>"], SPACE, "random", trials=2)._repr_html_()
    assert "<b>" not in failed


def test_a_search_whose_evaluations_all_fail_alike_ends_and_says_why(tmp_path):
    def fails(params):
        raise ValueError(f"{len(params)} names are too many")

    given = {"method": "random", "trials": 40, "run": tmp_path / "r"}
    result = minimize(fails, SPACE, **given, max_failures=4)
    assert (len(result.trials), result.stop) == (4, "failures")
    assert "stop='failures'" in repr(result)
    assert "ValueError: 2 names are too many" in repr(result)
    with pytest.raises(RunError, match=r"None of 4 trials completed; the first one failed with(.|\n)*too many"):
        _ = result.params
    assert len(minimize(fails, SPACE, **given, max_failures=4).trials) == 8, "a session counts anew"
    assert len(minimize(fails, SPACE, **given).trials) == 12
    assert len(minimize(fails, SPACE, **given, max_failures=0).trials) == 40
    assert [change.given.max_failures for change in read_history(tmp_path / "r").changes] == [0]
