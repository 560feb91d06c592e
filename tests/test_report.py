"""What a report says of a run folder."""

from __future__ import annotations

import io
import math
from dataclasses import asdict

import pytest
from rich.console import Console

from agentopt.errors import JournalError
from agentopt.journal import Journal
from agentopt.ledger import Exchange, Ledger
from agentopt.protocols import Objective
from agentopt.report.figures import convergence
from agentopt.report.load import load_run
from agentopt.report.replies import reply_counts
from agentopt.report.spent import duration
from agentopt.report.text import overview, render
from agentopt.space import Choice, Float, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Suggestion

SPACE = SearchSpace((Float("x", 0, 1), Choice("kind", ("a", "b"))))


SCORE = (Objective("score"),)


def write(run, outcomes, *, objectives=SCORE, stopped="trials", exchanges=(), **header):
    """Writes a run folder whose trials ended as stated: pairs of origin and outcome."""
    record = {
        "method": "centaur",
        "task": "toy",
        "seed": 3,
        "space": SPACE.to_json(),
        "objectives": [asdict(objective) for objective in objectives],
        "budget": {"trials": 9, "seconds": None},
        "workers": 1,
        **header,
    }
    with Journal(run, record) as journal:
        for i, (origin, outcome) in enumerate(outcomes):
            params = {"x": i / 10, "kind": "a"}
            journal.asked(1, [Suggestion(params, origin, i)], [params], t=i, seconds=0.5)
            journal.finished(i, outcome, seconds=0.25, t=i + 0.9)
        if stopped:
            journal.stopped(stopped, t=len(outcomes))
    ledger = Ledger(run)
    for exchange in exchanges:
        ledger.append(exchange)
    ledger.close()
    return load_run(run)


def done(*values):
    return Outcome(Status.COMPLETE, tuple(float(v) for v in values))


def failed(status=Status.FAILED, error="Traceback ...\nValueError: too deep"):
    return Outcome(status, error=error)


def text(report):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render(report))
    return console.export_text()


MIXED = [
    (Origin.BASELINE, done(5)),
    (Origin.CMAES, failed(Status.OOM, "out of memory")),
    (Origin.LLM, done(7)),
    (Origin.CMAES, done(2)),
    (Origin.LLM, failed()),
    (Origin.FALLBACK, done(2)),
]
EXCHANGES = [
    Exchange(
        0, "ok", "p", "r", "m", prompt_tokens=10, completion_tokens=4, seconds=0.5, issues=("clipped:x", "clipped:y")
    ),
    Exchange(
        1, "invalid", "p", "r", "m", reason="it holds no JSON", prompt_tokens=10, completion_tokens=2, seconds=0.25
    ),
    Exchange(
        2, "ok", "p", "r", "m", repairs=1, prompt_tokens=20, completion_tokens=4, seconds=0.25, issues=("clipped:x",)
    ),
    Exchange(3, "error", "p", "", "m", reason="timeout: 300 s"),
]


def test_the_tables_of_a_run(tmp_path):
    report = write(tmp_path, MIXED, exchanges=EXCHANGES)
    assert (report.status, report.method, report.task, report.seed) == ("done", "centaur", "toy", 3)
    assert report.best is not None
    assert report.best.id == 3
    assert report.baseline is report.trials[0]
    assert report.best_so_far == (5, 5, 5, 2, 2, 2)
    assert report.counts == {"complete": 4, "failed": 1, "oom": 1, "timeout": 0, "invalid": 0, "pruned": 0}
    groups = {group.name: (group.trials, group.complete, group.failed, group.best) for group in report.by_origin}
    assert groups == {"baseline": (1, 1, 0, 5), "cmaes": (2, 1, 1, 2), "llm": (2, 1, 1, 7), "fallback": (1, 1, 0, 2)}
    assert [group.name for group in report.by_status] == ["complete", "failed", "oom"]
    assert report.tokens == {"prompt": 40, "completion": 10}
    seconds = report.seconds
    assert (seconds.total, seconds.llm, seconds.evaluate, seconds.overhead) == (6, 1, 1.5, 3.5)


def test_replies_are_counted_by_kind(tmp_path):
    assert write(tmp_path, MIXED, exchanges=EXCHANGES).replies == {
        "ok": 1,
        "ok after a repair": 1,
        "error: timeout": 1,
        "invalid: it holds no JSON": 1,
        "mended: clipped": 2,
    }
    assert reply_counts([]) == {}
    assert reply_counts([Exchange(0, "error", "p", "", "m")]) == {"error: no reason given": 1}


