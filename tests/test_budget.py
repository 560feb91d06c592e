"""A budget that ends is no failure of what it cut off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agentopt.build import plan, resume_run
from agentopt.cli import main
from agentopt.errors import OutOfTime
from agentopt.executors.inline import InlineExecutor
from agentopt.journal import Journal, read_history
from agentopt.log import read_log
from agentopt.optimizers.random import RandomSearch
from agentopt.report.load import load_run
from agentopt.study import Stop, Study
from agentopt.task import load_task

TASK = """
import time
from pathlib import Path
from agentopt import Float
here = Path(__file__).parent
space = [Float("x", 0, 1)]
def evaluate(p, seed):
    (here / "begun").touch()
    while (here / "hold").exists():
        time.sleep(0.02)
    return p["x"] + seed % 1000
"""


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A task whose evaluations do not end while the file `hold` is there."""
    monkeypatch.chdir(tmp_path)
    Path("job.py").write_text(TASK)
    Path("hold").touch()
    return ("--task", "job.py:evaluate", "--trials", "6", "--workers", "2", "--seed", "4")


def found(run):
    return sorted((t.id, dict(t.params), t.outcome) for t in read_history(Path("runs", run)).trials)


def test_what_a_budget_cuts_off_is_not_told_and_runs_again_with_the_same_seed(held, capsys):
    main(["run", "tpe", *held, "--budget", "0.3s", "--name", "cut", "--json"])
    out = capsys.readouterr()
    counts = json.loads(out.out)["trials"]
    assert (counts.pop("cut"), set(counts.values())) == (2, {0})
    assert "done, its budget of time is spent" in out.err
    assert "0 of 6 trials, 2 cut off by the budget in" in out.err
    assert read_log(Path("runs/cut/journal.jsonl"))[0][-1]["cut"] == [0, 1]
    assert main(["report", "cut"]) == 0
    assert "2 cut off by the budget" in Path("runs/cut/report.html").read_text()
    Path("hold").unlink()
    capsys.readouterr()
    assert main(["resume", "cut", "--budget", "10m"]) == 0
    assert "cut off" not in capsys.readouterr().out
    assert main(["run", "tpe", *held, "--name", "whole"]) == 0
    assert {row[0] for row in found("cut")} == set(range(6))
    assert [row for row in found("cut") if row[0] < 2] == [row for row in found("whole") if row[0] < 2]


def test_pending_trials_are_not_begun_when_the_budget_is_spent(held, capsys):
    main(["run", "random", *held, "--budget", "0.3s", "--name", "cut"])
    journal = Path("runs/cut/journal.jsonl")
    Path("begun").unlink(missing_ok=True)
    with resume_run(Path("runs/cut")) as opened:
        assert opened.execute() is Stop.SECONDS
    assert not Path("begun").exists()
    assert [record.get("cut") for record in read_log(journal)[0][-2:]] == [[0, 1], [0, 1]]
    capsys.readouterr()
    main(["resume", "cut"])
    err = capsys.readouterr().err
    assert "is done already: its budget of 0.3 s is spent, and 2 cut off by the budget. --trials or --budget" in err


class Impatient(RandomSearch):
    """Is out of time amid its third ask, after it has drawn from its generator."""

    asks = 0

    def ask(self, n):
        found = super().ask(n)
        self.asks += 1
        if self.asks == 3:
            raise OutOfTime("no reply came in time")
        return found


def test_an_optimizer_that_was_cut_short_is_not_asked_again(tmp_path):
    made = plan({"method": "random", "task": "sphere-2", "trials": 9, "budget": "1h", "default": False})
    task = load_task("sphere-2")
    optimizer = Impatient(made.problem, made.options, np.random.default_rng([0, 1]))
    with Journal(tmp_path / "x", made.header()) as journal:
        study = Study(task, optimizer, InlineExecutor(task), journal, seed=0)
        assert study.run() is Stop.SECONDS
    assert (optimizer.asks, len(load_run(tmp_path / "x").trials)) == (3, 2)
