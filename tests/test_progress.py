"""What is shown of a run while it goes on."""

from __future__ import annotations

import builtins
import io
import logging
import re
import sys

import pytest
from rich.console import Console

from agentopt import AskTell, Float, minimize
from agentopt.journal import History
from agentopt.progress import Watcher, watcher_of
from agentopt.trial import Origin, Outcome, Status, Trial


def trial(number, value):
    outcome = Outcome(Status.OOM) if value is None else Outcome(Status.COMPLETE, (value,))
    return Trial(number, {"x": 0.5}, outcome, Origin.RANDOM)


@pytest.mark.parametrize(("direction", "best"), [("minimize", 2), ("maximize", 7)])
def test_each_trial_is_looked_at_once(tmp_path, direction, best):
    objective = {"name": "value", "direction": direction, "reference": None}
    history = History({"objectives": [objective], "budget": {"trials": 9, "seconds": None}, "method": "random"})
    screen = io.StringIO()
    watcher = Watcher(Console(file=screen, width=120), tmp_path)
    history.trials += [trial(0, 5.0), trial(1, None)]  # a run that is resumed has trials at the first look
    watcher(history)
    history.trials[:] = [None, None, trial(2, 7.0), trial(3, 2.0)]
    watcher(history)
    history.trials[:] = [None, None, None, None, trial(4, 3.0)]
    history.stopped = "trials"
    watcher(history)
    assert f"trials 5/9  best {best}  (4 complete, 1 oom)" in screen.getvalue().splitlines()[-1]


class Terminal(io.StringIO):
    """A terminal that remembers what it was shown."""

    def isatty(self):
        return True


def search(**arguments):
    return minimize(lambda params: params["x"] ** 2, [Float("x", -1, 1)], "random", trials=30, **arguments)


@pytest.mark.parametrize("progress", [None, False])
def test_a_script_whose_stderr_is_no_terminal_sees_nothing(progress, capsys):
    search(progress=progress)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_shown_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    search()
    assert "30/30 trials" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", dark := Terminal())
    search(progress=False)
    assert dark.getvalue() == ""


def test_progress_can_be_asked_for_anywhere(capsys):
    search(progress=True)
    assert "trials 30/30  best " in capsys.readouterr().err


def test_a_notebook_is_shown_progress(monkeypatch, tmp_path):
    shell = type("ZMQInteractiveShell", (), {})()
    assert watcher_of(tmp_path).quiet
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    assert not watcher_of(tmp_path).quiet


def test_what_takes_its_time_is_told_to_the_logger_by_default(caplog, capsys, monkeypatch):
    given = {"options": {"sampler": "incumbent"}, "model": "unused"}
    with caplog.at_level(logging.INFO, "agentopt"):
        minimize(lambda params: params["x"], [Float("x", 0, 1)], "llm", trials=2, **given)
    assert [record.name for record in caplog.records] == ["agentopt"]
    assert "asks no language model with these options" in caplog.text
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    minimize(lambda params: params["x"], [Float("x", 0, 1)], "llm", trials=2, **given)
    assert "asks no language model with these options" in screen.getvalue()
    said: list[str] = []
    AskTell([Float("x", 0, 1)], "llm", say=said.append, **given).close()
    assert len(said) == 1


def history_of(trials, seconds=None, *, method="random", done=3):
    objective = {"name": "value", "direction": "minimize", "reference": None}
    history = History({"objectives": [objective], "budget": {"trials": trials, "seconds": seconds}, "method": method})
    history.trials += [trial(n, None if n == 1 else 5.0 - n) for n in range(done)]
    history.elapsed = 4.0
    return history


def live(tmp_path, *histories):
    """Returns the text of the last bar that a terminal showed, and everything that was written to it."""
    screen = io.StringIO()
    with Watcher(Console(file=screen, width=120, force_terminal=True), tmp_path) as watcher:
        for history in histories:
            watcher(history)
        watcher.say("a line of its own")
    text = screen.getvalue()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.replace("\x1b[2K", "\n")), text


@pytest.mark.parametrize(
    ("budget", "count"),
    [((9, None), "3/9 trials"), ((None, 60.0), "4/60 s"), ((9, 5.0), "4/5 s"), ((None, None), "3 trials")],
)
def test_a_live_bar_shows_how_far_a_run_is(tmp_path, budget, count):
    plain, _ = live(tmp_path, history_of(*budget, done=1), history_of(*budget))
    (bar, *_) = [line for line in reversed(plain.splitlines()) if "best" in line]
    assert bar.startswith("random ")
    assert f" {count} " in bar
    assert "best 3  (2 complete, 1 oom)" in bar
    assert "a line of its own" in plain


def test_a_live_bar_is_gone_at_the_end_and_takes_no_text_for_its_own_markup(tmp_path):
    plain, text = live(tmp_path, history_of(9, method="my[bold].py:\x1b]0;x\x07Method"))
    assert "my[bold].py:<U+001B>]0;x<U+0007>Method" in plain
    assert "\x1b]0;" not in text
    assert text.endswith("\x1b[1A\x1b[2K")


def test_a_live_bar_of_a_quiet_run_is_none(tmp_path):
    screen = io.StringIO()
    with Watcher(Console(file=screen, width=120, force_terminal=True), tmp_path, quiet=True) as watcher:
        watcher(history_of(9))
    assert screen.getvalue() == ""
