"""Sessions of `AskTell`: what an ask that is cut short leaves, closing, and how such runs are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentopt import AskTell, Float, Int, minimize
from agentopt.build import open_run, plan
from agentopt.cli import main
from agentopt.errors import ModelUnavailable, UsageError
from agentopt.journal import Journal
from agentopt.report.load import load_run

SPACE = [Float("x", -5, 5), Int("n", 1, 9)]
SCRIPT = """
from pathlib import Path
from agentopt.testing.models import uniform

def model(prompt, view):
    cut = Path("cut")
    if view["call"] == 2 and cut.exists():
        cut.unlink()
        raise {error}
    return uniform(prompt, view)
"""
METHOD = """
from pathlib import Path
from agentopt.optimizers import MethodOptions
from agentopt.trial import Origin, Suggestion

class Slots:
    summary = "Has one slot, and loses it where its ask is cut short."

    class Options(MethodOptions):
        '''It has no options.'''

    def __init__(self, problem, options, rng):
        self.space, self.rng, self.free, self.asked = problem.space, rng, True, 0

    def ask(self, n):
        if not self.free:
            return []
        self.free, self.asked = False, self.asked + 1
        params = self.space.sample(self.rng)
        cut = Path("cut")
        if self.asked == 3 and cut.exists():
            cut.unlink()
            raise KeyboardInterrupt
        return [Suggestion(params, Origin.USER, self.asked)]

    def tell(self, trial):
        self.free = True

    def explain(self):
        return {"asked": self.asked}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value(params):
    return params["x"] ** 2 + params["n"]


def searched(method, run=None, **given):
    """Returns the configurations of ten trials, and how many asks were cut short."""
    cuts = 0
    with AskTell(SPACE, method, seed=1, run=run, **given) as search:
        while len(search.trials) < 10:
            try:
                asked = search.ask()
            except (KeyboardInterrupt, ModelUnavailable):
                cuts += 1
                continue
            assert asked, "it has nothing to give, and nothing is pending"
            search.tell(asked[0].id, value(asked[0].params))
        return [trial.params for trial in search.trials], cuts


CASES = [
    ("centaur", {"core": "cmaes", "ratio": 1.0, "warmup": 0, "popsize": 4}),
    ("centaur", {"core": "gp", "ratio": 1.0, "warmup": 0}),
    ("llm", {}),
    ("hollm", {"initial": 2}),
    ("opro", {"initial": 2, "replies": 2}),
]


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "RuntimeError('the server died')"])
@pytest.mark.parametrize(
    ("method", "options"), CASES, ids=["-".join([name, options.get("core", "")]) for name, options in CASES]
)
def test_an_ask_that_is_cut_short_has_asked_nothing(method, options, error):
    Path("script.py").write_text(SCRIPT.format(error=error))
    given = {"options": options, "model": "scripted:script.py:model"}
    whole, cuts = searched(method, "whole", **given)
    assert cuts == 0
    Path("cut").touch()
    again, cuts = searched(method, "again", **given)
    assert cuts == 1
    assert again == whole
    assert [t.params for t in load_run(Path("again")).trials] == whole


def test_a_method_of_ones_own_gets_its_slot_back(here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    Path("slots.py").write_text(METHOD)
    whole, _ = searched("slots:Slots")
    Path("cut").touch()
    assert searched("slots:Slots") == (whole, 1)


def test_what_is_pending_can_be_told_while_the_model_is_gone():
    Path("script.py").write_text(SCRIPT.format(error="KeyboardInterrupt"))
    Path("cut").touch()
    with AskTell(SPACE, "llm", seed=1, run="r", model="scripted:script.py:model") as search:
        first, second = search.ask()[0], search.ask()[0]
        with pytest.raises(KeyboardInterrupt):
            search.ask()
        search.tell(first.id, 3.0)
        search.tell(second.id, 2.0)
        (third,) = search.ask()
        search.tell(third.id, 1.0)
        assert [trial.value for trial in search.trials] == [3.0, 2.0, 1.0]
    with AskTell(SPACE, "llm", seed=1, run="r", model="scripted:script.py:model") as search:
        assert search.ask()


def test_a_session_says_in_a_line_how_far_it_is():
    with AskTell(SPACE, "random") as search:
        assert repr(search) == "AskTell(method='random', told=0, pending=0)"
        one, _ = search.ask(2)
        told = search.tell(one.id, 1.0)
        assert repr(search) == f"AskTell(method='random', told=1, pending=1, best={told!r})"


def test_everything_can_be_closed_twice():
    search = AskTell(SPACE, "random", run="by-hand")
    search.close()
    search.close()
    with AskTell(SPACE, "random", run="by-hand") as search:
        search.close()
    for call in (search.ask, lambda: search.tell(0, 1.0)):
        with pytest.raises(UsageError, match="session is closed"):
            call()
    opened = open_run(plan({"method": "random", "task": "sphere-2"}), Path("run"))
    opened.close()
    opened.close()
    journal = Journal(Path("run"))
    journal.close()
    journal.close()


def test_runs_by_hand_are_listed_as_open_closed_and_done(capsys):
    def listed():
        assert main(["list", "runs", "--runs-dir", "."]) == 0
        return capsys.readouterr().out

    with AskTell(SPACE, "random", run="by-hand", trials=2) as search:
        (one,) = search.ask()
        assert "ask-tell  open" in listed()
        assert main(["show", "by-hand", "--runs-dir", "."]) == 0
        shown = capsys.readouterr().out
        assert "random on python:ask-tell, seed 0: open" in shown
        assert "0 of 2 trials, 1 to be told" in shown
    assert "ask-tell  closed" in listed()
    assert load_run(Path("by-hand")).stopped == "closed"
    with AskTell(SPACE, "random", run="by-hand", trials=2) as search:
        search.tell(one.id, 1.0)
        search.tell(search.ask()[0].id, 1.0)
    assert "ask-tell  done" in listed()


def test_runs_by_hand_of_before_go_on_and_are_listed():
    with AskTell(SPACE, "random", run="by-hand") as search:
        first = search.ask(2)
    config = Path("by-hand/config.toml")
    config.write_text(config.read_text().replace("python:ask-tell", "python:_not_called"))
    with AskTell(SPACE, "random", run="by-hand") as search:
        assert search.pending == tuple(first)
    assert load_run(Path("by-hand")).status == "closed"


def test_an_interrupted_minimize_is_no_run_by_hand():
    def fn(params):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize(fn, SPACE, "random", run="run")
    assert load_run(Path("run")).status == "interrupted"
