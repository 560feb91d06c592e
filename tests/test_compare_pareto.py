"""Comparisons on tasks with several objectives: hypervolumes from one reference point, and how far fronts reach."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from agentopt.cli import main
from agentopt.compare.design import Design, checked, contender
from agentopt.errors import JournalError, UsageError
from agentopt.journal import Journal
from agentopt.pareto import estimated_reference, hypervolume
from agentopt.protocols import Objective
from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.files import write_comparison
from agentopt.report.comparison.folder import load_comparison, safe_name
from agentopt.report.comparison.gather import comparison_of_reports
from agentopt.report.comparison.summary import comparison_json
from agentopt.report.comparison.tables import comparison_tables
from agentopt.report.comparison.text import render_comparison
from agentopt.report.fronts import INITIAL
from agentopt.report.load import load_run
from agentopt.space import Float, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Suggestion

SPACE = SearchSpace((Float("x", 0, 1),))
STATED = (Objective("loss", reference=10), Objective("gain", "maximize", reference=0))
OPEN = (Objective("loss"), Objective("gain", "maximize"))
GOOD = [(8, 2), (4, 6), None, (2, 3)]
"""From (10, 0): 4, 36, 36, 42."""
BAD = [(9, 1), None, (7, 3), (9, 2)]
"""From (10, 0): 1, 1, 9, 9."""


def write(run, values, objectives=STATED, **header):
    record = {"method": "random", "task": "toy", "seed": 0, "space": SPACE.to_json(), "options": {}, "workers": 1}
    record |= {"objectives": [asdict(o) for o in objectives], "budget": {"trials": len(values)}, **header}
    with Journal(run, record) as journal:
        for i, value in enumerate(values):
            journal.asked(1, [Suggestion({"x": 0.5}, Origin.RANDOM, i)], [{"x": 0.5}], t=2 * i, seconds=0.5)
            failed = Outcome(Status.FAILED, error="no")
            told = failed if value is None else Outcome(Status.COMPLETE, tuple(map(float, value)))
            journal.finished(i, told, seconds=1.0, t=2 * (i + 1))
        journal.stopped("trials", t=2 * len(values))
    return run


def compared(folder, runs, objectives=STATED, tasks=("toy",), **header):
    """Writes a comparison of methods: for each the values of its runs, the same on all tasks."""
    methods = [{"label": label, "method": label, "options": {}, "control_of": None} for label in runs]
    seeds, trials = max(map(len, runs.values())), max(len(run) for own in runs.values() for run in own)
    plan = {"version": 1, "methods": methods, "tasks": list(tasks), "seeds": list(range(seeds)), "trials": trials}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(plan))
    for task in tasks:
        for label, own in runs.items():
            for seed, values in enumerate(own):
                where = folder / "cells" / safe_name(task) / safe_name(label) / f"s{seed}"
                write(where, values, objectives, method=label, task=task, seed=seed, **header)
    return Analysis(load_comparison(folder))


def shown(analysis):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_comparison(analysis))
    return console.export_text()


def read(path):
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


@pytest.fixture
def simple(tmp_path):
    """Eight seeds of a good and a bad method; the optimum has a hypervolume of 50."""
    shifted = [[value and (value[0] + s / 10, value[1]) for value in GOOD] for s in range(8)]
    return compared(tmp_path, {"good": shifted, "bad": [BAD] * 8}, optimum=50.0)


def test_hypervolumes_are_what_is_compared(simple):
    found = simple.comparison
    assert found.by_key["good", "toy", 0].losses == pytest.approx([-4, -36, -36, -42])
    assert found.by_key["bad", "toy", 3].losses == pytest.approx([-1, -1, -9, -9])
    assert found.references.tolist() == [-50]
    assert found.scales.tolist() == [50]
    json_ = comparison_json(simple)
    assert json_["methods"]["bad"]["median_best"] == pytest.approx(9)
    assert json_["methods"]["bad"]["normalised_regret"] == pytest.approx(41 / 50)
    (test,) = json_["tests"]
    assert (test["unit"], test["claim"], test["wins"]) == ("hypervolume", "a better", 8)
    assert json_["hypervolumes"]["toy"]["reference"] == {"values": [10.0, 0.0], "source": "task"}
    assert json_["hypervolumes"]["toy"]["together"] == pytest.approx(42)
    json.dumps(json_, allow_nan=False)


def test_the_text_says_what_is_compared_and_from_where(simple):
    text = shown(simple)
    assert "On toy the hypervolume is compared, from the task's reference point (loss 10, gain 0)." in text
    assert "median best hypervolume" in text
    assert "1 no hypervolume)" in text
    assert "good is better than bad" in text
    assert "not known" not in text


def test_without_a_known_hypervolume_all_fronts_together_are_the_goal(tmp_path):
    left, right = [(1, 2), (8, 3)], [(5, 8)]
    analysis = compared(tmp_path, {"left": [left], "right": [right]})
    together = hypervolume(np.array([(1, -2), (8, -3), (5, -8)]), [10, 0])
    assert analysis.comparison.references.tolist() == pytest.approx([-together])
    assert together > -analysis.comparison.finals.min()
    assert comparison_json(analysis)["methods"]["left"]["normalised_regret"] == pytest.approx(
        1 - hypervolume(np.array([(1, -2), (8, -3)]), [10, 0]) / together
    )
    assert "regrets there count from that of the fronts of all runs together" in shown(analysis)
    assert "these runs together" in str(comparison_tables(analysis)["tasks"].rows)


def test_an_estimated_reference_is_the_same_for_all_runs_and_is_said(tmp_path):
    rng = np.random.default_rng(0)
    runs = {label: [rng.random((INITIAL + 5, 2)).tolist() for _ in range(3)] for label in ("a", "b")}
    analysis = compared(tmp_path, runs, OPEN, optimum=7.0)
    first = np.concatenate([run[:INITIAL] for own in runs.values() for run in own]) * [1, -1]
    point = estimated_reference(first)
    cell = analysis.comparison.by_key["b", "toy", 2]
    assert cell.final == pytest.approx(-hypervolume(np.array(runs["b"][2]) * [1, -1], point))
    (task,) = analysis.comparison.tasks
    assert (task.optimum, task.reference_is) == (None, "these runs together")
    said = comparison_json(analysis)["hypervolumes"]["toy"]["reference"]
    assert said["source"] == "estimated"
    assert said["values"] == pytest.approx(point * [1, -1])
    assert "from an estimated reference point (loss " in shown(analysis)


@pytest.mark.parametrize("objectives", [STATED, OPEN])
def test_a_run_without_a_front_has_no_hypervolume(tmp_path, objectives):
    analysis = compared(tmp_path, {"good": [GOOD] * 6, "dead": [[None] * 4] * 6}, objectives)
    finals = analysis.comparison.finals
    assert finals[0, 1].tolist() == [0] * 6
    assert (finals[0, 0] < 0).all()
    assert comparison_json(analysis)["methods"]["dead"]["normalised_regret"] == 1
    assert analysis.tests[0].claim == "a better"
    write_comparison(analysis, tmp_path / "report")


def test_where_nothing_completed_nothing_is_claimed(tmp_path):
    analysis = compared(tmp_path, {"a": [[None] * 3] * 6, "b": [[None] * 3] * 6}, OPEN)
    assert {test.claim for test in analysis.tests} == {"none"}
    json.dumps(comparison_json(analysis), allow_nan=False)
    shown(analysis)
    write_comparison(analysis, tmp_path / "report")


def test_tasks_of_one_and_of_several_objectives_stand_together(tmp_path):
    analysis = compared(tmp_path, {"good": [GOOD] * 5, "bad": [BAD] * 5}, tasks=("two", "more"), optimum=50.0)
    for label, best in (("good", 1.0), ("bad", 3.0)):
        for seed in range(5):
            run = tmp_path / "plain" / label / str(seed)
            write(
                run, [(9,), (best,)], (Objective("loss"),), method=label, task="plain", seed=seed, optimum=0, median=8
            )
    runs = [cell.run for cell in analysis.comparison.cells] + sorted((tmp_path / "plain").glob("*/*"))
    mixed = Analysis(comparison_of_reports([load_run(run) for run in runs]))
    units = {test.unit for test in mixed.tests}
    assert units == {"normalised regret"}
    good = next(s for s in mixed.standings if s.label == "good")
    assert good.normalised_regret == pytest.approx(np.mean([8 / 50, 8 / 50, 1 / 8]))
    assert (good.average_rank, mixed.tests[0].n) == (1, 15)
    assert "1 the median configuration or no hypervolume" in shown(mixed)
    assert mixed.comparison.by_key["good", "plain", 0].front is None


def test_attainment_is_that_of_half_of_the_runs(tmp_path):
    runs = [[(2, 6), (5, 9)], [(2, 4), (5, 7)], [(3, 5), (6, 8)]]
    analysis = compared(tmp_path, {"m": runs})
    (surface,) = analysis.surfaces
    assert surface.first.tolist() == [2, 3, 5, 6]
    assert surface.second[1].tolist() == [-4, -5, -7, -8]
    assert surface.second[2].tolist() == [np.inf, -4, -5, -7]
    rows = comparison_tables(analysis)["attainment"].rows
    assert ("toy", "m", 0.5, 2.0, 4.0) in rows
    assert ("toy", "m", 0.75, 2.0, np.inf) not in rows
    assert all(np.isfinite(row[-1]) for row in rows)


def test_the_files_have_the_figures_and_tables_of_fronts(simple, tmp_path):
    names = {path.name for path in write_comparison(simple, tmp_path / "report")}
    assert {"hypervolumes.png", "attainment.svg", "fronts.csv", "attainment.csv"} <= names
    fronts = read(tmp_path / "report" / "fronts.csv")
    mine = [row for row in fronts if (row["method"], row["seed"]) == ("good", "0")]
    assert [(row["objective"], float(row["value"])) for row in mine] == [
        *(("loss", 2), ("gain", 3)),
        *(("loss", 4), ("gain", 6)),
    ]
    (task,) = read(tmp_path / "report" / "tasks.csv")
    assert (task["reference"], task["reference_is"], task["reference_point"]) == ("50.0", "optimum", "10 0")
    assert (task["reference_point_is"], task["median_configuration"]) == ("task", "")


def test_three_objectives_have_hypervolumes_and_no_surfaces(tmp_path):
    objectives = [Objective(name, reference=1) for name in "abc"]
    rng = np.random.default_rng(1)
    runs = {label: [rng.random((6, 3)).tolist() for _ in range(3)] for label in ("a", "b")}
    analysis = compared(tmp_path, runs, objectives)
    assert analysis.surfaces == []
    names = {path.name for path in write_comparison(analysis, tmp_path / "report")}
    assert "hypervolumes.png" in names
    assert "attainment.png" not in names


def test_a_method_for_one_objective_is_refused_before_anything_runs():
    methods = (contender("random"), contender("cmaes"))
    design = Design(methods, ("sphere-2", "zdt1"), (0,), 5)
    with pytest.raises(UsageError, match="cmaes takes one objective, and zdt1 has 2"):
        checked(design)


def test_the_command_compares_hypervolumes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["compare", "random", "sobol", "--task", "zdt2", "--trials", "12", "--seeds", "2", "--workers", "1"]
    assert main([*command, "--runs-dir", ".", "--name", "c", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hypervolumes"]["zdt2"]["reference"] == {"values": [1.1, 7.0], "source": "task"}
    best = [method["median_best"] for method in found["methods"].values()]
    assert all(0 < value < 7.7 - 2 / 3 for value in best)
    assert main(["report", "c", "--runs-dir", "."]) == 0
    page = (tmp_path / "c" / "report.html").read_text(encoding="utf-8")
    assert "Attainment surfaces" in page
    assert "Hypervolume over trials" in page


def test_before_the_first_trial_there_is_no_hypervolume(tmp_path):
    analysis = compared(tmp_path, {"good": [GOOD] * 2, "none": [[]] * 2})
    good, none = (analysis.comparison.by_key[label, "toy", 0] for label in ("good", "none"))
    assert good.at(np.array([1.0, 2.0]), "total").tolist() == pytest.approx([0, -4])
    assert (none.finished, none.final) == (True, 0)


def test_a_comparison_whose_task_was_changed_half_way_is_refused(tmp_path):
    compared(tmp_path, {"a": [GOOD], "b": [BAD]})
    shutil.rmtree(tmp_path / "cells" / "toy" / "b")
    where = tmp_path / "cells" / "toy" / "b" / "s0"
    write(where, [(1,), (2,)], (Objective("loss"),), method="b")
    with pytest.raises(JournalError, match="some minimize loss and maximize gain, others minimize loss"):
        load_comparison(tmp_path)