def test_the_text_says_it_all(tmp_path):
    shown = text(write(tmp_path, MIXED, exchanges=EXCHANGES))
    for words in (
        "centaur on toy, seed 3: done",
        "6 of 9 trials",
        "Best: score 2 (trial 3, cmaes; score is minimized)",
        "Default configuration: 5; better by 3",
        "failed: ValueError: too deep",
        "oom: out of memory",
        "fallback",
        "invalid: it holds no JSON",
        "prompt tokens",
        "one of a, b",
    ):
        assert words in shown


def test_values_that_are_maximised_stay_in_their_own_units(tmp_path):
    report = write(tmp_path, MIXED, objectives=(Objective("score", "maximize"),))
    assert report.best is not None
    assert report.best.values == (7,)
    assert report.best_so_far == (5, 5, 7, 7, 7, 7)
    assert report.summary()["best"] == {"values": [7.0], "params": {"x": 0.2, "kind": "a"}, "trial": 2}


def test_several_objectives_have_a_front(tmp_path):
    points = [(1, 9), (2, 5), (3, 6), (2, 5), (4, 1)]
    both = (Objective("loss"), Objective("gain", "maximize"))
    report = write(tmp_path, [(Origin.RANDOM, done(a, -b)) for a, b in points], objectives=both)
    assert [trial.id for trial in report.front.trials] == [0, 1, 4]
    assert "3 of 5 complete trials are on the Pareto front; hypervolume " in text(report)


def test_a_reference_that_nothing_is_better_than_is_said(tmp_path):
    low = (Objective("loss", reference=0.5), Objective("gain", "maximize", reference=0.0))
    report = write(tmp_path, [(Origin.RANDOM, done(1, 9))], objectives=low)
    assert "hypervolume 0 from the task's reference point (loss 0.5, gain 0), which no trial is better than" in text(
        report
    )


def test_a_method_that_ran_out_of_configurations_says_so(tmp_path):
    assert ": done, the method had nothing more to propose" in text(write(tmp_path / "a", MIXED, stopped="exhausted"))
    assert "nothing more" not in text(write(tmp_path / "b", MIXED))


@pytest.mark.parametrize(
    ("stopped", "status"),
    [
        ("trials", "done"),
        ("seconds", "done"),
        ("exhausted", "done"),
        ("interrupted", "interrupted"),
        ("error", "stopped"),
        ("", "crashed"),
    ],
)
def test_the_status_of_a_run(tmp_path, stopped, status):
    assert write(tmp_path, MIXED, stopped=stopped).status == status


def test_a_run_that_is_being_written_is_running(tmp_path):
    write(tmp_path, MIXED)
    with Journal(tmp_path):
        assert load_run(tmp_path).status == "running"
    assert load_run(tmp_path).status == "done"


def test_a_run_without_a_complete_trial_has_no_best(tmp_path):
    report = write(tmp_path, [(Origin.RANDOM, failed())] * 3)
    assert report.best is None
    assert report.summary()["best"] is None
    assert all(math.isnan(value) for value in report.best_so_far)
    assert "No trial completed" in text(report)
    assert convergence(report).stat().st_size > 5000


@pytest.mark.parametrize(
    "outcomes",
    [
        MIXED,
        [],
        [(Origin.TPE, done(10.0**i)) for i in range(6)],
        [(Origin.TPE, done(i % 7 - (9000 if i == 3 else 0))) for i in range(40)],
        [(Origin.TPE, done(i % 7 + (9000 if i == 3 else -5))) for i in range(40)],
    ],
)
def test_the_figure_is_drawn(tmp_path, outcomes):
    path = convergence(write(tmp_path, outcomes))
    assert path == tmp_path / "convergence.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_origin_has_a_colour(tmp_path):
    convergence(write(tmp_path, [(origin, done(i)) for i, origin in enumerate(Origin)]))


def test_a_torn_line_is_mentioned(tmp_path):
    write(tmp_path, MIXED)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"crc":"123')
    report = load_run(tmp_path)
    assert report.damaged == 1
    assert "1 torn lines" in text(report)


def test_a_folder_without_a_journal_is_no_run(tmp_path):
    with pytest.raises(JournalError, match="is not a run folder"):
        load_run(tmp_path)


def test_a_comparison_has_one_line_per_run(tmp_path):
    reports = [write(tmp_path / name, MIXED) for name in "ab"]
    assert len(overview(reports).rows) == 2


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0004, "0.4 ms"), (0.25, "0.25 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_durations_for_people(seconds, words):
    assert duration(seconds) == words
