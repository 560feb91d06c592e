"""agentopt from Python."""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from pathlib import Path

import pytest

import agentopt
from agentopt import AskTell, Choice, Float, Int, Objective, Outcome, Status, minimize
from agentopt.errors import ReplayMismatch, RunError, UsageError
from agentopt.report.load import load_run

README = Path(__file__).parent.parent / "README.md"
SPACE = [Float("x", -5, 5), Int("n", 1, 9), Choice("kind", ("a", "b"))]


def loss(params):
    return (params["x"] - 2) ** 2 + params["n"] + (params["kind"] == "b")


def test_everything_that_is_promised_can_be_imported():
    for name in agentopt.__all__:
        assert getattr(agentopt, name) is not None
    assert set(agentopt.__all__) <= set(dir(agentopt))
    with pytest.raises(AttributeError, match="nothing"):
        _ = agentopt.nothing


def test_minimize_finds_the_minimum():
    result = minimize(loss, SPACE, method="cmaes", trials=150, seed=1)
    assert result.value < 1.1
    assert result.params["n"] == 1
    assert result.params["kind"] == "a"
    assert abs(result.params["x"] - 2) < 0.3
    assert len(result.trials) == 150
    assert result.run is None


def test_maximize_keeps_the_functions_own_units():
    found = [
        minimize(lambda p, s=sign: s * loss(p), SPACE, method="local", trials=30, maximize=up)
        for sign, up in ((1, False), (-1, True))
    ]
    assert found[0].value == -found[1].value
    assert found[0].params == found[1].params


def test_the_same_seed_gives_the_same_trials():
    a, b, c = (minimize(loss, SPACE, method="tpe", trials=15, seed=seed) for seed in (4, 4, 5))
    assert [t.params for t in a.trials] == [t.params for t in b.trials] != [t.params for t in c.trials]


def test_a_run_folder_that_is_asked_for_is_kept_and_continued(tmp_path):
    calls = []

    def counted(params):
        calls.append(params)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return {"value": loss(params), "n_squared": params["n"] ** 2}

    arguments = {"method": "local", "trials": 12, "seed": 2, "run": tmp_path / "kept"}
    part = minimize(counted, SPACE, **arguments)
    assert (part.stop, len(part.trials)) == ("interrupted", 6)
    assert load_run(tmp_path / "kept").status == "interrupted"
    result = minimize(counted, SPACE, **arguments)
    whole = minimize(loss, SPACE, method="local", trials=12, seed=2)
    assert [t.params for t in result.trials] == [t.params for t in whole.trials]
    # The interrupt ended the journal before the seventh, so that the seventh was called twice.
    assert [t.outcome.metrics for t in result.trials] == [{"n_squared": t.params["n"] ** 2} for t in result.trials]
    assert len(calls) == 13
    again = minimize(counted, SPACE, **arguments)
    assert len(calls) == 13
    assert again.value == result.value
    with pytest.raises(UsageError, match="was started with seed = 2, not 3"):
        minimize(counted, SPACE, **{**arguments, "seed": 3})
    with pytest.raises(ReplayMismatch, match="search space"):
        minimize(counted, SPACE[:2], **arguments)


def test_a_finished_run_is_extended(tmp_path):
    calls = []

    def counted(params):
        calls.append(params)
        return loss(params)

    given = {"method": "local", "seed": 2, "run": tmp_path / "kept"}
    assert len(minimize(counted, SPACE, **given, trials=5).trials) == 5
    assert len(minimize(counted, SPACE, **given, trials=9).trials) == len(calls) == 9
    assert len(minimize(counted, SPACE, **given, trials=9).trials) == len(calls) == 9
    as_before = minimize(counted, SPACE, **given)
    assert (len(as_before.trials), len(calls), as_before.stop) == (9, 9, "trials")
    whole = minimize(loss, SPACE, method="local", trials=9, seed=2)
    assert [t.params for t in as_before.trials] == [t.params for t in whole.trials]
    with pytest.raises(UsageError, match=r"has started 9 trials, .*: give 9 trials or more, not 4"):
        minimize(counted, SPACE, **given, trials=4)
    assert len(minimize(counted, SPACE, **given, trials=12, budget="1h").trials) == 12


def test_a_run_whose_time_is_up_is_given_more(tmp_path):
    given = {"method": "random", "run": tmp_path / "kept"}
    first = minimize(loss, SPACE, **given, budget=0.05)
    assert first.stop == "seconds"
    assert len(minimize(loss, SPACE, **given, budget=0.05).trials) == len(first.trials)
    assert len(minimize(loss, SPACE, **given, budget=first.seconds + 0.2).trials) > len(first.trials)


def test_ask_and_tell_may_be_given_more_trials(tmp_path):
    for trials in (2, 4):
        with AskTell(SPACE, "random", trials=trials, run=tmp_path / "r") as search:
            while len(search.trials) < trials:
                search.tell(search.ask()[0].id, 1.0)
        assert load_run(tmp_path / "r").status == "done"
        assert load_run(tmp_path / "r").budget.trials == trials


