"""What is shown of a run with several objectives: its Pareto set, its hypervolume, and where that counts from."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from report_runs import EVIL, write_run
from rich.console import Console

from agentopt import AskTell, Float, minimize, screens
from agentopt.cli import main
from agentopt.errors import UsageError
from agentopt.journal import Journal
from agentopt.pareto import estimated_reference, hypervolume
from agentopt.progress import Watcher
from agentopt.protocols import Objective
from agentopt.report.analysis import RunAnalysis
from agentopt.report.canvas import write_figure
from agentopt.report.comparison.gather import comparison_of_reports
from agentopt.report.figures import convergence, write_figures
from agentopt.report.figures.fronts import front_figure
from agentopt.report.fronts import INITIAL, Growth, front_of, known_hypervolume
from agentopt.report.html import write_report
from agentopt.report.html.charts import overlay
from agentopt.report.html.fronts import front_charts
from agentopt.report.load import load_run
from agentopt.report.tables import overview_table, run_tables
from agentopt.report.task_labels import task_labels
from agentopt.report.text import overview, render
from agentopt.space import SearchSpace
from agentopt.task import load_task
from agentopt.trial import Origin, Outcome, Status, Suggestion, Trial

SPACE = SearchSpace((Float("x", 0, 1), Float("y", 0, 1)))
STATED = (Objective("loss", reference=10), Objective("gain", "maximize", reference=0))
OPEN = (Objective("loss"), Objective("gain", "maximize"))
POINTS = [(9, 1), (5, 5), None, (6, 4), (5, 5), (12, 9), (8, 8), (1, 2)]
"""Losses and gains; from (10, 0) the hypervolumes are those below."""
GROWN = [1, 25, 25, 25, 25, 25, 31, 39]
FRONT = [7, 1, 6, 5]
"""By loss: (1, 2), (5, 5), (8, 8), (12, 9); the second (5, 5) is not another one."""


def outcome(values):
    return Outcome(Status.FAILED, error="no") if values is None else Outcome(Status.COMPLETE, tuple(map(float, values)))


def trials_of(values):
    return [Trial(i, {"x": 0.5, "y": 0.1}, outcome(v), Origin.RANDOM) for i, v in enumerate(values)]


def write(run, values, objectives=STATED, *, origin=Origin.RANDOM, **header):
    record = {"method": "random", "task": "toy", "seed": 0, "space": SPACE.to_json(), "options": {}, "workers": 1}
    record |= {"objectives": [asdict(o) for o in objectives], "budget": {"trials": len(values)}, **header}
    with Journal(run, record) as journal:
        for i, value in enumerate(values):
            params = {"x": i / 100, "y": 0.25}
            journal.asked(1, [Suggestion(params, Origin.BASELINE if i == 0 else origin, i)], [params], t=i, seconds=0.1)
            journal.finished(i, outcome(value), seconds=0.1, t=i + 0.5)
        journal.stopped("trials", t=len(values))
    return run


def said(what):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def many(count, objectives, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, objectives)).tolist()


def test_the_front_is_sorted_without_copies_and_its_hypervolume_grows():
    front = front_of(trials_of(POINTS), STATED)
    assert [trial.id for trial in front.trials] == FRONT
    assert front.hypervolumes == pytest.approx(GROWN)
    assert front.hypervolume == front.hypervolumes[-1]
    assert (front.reference.values, front.reference.source) == ((10, 0), "task")


def test_without_a_stated_reference_the_first_trials_decide_and_later_ones_change_nothing():
    points = many(INITIAL + 20, 2)
    front = front_of(trials_of(points), OPEN)
    losses = np.array(points) * [1, -1]
    point = estimated_reference(losses[:INITIAL])
    assert front.reference.source == "estimated"
    assert front.reference.values == pytest.approx(point * [1, -1])
    assert front.hypervolume == pytest.approx(hypervolume(losses, point))
    assert front_of(trials_of(points[: INITIAL + 5]), OPEN).reference == front.reference


def test_what_one_objective_states_is_kept_beside_an_estimate():
    front = front_of(trials_of([(1, 2), (2, 5)]), (Objective("loss", reference=7), Objective("gain", "maximize")))
    assert front.reference.values[0] == 7
    assert front.reference.values[1] == pytest.approx(2 - 0.3)
    assert front.reference.source == "estimated"


@pytest.mark.parametrize(("objectives", "expected"), [(STATED, 0.0), (OPEN, None)])
def test_without_a_complete_trial_there_is_no_front(tmp_path, objectives, expected):
    report = load_run(write(tmp_path, [None, None], objectives))
    assert report.front.to_json()["front"] == []
    assert report.summary()["hypervolume"]["value"] == expected
    assert report.summary()["hypervolume"]["of_known"] is None
    assert report.front.hypervolumes == (0, 0)
    assert "No trial completed" in said(render(report))
    assert front_charts(report) == {}
    write_report([RunAnalysis(report)], tmp_path / "r.html")
    write_figures(RunAnalysis(report), tmp_path)


def test_huge_values_have_a_finite_hypervolume():
    values = [[1e300, -1e300, 1e308], [-1e308, 1e300, 5.0], [1.0, 2.0, -1e308]]
    three = [Objective(name) for name in "abc"]
    front = front_of(trials_of(values), three)
    assert math.isfinite(front.hypervolume)
    json.dumps(front.to_json(), allow_nan=False)


def test_the_growth_of_a_run_that_goes_on_is_that_of_its_report():
    for objectives in (STATED, OPEN):
        growth, told = Growth(objectives), trials_of([*POINTS, *(10 * np.array(many(12, 2)))])
        for n, trial in enumerate(told, start=1):
            growth.tell(trial)
            front = front_of(told[:n], objectives)
            assert growth.size == len(front.trials)
            complete = sum(t.complete for t in told[:n])
            if objectives is STATED or complete >= INITIAL:
                assert growth.hypervolume == pytest.approx(front.hypervolume)
            else:
                assert growth.hypervolume is None


def test_the_progress_shows_the_hypervolume(tmp_path):
    report = load_run(write(tmp_path, POINTS))
    screen = io.StringIO()
    with Watcher(Console(file=screen, width=120), tmp_path) as watcher, Journal(tmp_path) as journal:
        watcher(journal.history)
    assert "hypervolume 39, 4 on the front  (7 complete, 1 failed)" in screen.getvalue()
    assert report.front.hypervolume == 39


def test_the_text_has_the_front_and_its_share_of_what_is_known(tmp_path):
    text = said(render(load_run(write(tmp_path, POINTS, best_known=78))))
    assert (
        "4 of 7 complete trials are on the Pareto front; hypervolume 39, 50 % of the known one, from the task's"
        " reference point (loss 10, gain 0)." in text
    )
    assert "Default configuration: loss 9, gain 1; 3 of the front dominate it." in text
    rows = [line.split() for line in text.partition("gain (maximize)")[2].splitlines()[1:5]]
    assert [row[0] for row in rows] == ["7", "1", "6", "5"]
    assert rows[0][1:] == ["random", "1", "2", "x=0.07", "y=0.25"]
    assert "on the front" in text
    assert "best loss" not in text


def test_long_fronts_are_shown_from_end_to_end(tmp_path):
    text = said(render(load_run(write(tmp_path, [(i, i) for i in range(50)]))))
    assert "Pareto front, 20 of 50 from end to end" in text
    rows = text.partition("gain (maximize)")[2].splitlines()[1:21]
    assert [rows[0].split()[0], rows[-1].split()[0]] == ["0", "49"]


def test_what_is_known_counts_only_from_the_stated_point():
    assert known_hypervolume({"optimum": 5, "best_known": 4}, STATED) == 5
    assert known_hypervolume({"optimum": None, "best_known": 4}, STATED) == 4
    assert known_hypervolume({"optimum": 5}, OPEN) is None
    assert known_hypervolume({"optimum": 5}, STATED[:1]) is None


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_any_number_of_objectives_is_drawn(tmp_path, count):
    objectives = [Objective(f"f{i}", "maximize" if i % 2 else "minimize") for i in range(count)]
    report = load_run(write(tmp_path, [*many(20, count), None], objectives))
    assert write_figure(front_figure(report), tmp_path, "front", ["png"])[0].stat().st_size > 0
    charts = {name: json.loads(chart.to_json()) for name, chart in front_charts(report).items()}
    assert set(charts) == {"front", "hypervolume"}
    traces = charts["front"]["data"]
    planes = {2: 1, 3: 1, 4: 6, 7: 15}[count]
    drawn = [trace for trace in traces if "customdata" in trace]
    assert sum(len(trace["customdata"]) for trace in drawn) == 20 * planes
    assert {trace["type"] for trace in drawn} == {"scatter3d" if count == 3 else "scatter"}
    best = {trial.id for trial in report.front.trials}
    for trace in drawn:
        on = trace["name"].endswith("on the front")
        assert all((place in best) is on for place in trace["customdata"])
        assert (trace["marker"]["opacity"] > 0.5) is on
        assert all("x = 0" in text and "y = 0.25" in text for text in trace["hovertext"])


def test_the_edge_and_the_curve_are_drawn_where_they_are(tmp_path):
    charts = front_charts(load_run(write(tmp_path, POINTS, best_known=78)))
    edge = next(trace for trace in charts["front"].data if trace.name == "front")
    assert (list(edge.x), list(edge.y), edge.line.shape) == ([1, 5, 8, 12], [2, 5, 8, 9], "hv")
    curve, *grew, known = charts["hypervolume"].data
    assert list(curve.y) == pytest.approx(GROWN)
    assert sorted(place for trace in grew for place in trace.customdata) == [0, 1, 6, 7]
    assert list(known.y) == [78, 78]


def test_foreign_text_in_a_front_stays_text(tmp_path):
    run = write_run(tmp_path / "run", 40, objectives=(Objective(EVIL), Objective(f"{EVIL}2", "maximize")))
    charts = front_charts(load_run(run))
    assert "<script" not in "".join(chart.to_json() for chart in charts.values()).replace("\\u003c", "<")
    page = write_report([RunAnalysis(load_run(run))], tmp_path / "r.html").read_text(encoding="utf-8")
    assert EVIL not in page


def test_the_tables_hold_the_front_and_the_curve(tmp_path):
    report = load_run(write(tmp_path, POINTS))
    tables = run_tables(RunAnalysis(report))
    assert "best" not in tables
    assert tables["front"].columns == ("trial", "origin", "loss (minimize)", "gain (maximize)", "x", "y")
    assert [row[0] for row in tables["front"].rows] == FRONT
    assert [row[1] for row in tables["hypervolume"].rows] == pytest.approx(GROWN)
    assert [row[4] for row in tables["origins"].rows] == [0, 4]


def test_runs_are_listed_with_their_hypervolume(tmp_path):
    one = load_run(write(tmp_path / "one", [(3,), (2,)], (Objective("loss"),)))
    two = load_run(write(tmp_path / "two", POINTS))
    table = overview_table([one, two])
    first = table.columns.index("best")
    assert table.columns[first : first + 3] == ("best", "hypervolume", "reference point")
    assert [row[first : first + 3] for row in table.rows] == [(2, None, None), (None, 39, "task")]
    assert "hypervolume" not in overview_table([one]).columns
    text = said(overview([one, two]))
    assert "hypervolume 39" in text
    assert "own reference" not in text
    assert "(own reference)" in said(overview([load_run(write(tmp_path / "open", POINTS, OPEN))]))


def test_runs_that_measured_different_things_are_not_put_together(tmp_path):
    three = (*OPEN, Objective("price"))
    runs = {
        "two": write(tmp_path / "two", POINTS, OPEN),
        "again": write(tmp_path / "again", POINTS, OPEN, task_options={"size": 3}),
        "three": write(tmp_path / "three", many(5, 3), three),
        "three b": write(tmp_path / "three b", many(5, 3), three, seed=1),
        "one": write(tmp_path / "one", [(3,), (2,)], (Objective("loss"),)),
    }
    reports = [load_run(run) for run in runs.values()]
    several = "toy (minimize loss, maximize gain, minimize price)"
    labels = ["toy (minimize loss, maximize gain)", "toy[size=3]", several, several, "toy (minimize loss)"]
    assert task_labels(reports) == labels
    assert task_labels(reports[2:4]) == ["toy", "toy"]
    page = write_report([RunAnalysis(report) for report in reports], tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count(": so far</h3>") == 1
    assert {task.name for task in comparison_of_reports(reports).tasks} == set(labels)


def test_a_trial_and_a_task_are_shown_with_what_several_objectives_mean(tmp_path, capsys):
    report = load_run(write(tmp_path, POINTS))
    assert "It is on the Pareto front of the run." in said(screens.trial(report.trials[1], report))
    assert "It is not on the Pareto front of the run." in said(screens.trial(report.trials[0], report))
    assert "Pareto" not in said(screens.trial(report.trials[2], report))
    assert main(["show", "zdt1"]) == 0
    assert "Known hypervolume: 6.26667" in capsys.readouterr().out
    assert main(["show", "penicillin"]) == 0
    assert "Best known hypervolume (that of the true front is not known): " in capsys.readouterr().out
    assert main(["task", "check", "zdt1"]) == 0
    assert "agentopt run nsga2 --task zdt1" in capsys.readouterr().out


def test_runs_of_one_task_are_drawn_from_one_reference_point(tmp_path):
    few, more = many(12, 2, seed=1), many(30, 2, seed=2)
    reports = [load_run(write(tmp_path / str(i), points, OPEN)) for i, points in enumerate((few, more))]
    ends = [trace.y[-1] for trace in overlay(reports).data]
    losses = [np.array(points) * [1, -1] for points in (few, more)]
    point = estimated_reference(np.concatenate([own[:INITIAL] for own in losses]))
    assert ends == pytest.approx([hypervolume(own, point) for own in losses])


def test_the_command_prints_the_front_and_its_json(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "nsga2", "--task", "zdt1", "--trials", "30", "--runs-dir", ".", "--name", "r", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert "complete trials are on the Pareto front" in err
    assert "hypervolume.png" in err
    assert found["best"] is None
    size = found["hypervolume"]
    assert size["reference"] == {"values": [1.1, 6.0], "source": "task"}
    assert size["value"] == pytest.approx(hypervolume([one["values"] for one in found["front"]], [1.1, 6.0]))
    assert size["of_known"] == pytest.approx(size["value"] / load_task("zdt1").optimum)
    assert main(["show", "r", "--runs-dir", ".", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {key: shown[key] for key in ("front", "hypervolume")} == {
        key: found[key] for key in ("front", "hypervolume")
    }
    assert main(["show", "r", "--runs-dir", "."]) == 0
    assert "on the Pareto front; hypervolume" in capsys.readouterr().out
    assert main(["report", "r", "--runs-dir", "."]) == 0
    rows = list(csv.DictReader((tmp_path / "r" / "front.csv").open(encoding="utf-8", newline="")))
    assert [int(row["trial"]) for row in rows] == [one["trial"] for one in found["front"]]
    assert not (tmp_path / "r" / "best.csv").exists()


def test_one_objective_is_shown_as_before(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["run", "random", "--task", "sphere-2", "--trials", "3", "--runs-dir", ".", "--name", "r", "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["best"]["trial"] in range(3)
    assert not {"front", "hypervolume"} & set(found)
    assert convergence(load_run(tmp_path / "r")).name == "convergence.png"


def cup(params):
    return {"near": (params["x"] - 0.2) ** 2, "far": (params["x"] - 0.7) ** 2}


def test_minimize_returns_the_front():
    goals = [Objective("near"), Objective("far")]
    result = minimize(cup, [Float("x", 0, 1)], "nsga2", objectives=goals, trials=30)
    assert len(result.front.trials) > 1
    assert result.best == result.front.trials[0]
    assert result.front.reference.source == "estimated"
    assert result.front.hypervolume > 0
    assert all(0 < trial.params["x"] < 1 for trial in result.front.trials)


def test_minimize_takes_values_in_order_and_directions():
    goals = [Objective("far", "maximize", reference=-1), Objective("near", reference=1)]
    result = minimize(lambda p: (-p["x"], (1 - p["x"]) ** 2), [Float("x", 0, 1)], "random", objectives=goals, trials=9)
    assert result.best.values[0] == max(trial.values[0] for trial in result.trials)
    assert result.front.reference.values == (-1, 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"objectives": []}, "one or more with different names"),
        ({"objectives": [Objective("a"), Objective("a")]}, "different names are needed, not ['a', 'a']"),
        ({"objectives": [Objective("a")], "maximize": True}, "Objective(NAME, 'maximize')"),
    ],
)
def test_objectives_that_cannot_be_meant_are_refused(more, words):
    with pytest.raises(UsageError) as caught:
        minimize(cup, [Float("x", 0, 1)], "random", trials=2, **more)
    assert words in str(caught.value)


def test_asked_and_told_by_hand_there_is_a_front():
    with AskTell([Float("x", 0, 1)], "random", objectives=STATED) as search:
        for values in POINTS:
            (ask,) = search.ask()
            search.tell(ask.id, outcome(values))
        assert [trial.id for trial in search.front.trials] == FRONT
        assert search.front.hypervolume == 39
        assert search.best.id == FRONT[0]
