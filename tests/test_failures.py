"""A run whose trials all fail: it stops, says why, and is no success."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentopt.build import open_run, plan, resume_run
from agentopt.cli import main
from agentopt.report.load import load_run
from agentopt.space import Float, SearchSpace
from agentopt.study import Stop
from agentopt.task import FunctionTask

BUG = """
from agentopt import Float
space = [Float("x", 0, 1)]
isolation = "inline"
def evaluate(p):
    return p["X"]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def failing(*kinds, trials=25, run=Path("run"), **settings):
    """Runs a task whose trials end as they are told, the last way again and again; returns why the run ended."""
    told = list(kinds)

    def evaluate(params):
        kind = told.pop(0) if len(told) > 1 else told[0]
        return 1.0 if kind == "complete" else dict(zip(("status", "error"), kind, strict=True))

    task = FunctionTask("toy", SearchSpace((Float("x", 0, 1),)), evaluate)
    made = {"method": "random", "task": "python:toy", "trials": trials, **settings}
    said = []
    with open_run(plan(made, task=task), run, say=said.append) as opened:
        return opened.execute(), said


FAILED, OOM, TIMEOUT = ("failed", "ValueError: 1.5"), ("oom", "too big"), ("timeout", "still running after 3 s")


@pytest.mark.parametrize(
    ("kinds", "stop", "trials"),
    [
        ((FAILED,), "failures", 10),
        ((TIMEOUT,), "failures", 10),
        ((OOM,), "trials", 25),
        (("complete", FAILED), "trials", 25),
        ((*[FAILED] * 9, "complete", FAILED), "trials", 25),
        ((*[FAILED, OOM] * 20, FAILED), "trials", 25),
        ((*[FAILED] * 9, OOM, FAILED), "failures", 20),
        ((*[FAILED] * 9, ("failed", "KeyError: 'a'"), FAILED), "failures", 20),
    ],
)
def test_failures_alike_stop_a_run_before_its_first_complete_trial(kinds, stop, trials):
    assert failing(*kinds)[0] == stop
    report = load_run(Path("run"))
    assert len(report.trials) == trials
    assert report.status == ("stopped" if stop == "failures" else "done")


def test_the_error_that_is_shown_is_the_first_of_those_that_are_alike():
    _, said = failing(OOM, ("failed", "Traceback\nValueError: 1.5"))
    assert said[-1].endswith("The error of trial 1 in full:\nTraceback\nValueError: 1.5")


def test_errors_that_differ_in_numbers_are_alike():
    kinds = [("failed", f"Traceback of {i}\nValueError: {i}") for i in range(5)]
    kinds += [("failed", f"exit code {i}.5") for i in range(5)]
    assert failing(*kinds, ("failed", "exit code 7"), max_failures=6)[0] is Stop.FAILURES
    assert len(load_run(Path("run")).trials) == 11


def test_the_number_is_the_users():
    assert failing(FAILED, max_failures=3)[0] is Stop.FAILURES
    assert len(load_run(Path("run")).trials) == 3
    stop, said = failing(FAILED, max_failures=0, run=Path("never"))
    assert (stop, said) == (Stop.TRIALS, ["None of 25 trials completed: ValueError: 1.5."])
    assert failing(FAILED, trials=10, run=Path("spent"))[0] is Stop.TRIALS


def test_a_function_with_a_bug_ends_soon_with_its_traceback_and_a_resume_counts_anew(capsys):
    Path("bug.py").write_text(BUG)
    assert main(["run", "random", "--task", "bug.py:evaluate", "--name", "x", "--json"]) == 1
    out = capsys.readouterr()
    assert json.loads(out.out)["trials"]["failed"] == 10
    assert out.err.count("Traceback (most recent call last)") == 1
    assert "10 trials in a row failed alike and none completed: KeyError: 'X'. Stopped" in out.err
    assert "random on" in out.err
    assert "stopped, trial after trial failed alike" in out.err
    assert "agentopt resume runs/x" in out.err
    with resume_run(Path("runs/x")) as opened:
        assert opened.execute() is Stop.FAILURES
    assert len(load_run(Path("runs/x")).trials) == 20  # counted anew
    assert main(["resume", "x", "--max-failures", "0", "--trials", "40"]) == 1
    assert "After 20 trials max_failures was set to 0" in capsys.readouterr().out
    report = load_run(Path("runs/x"))
    assert (report.status, len(report.trials)) == ("done", 40)
    with resume_run(Path("runs/x"), trials=50, max_failures=4) as opened:
        assert opened.execute() is Stop.FAILURES
    assert len(load_run(Path("runs/x")).trials) == 44


def test_a_misspelt_command_is_said(capsys):
    Path("tasks/mine").mkdir(parents=True)
    Path("tasks/mine/task.toml").write_text(
        'command = "pyhton train.py"\n[space.x]\ntype = "float"\nlow = 0\nhigh = 1\n'
    )
    assert main(["run", "random", "--task", "mine", "--trials", "3", "--name", "x"]) == 1
    assert "None of 3 trials completed: cannot start pyhton: No such file or directory." in capsys.readouterr().err


def test_the_runs_of_a_comparison_follow_the_same_rule_and_say_so(capsys):
    Path("bug.py").write_text(BUG)
    compare = ("compare", "random", "--task", "bug.py:evaluate", "--seeds", "1", "--workers", "1")
    assert main([*compare, "--trials", "30", "--name", "c"]) == 1
    err = capsys.readouterr().err
    assert "random  seed 0: failed: 10 trials in a row failed alike and none completed: KeyError: 'X'." in err
    assert "1 runs did not finish, or found nothing" in err
    assert main([*compare, "--trials", "12", "--max-failures", "0", "--name", "d"]) == 1
    assert "None of 12 trials completed: KeyError: 'X'." in capsys.readouterr().err
