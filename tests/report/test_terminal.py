"""What a terminal is given: names whole, columns left out where there is no room, nothing that moves the cursor."""

from __future__ import annotations

import io

import pytest
from report_runs import write_run
from rich.console import Console

from agentopt import screens
from agentopt.report import terminal
from agentopt.report.figures.trials import convergence_figure
from agentopt.report.html.charts import convergence
from agentopt.report.load import load_run
from agentopt.report.terminal import table
from agentopt.report.text import failures, overview
from agentopt.trial import Origin, Outcome, Status, Trial

EVIL = "\x1b]0;title\x07\x1b[31m\x9b2J\r\u202e"
NAME = "regularized-evolution-autoresearch-surrogate-s0-20260101T000000Z"


def printed(what, width=80, *, tty=True):
    screen = io.StringIO()
    terminal.write(Console(file=screen, width=width, force_terminal=tty, no_color=True, color_system=None), what)
    return screen.getvalue()


@pytest.fixture
def run(tmp_path):
    return load_run(write_run(tmp_path / NAME, 14, evil=EVIL))


def test_a_table_leaves_out_columns_and_says_which(run):
    text = printed(overview([run]))
    assert NAME in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "no room for method, task, status, seed, trials, failed, total s, llm s:" in text
    assert "best" in text.splitlines()[0]


def test_where_there_is_no_terminal_every_column_is_there(run):
    header, row = printed(overview([run]), tty=False).splitlines()
    assert header.split()[:3] == ["run", "method", "task"]
    assert NAME in row
    assert header.rstrip().endswith("llm s")


@pytest.mark.parametrize("width", [45, 50, 80, 200])
def test_no_word_is_cut_at_any_width(width):
    words = ["a-name-of-its-own", "another_name", "words that may stand on several lines of their own"]
    made = table("", ("first", "second column", "prose"), [words], left=3, prose=["prose"])
    lines = printed(made, width).splitlines()
    shown = " ".join(lines).split()
    assert max(map(len, lines)) <= width
    for word in ["a-name-of-its-own", "words", "that", "may", "stand", "on", "several", "lines", "of", "their", "own"]:
        assert word in shown


def test_a_name_that_is_wider_than_the_terminal_stays_whole():
    assert "n" * 100 in printed(table("", ("run", "n"), [("n" * 100, "1")]), 80)


def test_a_header_is_wrapped_before_a_column_is_left_out():
    made = table("", ("name", "prompt tokens", "completion tokens"), [("x", "1", "2")])
    text = printed(made, 24)
    assert "no room" not in text
    assert "completion tokens" not in text
    assert "completion" in text


def test_nothing_of_a_run_reaches_the_terminal_as_a_control_code(run):
    for what in (screens.run(run), overview([run]), *(screens.trial(trial, run) for trial in run.trials)):
        for tty in (True, False):
            text = printed(what, 120, tty=tty)
            assert not any(code in text for code in "\x1b\x07\x9b\r\u202e")
    assert "<U+001B>" in printed(screens.run(run), 120)


def test_reasons_that_are_left_out_are_counted():
    outcomes = [Outcome(Status.FAILED, error=f"reason {n % 11}") for n in range(30)]
    trials = [Trial(n, {}, outcome, Origin.RANDOM) for n, outcome in enumerate(outcomes)]
    found = failures(trials)
    assert len(found) == 9
    assert list(found)[-1] == "3 other errors"
    assert sum(found.values()) == 30
    assert "[... 20 more characters]" in next(iter(failures([Trial(0, {}, failed("x" * 120), Origin.RANDOM)])))


def failed(error):
    return Outcome(Status.FAILED, error=error)


def test_the_axis_of_a_run_counts_as_its_trials_are_numbered(run):
    places = {trial.id: trial.id for trial in run.trials}  # one worker: they ended in their order
    traces = convergence(run).data
    points = [trace for trace in traces if trace.customdata is not None]
    assert {n: x for trace in points for n, x in zip(trace.customdata, trace.x, strict=True)} == places
    (curve,) = [trace for trace in traces if trace.name == run.standing.curve_name]
    assert list(curve.x) == list(places)
    axes = convergence_figure(run).axes[0]
    assert sorted(x for dots in axes.collections for x, _ in dots.get_offsets() if dots.get_label()) == [
        trial.id for trial in run.trials if trial.complete
    ]
