"""What a run of code is said to have found: what its verdicts say, everywhere, and no more."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, replace

import pytest
from code_report_runs import CODE, LOSS, SPACE, Toy, write_code_run
from rich.console import Console

from agentopt.build import resume_run
from agentopt.journal import FILE, Journal, read_history
from agentopt.log import Log, read_log
from agentopt.progress import Watcher
from agentopt.protocols import Objective
from agentopt.report.analysis import RunAnalysis
from agentopt.report.comparison.gather import comparison_of_reports
from agentopt.report.figures.trials import convergence_figure
from agentopt.report.html import charts
from agentopt.report.html.run_part import run_part
from agentopt.report.load import load_run
from agentopt.report.tables import overview_table
from agentopt.report.text import overview, render
from agentopt.trial import Edit, Origin, Outcome, Status, Suggestion

HEADER = {
    "method": "autoresearch",
    "task": "toy",
    "seed": 0,
    "space": SPACE.to_json(),
    "objectives": [asdict(LOSS)],
    "options": {"line_cost": 0.0},
    "budget": {"trials": 9, "seconds": None},
    "code": asdict(CODE),
}
TEXT = CODE.text
FIRST = (
    (2.30, Origin.BASELINE, {}, None),
    (2.28, Origin.REPEAT, {"again": None}, Edit(TEXT, None, "the first version", 1)),
)
NOISE = (
    *FIRST,
    (2.29, Origin.LLM, {}, Edit(f"{TEXT}# a", None, "a")),
    (2.26, Origin.REPEAT, {"again": 2}, Edit(f"{TEXT}# a", 2, "a", 1)),
)
"""A version that is better by less than the noise; the lowest value is that of its second run."""
KEPT = (
    *NOISE,
    (2.10, Origin.LLM, {}, Edit(f"{TEXT}# b", None, "b")),
    (2.09, Origin.LLM, {}, Edit(f"{TEXT}# c", 4, "c")),
    (2.00, Origin.REPEAT, {"again": 5}, Edit(f"{TEXT}# c", 5, "c", 1)),
    (2.14, Origin.REPEAT, {"again": 4}, Edit(f"{TEXT}# b", 4, "b", 1)),
)
"""Then one that is better by far, and one that its second run decides to keep."""
ONCE = {Origin.REPEAT: Origin.USER}
"""What repeats were called in the journals of before."""


def write(run, trials, names=()):
    """Makes a run folder of trials: each has its value, its origin, its note and its edit."""
    with Journal(run, HEADER) as journal:
        for number, (value, origin, note, edit) in enumerate(trials):
            params = SPACE.defaults() if edit is None else {}
            made = Suggestion(params, dict(names).get(origin, origin), number, note, edit)
            journal.asked(1, [made], [params], t=number, seconds=0.1)
            journal.finished(number, Outcome(Status.COMPLETE, (value,)), seconds=0.1, t=number)
        journal.stopped("trials", t=9)
    return load_run(run)


@pytest.fixture
def noise(tmp_path):
    return write(tmp_path / "noise", NOISE)


@pytest.fixture
def kept(tmp_path):
    return write(tmp_path / "kept", KEPT)


def shown(renderable):
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


def test_a_gain_that_the_verdict_rejects_is_claimed_nowhere(noise):
    text = shown(render(noise))
    assert "No version is better than the first one: loss 2.29, the mean of 2 runs" in text
    assert "Two runs of one version differ by 0.0254951." in text
    assert "better by" not in text
    assert run_part("r0", RunAnalysis(noise)).best_text.startswith("No version is better than the first one: loss 2.29")
    best = noise.summary()["best"]
    assert (best["trial"], best["values"], best["runs"], best["gain"]) == (0, [pytest.approx(2.29)], 2, 0)
    assert best["noise"] == pytest.approx(math.sqrt((0.02**2 + 0.03**2) / 2))
    for said in (shown(overview([noise])), str(overview_table([noise]).rows)):
        assert "2.29" in said
        assert "2.26" not in said


def test_noise_is_not_drawn_as_progress(noise):
    assert noise.best_so_far == pytest.approx([2.29] * 4)
    traces = {trace["name"]: trace["y"] for trace in charts.convergence(noise)["data"]}
    assert traces["best kept so far"] == pytest.approx([2.29] * 4)
    assert traces["default"] == pytest.approx([2.29] * 2)
    lines = {line.get_label(): list(line.get_ydata()) for line in convergence_figure(noise).axes[0].get_lines()}
    assert lines["best kept so far"] == pytest.approx([2.29] * 4)
    assert lines["default configuration"] == pytest.approx([2.29] * 2)
    (cell,) = comparison_of_reports([noise]).cells
    assert cell.final == pytest.approx(2.29)


def test_what_was_kept_counts_from_the_trial_that_decided_with_the_mean_of_its_runs(kept):
    assert kept.keeper.kept == [None, 4, 5]
    assert kept.best_so_far == pytest.approx([*[2.29] * 4, *[2.12] * 3, 2.045])
    assert (kept.best.id, kept.standing.best.runs) == (5, 2)
    text = shown(render(kept))
    assert "Best: loss 2.045, the mean of 2 runs (the version of trial 5, llm; loss is minimized)" in text
    assert "First version: 2.29, the mean of 2 runs; better by 0.245; two runs of one version differ by 0.0" in text


def test_a_repeat_is_no_proposal(kept):
    groups = {group.name: group for group in kept.by_origin}
    assert [trial.origin for trial in kept.trials].count(Origin.REPEAT) == 4
    assert (groups["repeat"].trials, groups["repeat"].best) == (4, None)
    assert groups["llm"].best == pytest.approx(2.045)
    assert groups["baseline"].best == pytest.approx(2.29)


def test_the_gain_of_tuned_code_is_said_to_flatter(tmp_path):
    report = load_run(write_code_run(tmp_path / "tuned", 8, method="random"))
    assert report.standing.gain > 0
    for text in (shown(render(report)), run_part("r0", RunAnalysis(report)).best_text):
        assert "each is one training, and the best of many flatters" in text
    text = shown(render(load_run(write_code_run(tmp_path / "one", 1, method="random"))))
    assert "better by 0" in text
    assert "flatters" not in text


def test_while_a_run_goes_on_its_best_is_what_was_kept(tmp_path, noise):
    screen = io.StringIO()
    Watcher(Console(file=screen, width=120), tmp_path)(read_history(noise.run))
    assert "best 2.29 " in screen.getvalue()


def test_a_gain_within_the_noise_is_not_called_better(tmp_path):
    """Code that got shorter is kept at a tie."""
    shorter = TEXT.replace("# A program to be tuned or edited.\n", "")
    tie = (
        (2.29, Origin.LLM, {}, Edit(shorter, None, "s")),
        (2.28, Origin.REPEAT, {"again": 2}, Edit(shorter, 2, "s", 1)),
    )
    report = write(tmp_path / "tie", (*FIRST, *tie))
    assert report.keeper.best.trial == 2
    text = shown(render(report))
    assert "not more than noise, a gain of 0.005" in text
    assert "better by" not in text


def test_a_maximised_objective_follows_the_verdict_too(tmp_path):
    report = load_run(write_code_run(tmp_path / "run", 4, objective=Objective("score", "maximize")))
    assert report.standing.gain == pytest.approx(report.standing.best.value - report.standing.default.value)
    assert report.best.id == report.keeper.best.trial


def test_repeats_of_a_journal_of_before_are_repeats_and_the_run_resumes(tmp_path):
    report = write(tmp_path / "old", KEPT, ONCE)
    assert '"origin":"user"' in (report.run / FILE).read_text()
    assert [trial.origin for trial in report.trials].count(Origin.REPEAT) == 4
    run = write_code_run(tmp_path / "run", 7)
    whole = load_run(run).trials
    records = read_log(run / FILE)[0]
    ends = [n for n, record in enumerate(records) if record["event"] == "finished"]
    (run / FILE).unlink()
    with Log(run / FILE) as log:
        for record in records[: ends[3] + 1]:
            log.append(json.loads(json.dumps(record).replace('"origin": "repeat"', '"origin": "baseline"')))
    assert '"origin":"repeat"' not in (run / FILE).read_text()
    toy = Toy(run)
    toy.count.extend(range(4))
    with resume_run(run, task=toy) as opened:
        opened.execute()
    assert [replace(trial, seconds=0.0) for trial in load_run(run).trials] == [replace(t, seconds=0.0) for t in whole]