def test_a_function_that_always_fails_says_why():
    result = minimize(lambda p: 1 / 0, SPACE, method="random", trials=3)
    assert result.best is None
    with pytest.raises(RunError, match="None of 3 trials completed") as caught:
        _ = result.value
    assert "ZeroDivisionError" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "randm"}, "Did you mean 'random'"),
        ({"method": "random", "trials": 0}, "trials = 0"),
        ({"method": "local", "options": {"stpe": 1}}, "Did you mean 'step'"),
        ({"method": "random", "space": []}, "the space has no parameter"),
        ({"method": "random", "budget": "soon"}, "duration"),
    ],
)
def test_mistakes_are_usage_errors(arguments, message):
    with pytest.raises(UsageError, match=message):
        minimize(**{"fn": loss, "space": SPACE, **arguments})


def test_ask_and_tell_over_two_sessions_is_one_search(tmp_path):
    def session(run, n):
        with AskTell(SPACE, "cmaes", seed=1, run=run) as search:
            for _ in range(n):
                (ask,) = search.ask()
                search.tell(ask.id, loss(ask.params), seconds=1.0)
            return [t.params for t in search.trials], search.best

    session(tmp_path / "two", 9)
    trials, best = session(tmp_path / "two", 11)
    whole, whole_best = session(None, 20)
    assert trials == whole
    assert best.values == whole_best.values
    report = load_run(tmp_path / "two")
    assert report.seconds.evaluate == 20
    assert len(report.trials) == 20


def test_ask_and_tell_remembers_what_is_pending(tmp_path):
    with AskTell(SPACE, "random", run=tmp_path / "r") as search:
        first = search.ask(3)
        search.tell(first[1].id, 4)
    with AskTell(SPACE, "random", run=tmp_path / "r") as search:
        assert search.pending == (first[0], first[2])
        told = search.tell(first[0].id, Outcome(Status.OOM, error="too wide"))
        assert told.outcome.status is Status.OOM
        with pytest.raises(UsageError, match=r"Trial 2 can still be told; .* 'nonsense', a str, not a number"):
            search.tell(first[2].id, "nonsense")
        assert search.tell(first[2].id, math.nan).outcome.status is Status.FAILED
        with pytest.raises(UsageError, match="Trial 0 was not asked, or has been told already"):
            search.tell(0, 1)
        assert search.best is not None
        assert search.best.id == 1


def test_ask_and_tell_in_the_users_units_and_from_the_default(tmp_path):
    space = [Float("x", 0, 1, default=0.25)]
    with AskTell(space, "local", objectives=(Objective("gain", "maximize"),)) as search:
        (ask,) = search.ask()
        assert (ask.params, ask.origin) == ({"x": 0.25}, "baseline")
        search.tell(ask.id, {"gain": 3, "other": 4})
        (ask,) = search.ask()
        search.tell(ask.id, 1)
        assert search.best is not None
        assert search.best.values == (3,)


def test_a_run_from_python_cannot_be_resumed_by_a_command(tmp_path, capsys):
    from agentopt.cli import main

    with AskTell(SPACE, "random", run=tmp_path / "r") as search:
        search.ask()
    assert main(["resume", str(tmp_path / "r")]) == 2
    assert "started from Python" in capsys.readouterr().err


def examples():
    """Returns the Python examples of the documentation."""
    found = [
        (f"README {i}", code)
        for i, code in enumerate(re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL))
    ]
    for name, doc in (("api", agentopt.api.__doc__), ("AskTell", inspect.cleandoc(AskTell.__doc__))):
        blocks = re.findall(r"\n\n((?: {4}.*\n?|\n)+)", doc + "\n")
        found += [(name, textwrap.dedent(block)) for block in blocks]
    return found


@pytest.mark.parametrize(("name", "code"), examples())
def test_the_examples_run(name, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, name, "exec"), {"AskTell": AskTell, "Float": Float, "__name__": "example"})


def test_there_are_examples():
    assert {name for name, _ in examples()} >= {"api", "AskTell", "README 0"}


def test_a_result_of_another_number_of_objectives_leaves_the_trial_open():
    objectives = (Objective("near"), Objective("far", "maximize"))
    with AskTell(SPACE, "random", objectives=objectives) as search:
        (ask,) = search.ask()
        with pytest.raises(UsageError, match=r"returned 1 values for 2 objectives \(near, far\)"):
            search.tell(ask.id, 1.0)
        assert search.tell(ask.id, (1.0, 2.0)).values == (1.0, 2.0)


def test_without_a_method_it_finds_the_minimum_soon():
    result = minimize(loss, SPACE, trials=30)
    assert {trial.origin for trial in result.trials} <= {"random", "gp", "local", "tpe"}
    assert result.value < 1.05
    assert result.params["kind"] == "a"


def test_without_a_method_it_takes_several_objectives():
    result = minimize(
        lambda p: (p["x"] ** 2, (p["x"] - 2) ** 2 + p["n"]),
        SPACE,
        objectives=[Objective("a"), Objective("b")],
        trials=25,
    )
    assert all(len(trial.values) == 2 for trial in result.trials)
    assert len(result.front.trials) >= 4
    assert sum(trial.params["n"] == 1 for trial in result.front.trials) >= 3


def test_names_are_no_objectives():
    with pytest.raises(UsageError, match="'near' is no objective; give Objective"):
        minimize(lambda p: (0, 1), SPACE, "random", objectives=["near", "far"], trials=2)
