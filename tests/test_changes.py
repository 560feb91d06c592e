"""What a later session is given: a larger budget, and what the run says of it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from peer_methods import QUICK_60, available
from test_resume import files, settings, trials  # noqa: F401 - a fixture

from agentopt.build import open_run, plan, resume_run
from agentopt.cli import main
from agentopt.config import load_config
from agentopt.errors import UsageError
from agentopt.journal import read_history
from agentopt.optimizers import METHODS, load_method
from agentopt.report.comparison.folder import load_comparison
from agentopt.report.load import load_run
from agentopt.report.spent import changes_text
from agentopt.sessions import Budget

QUICK = ("cmaes", "tpe", "local", "centaur", "nevergrad", "hollm")
"""Methods that know their budget or have a schedule, and a few others."""
OTHERS = [m for m in METHODS if m not in QUICK and not getattr(load_method(m), "needs_code", False)]


SLOW_TASK = """
import time
from agentopt import Float
space = [Float("x", 0, 1)]
isolation = "inline"
def evaluate(params):
    time.sleep(0.002)
    return params["x"]
"""
"""A run of it lasts for longer than the last digit of the times in a journal."""


def ran(run, method="random", **more):
    with open_run(plan({"method": method, "task": "sphere-2", "trials": 5, **more}), run) as opened:
        opened.execute()
    return run


def resumed(run, **more):
    with resume_run(run, **more) as opened:
        return opened.execute()


@pytest.mark.parametrize("method", [*QUICK, *(pytest.param(m, marks=pytest.mark.thorough) for m in OTHERS)])
def test_a_finished_run_goes_on_with_more_trials_and_survives_a_kill_then(files, method):  # noqa: F811 - a fixture
    available(method)
    run, options = files / "run", {**QUICK_60.get(method, {})}
    with open_run(plan(settings(files, method, trials=18, options=options)), run) as opened:
        opened.execute()
    first, config = trials(run), (run / "config.toml").read_bytes()
    before = (run / "journal.jsonl").stat().st_size
    assert resumed(run, trials=30) == "trials"
    whole, journal = trials(run), (run / "journal.jsonl").read_bytes()
    assert (len(whole), whole[:18]) == (30, first)
    assert (run / "config.toml").read_bytes() == config
    rng, extended = random.Random(5), journal.index(b"\n", before) + 1
    for _ in range(3):
        shutil.copytree(run, files / "cut", dirs_exist_ok=True)
        (files / "cut" / "journal.jsonl").write_bytes(journal[: rng.randrange(extended, len(journal))])
        assert resumed(files / "cut") == "trials"
        assert trials(files / "cut") == whole


def test_the_run_says_when_its_budget_was_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = ran(Path("runs/x"))
    assert main(["resume", "x"]) == 0
    assert "done already: its budget of 5 trials is spent. --trials or --budget give it more" in capsys.readouterr().err
    assert main(["resume", "x", "--trials", "8", "--budget", "1h", "--json"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["trials"]["complete"] == 8
    assert "trials 8/8" in out.err
    report = load_run(run)
    assert (report.status, report.budget) == ("done", Budget(8, 3600))
    (line,) = changes_text(report)
    assert line.startswith("After 5 trials the budget was changed from 5 trials to 8 trials or 1 h 0 min (20")
    assert line in out.err.replace("\n", " ")
    assert "8 of 8 trials" in out.err
    assert main(["show", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["budget"] == {"trials": 8, "seconds": 3600.0}
    assert main(["report", "x"]) == 0
    assert line in (run / "report.html").read_text()
    assert load_config(run)[0].trials == read_history(run).header["budget"]["trials"] == 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 4}, "has started 5 trials, and a budget counts them: give 5 trials or more, not 4"),
        ({"trials": 5}, "has run all of its 5 trials: give more trials than 5"),
        ({"budget": "2h"}, "has run all of its 5 trials: give more trials than 5"),
        ({"trials": 9, "budget": 1e-9}, r"has lasted .* s, and a budget counts them: give a budget of more than"),
        ({"trials": 0}, "trials = 0 cannot be used"),
        ({"budget": "soon"}, "duration such as 90s"),
    ],
)
def test_less_than_what_was_spent_is_refused_with_the_fix(tmp_path, given, message):
    (tmp_path / "job.py").write_text(SLOW_TASK)
    run = ran(tmp_path / "x", task=f"{tmp_path / 'job.py'}:evaluate")
    before = (run / "journal.jsonl").read_bytes()
    with pytest.raises(UsageError, match=message):
        resume_run(run, **given)
    assert (run / "journal.jsonl").read_bytes() == before


def test_an_interrupted_run_may_end_earlier_than_it_was_planned(tmp_path):
    run = ran(tmp_path / "x")
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:7]))
    assert len(read_history(run).trials) == 3
    assert resumed(run, trials=3) == "trials"
    assert (load_run(run).status, len(load_run(run).trials)) == ("done", 3)


def test_the_optimizer_goes_on_as_it_was_planned(tmp_path):
    run = ran(tmp_path / "x", method="cmaes")
    with resume_run(run, trials=50) as opened:
        assert opened.study.history.budget.trials == 50
        assert opened.config.trials == 5


def test_a_comparison_says_which_of_its_runs_were_given_another_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            [
                "compare",
                "random",
                "--task",
                "sphere-2",
                "--seeds",
                "2",
                "--trials",
                "3",
                "--workers",
                "1",
                "--name",
                "c",
            ]
        )
        == 0
    )
    assert load_comparison(Path("runs/c")).notes == ()
    resumed(Path("runs/c/cells/sphere-2/random/s1"), trials=6)
    (note,) = load_comparison(Path("runs/c")).notes
    assert note == "1 of the runs were given another budget than the comparison's."
