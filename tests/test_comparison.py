"""What is read from a comparison's folder, and what its tables, figures and JSON say."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from agentopt.cli import main
from agentopt.errors import JournalError
from agentopt.journal import Journal
from agentopt.ledger import Exchange, Ledger
from agentopt.protocols import Objective
from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.figures import critical_difference_figure
from agentopt.report.comparison.files import write_comparison
from agentopt.report.comparison.folder import load_comparison, safe_name
from agentopt.report.comparison.gather import comparison_of_reports
from agentopt.report.comparison.summary import comparison_json
from agentopt.report.comparison.text import render_comparison
from agentopt.report.load import load_run
from agentopt.report.terminal import write
from agentopt.space import Float, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Suggestion

SPACE = SearchSpace((Float("x", 0, 1),))
OOM = Outcome(Status.OOM, error="out of memory")
FAILED = Outcome(Status.FAILED, error="ValueError: no")


def outcome(value):
    return value if isinstance(value, Outcome) else Outcome(Status.COMPLETE, (float(value),))


def write_run(run, values, *, stopped="trials", exchanges=0, origins=(), direction="minimize", **header):
    """Writes a run folder: numbers are values, outcomes are themselves; each trial takes 2 s, half of it evaluating."""
    record = {
        "method": "random",
        "task": "toy",
        "seed": 0,
        "space": SPACE.to_json(),
        "objectives": [asdict(Objective("score", direction))],
        "options": {},
        "budget": {"trials": len(values), "seconds": None},
        "workers": 1,
        "model": None,
        "optimum": None,
        "median": None,
        **header,
    }
    with Journal(run, record) as journal:
        for i, value in enumerate(values):
            origin = origins[i] if i < len(origins) else Origin.RANDOM
            journal.asked(1, [Suggestion({"x": 0.5}, origin, i)], [{"x": 0.5}], t=2 * i, seconds=0.5)
            journal.finished(i, outcome(value), seconds=1.0, t=2 * (i + 1))
        if stopped:
            journal.stopped(stopped, t=2 * len(values))
    if exchanges:
        ledger = Ledger(run)
        for i in range(exchanges):
            ledger.append(Exchange(i, "ok", "p", "r", "m", prompt_tokens=10, completion_tokens=4, seconds=0.25))
        ledger.close()
    return run


def write_plan(folder, labels, tasks=("toy",), seeds=8, trials=4, **more):
    """Writes the comparison's file; a label may be a pair of a label and what it controls."""
    pairs = [label if isinstance(label, tuple) else (label, None) for label in labels]
    methods = [
        {"label": label, "method": label.partition("[")[0], "options": {}, "control_of": of} for label, of in pairs
    ]
    plan = {"version": 1, "methods": methods, "tasks": list(tasks), "seeds": list(range(seeds)), "trials": trials}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps({**plan, "budget": None, "baseline": True, **more}))


def place(folder, label, seed, task="toy"):
    return folder / "cells" / safe_name(task) / safe_name(label) / f"s{seed}"


def shown(comparison, *, styles=False):
    console = Console(width=200, record=True, file=io.StringIO(), force_terminal=styles)
    console.print(render_comparison(Analysis(comparison)))
    return console.export_text(styles=styles)


@pytest.fixture
def simple(tmp_path):
    """Two methods on one task with a known optimum; `good` ends at 1 + seed / 10, `bad` at 3 + seed / 10."""
    write_plan(tmp_path, ["good", "bad"])
    for label, end in (("good", 1), ("bad", 3)):
        for seed in range(8):
            values = [9, FAILED, end + seed / 10, OOM]
            write_run(place(tmp_path, label, seed), values, method=label, seed=seed, optimum=1.0, median=5.0)
    return tmp_path


def test_the_cells_are_read(simple):
    found = load_comparison(simple)
    assert (found.labels, found.seeds, found.trials, found.planned) == (("good", "bad"), tuple(range(8)), 4, 16)
    cell = found.by_key["good", "toy", 2]
    assert cell.losses == (9, 9, 1.2, 1.2)
    assert cell.evaluated == (1, 2, 3, 4)
    assert cell.elapsed == (2, 4, 6, 8)
    assert (cell.finished, cell.final, cell.counts["oom"], cell.counts["failed"]) == (True, 1.2, 1, 1)
    assert (cell.seconds.total, cell.seconds.evaluate) == (8, 4)
    assert found.finals.shape == (1, 2, 8)
    assert found.references.tolist() == [1]
    assert found.scales.tolist() == [4]


def test_the_json_has_what_it_promises(simple):
    found = comparison_json(Analysis(load_comparison(simple)))
    json.dumps(found, allow_nan=False)
    assert set(found) == {"run", "family", "methods", "tests"}
    assert found["run"] == str(simple)
    good = found["methods"]["good"]
    assert good["median_best"] == pytest.approx(1.35)
    assert good["normalised_regret"] == pytest.approx(0.35 / 4)
    assert (good["average_rank"], good["failed_share"]) == (1.0, 0.5)
    assert good["seconds"] == {"total": 64, "llm": 0, "evaluate": 32, "overhead": 32}
    assert good["tokens"] == {"prompt": 0, "completion": 0}
    (test,) = found["tests"]
    assert (test["a"], test["b"], test["n"], test["claim"], test["possible"]) == ("good", "bad", 8, "a better", True)
    assert test["median_difference"] == pytest.approx(-2)
    assert test["p"] == test["p_holm"] == pytest.approx(2 / 256)
    assert (test["effect"], test["a12"]) == (1, 1)
    assert test["tasks"]["toy"]["claim"] == "a better"


def test_the_text_has_the_tables(simple):
    text = shown(load_comparison(simple))
    for words in (
        "2 methods on 1 task with 8 seeds, 4 trials each: 16 of 16 runs finished",
        "median best score",
        "Cost of all runs",
        "Regret on toy after shares of the trials",
        "median at 25%",
        "good is better than bad (p 0.0078, effect 1.00).",
    ):
        assert words in text
    assert "not known" not in text
    assert "not finished" not in text


def test_several_tasks_have_no_median_best(tmp_path):
    write_plan(tmp_path, ["a", "b", "c"], tasks=("toy", "dir/other"), seeds=5)
    for label in "abc":
        for seed in range(5):
            write_run(place(tmp_path, label, seed), [9, ord(label) + seed], method=label, seed=seed, optimum=0.0)
            run = place(tmp_path, label, seed, "dir/other")
            values = [-9, -ord(label) - seed]
            write_run(run, values, method=label, seed=seed, task="dir/other", direction="maximize")
    found = load_comparison(tmp_path)
    assert found.finals[1, :, 0].tolist() == [9, 9, 9]
    document = comparison_json(Analysis(found))
    assert "median_best" not in document["methods"]["a"]
    assert document["methods"]["a"]["normalised_regret"] is None
    assert document["tests"][0]["n"] == 10
    text = shown(found)
    assert "The optimum of dir/other is not known" in text
    assert "interquartile ranges" in text
    assert "Wins, ties and losses" in text
    assert "a and b ended every run with the same loss." in text


def test_unfinished_and_missing_runs_are_left_out_and_said_to_be(tmp_path):
    write_plan(tmp_path, ["a", "b"], seeds=4)
    for seed, stopped in enumerate(["trials", "interrupted", "error"]):
        write_run(place(tmp_path, "a", seed), [3, 2], method="a", seed=seed, stopped=stopped)
    for seed in range(3):
        write_run(place(tmp_path, "b", seed), [3, 2.5], method="b", seed=seed)
    place(tmp_path, "b", 3).mkdir(parents=True)
    (place(tmp_path, "b", 3) / "journal.jsonl").write_bytes(b'{"crc":"12')
    found = load_comparison(tmp_path)
    assert np.isnan(found.finals[0]).tolist() == [[False, True, True, True], [False, False, False, True]]
    (test,) = comparison_json(Analysis(found))["tests"]
    assert (test["n"], test["claim"], test["possible"]) == (1, "none", False)
    text = shown(found)
    assert "a: 1 interrupted, a: 1 stopped, a: 1 not begun, b: 1 not begun" in text
    assert "may flatter" in text
    assert "At least 6 seeds are needed" in text


def test_a_comparison_in_which_nothing_is_finished_can_be_shown(tmp_path):
    write_plan(tmp_path, ["a", "b"], seeds=2)
    found = load_comparison(tmp_path)
    assert comparison_json(Analysis(found))["methods"]["a"]["average_rank"] is None
    assert "0 of 4 runs finished" in shown(found)
    write_run(place(tmp_path, "a", 0), [], method="a", stopped="")
    paths = write_comparison(Analysis(load_comparison(tmp_path)), tmp_path / "out")
    assert not [path for path in paths if path.suffix == ".png"]


def test_three_seeds_are_said_to_be_too_few(tmp_path):
    write_plan(tmp_path, ["a", "b"], seeds=3)
    for label in "ab":
        for seed in range(3):
            write_run(place(tmp_path, label, seed), [ord(label) + seed / 10], method=label, seed=seed)
    text = shown(load_comparison(tmp_path))
    assert "No claim is possible: with 3 pairs of runs the smallest p-value that there can be is 0.25" in text
    assert "none possible" in text


def test_runs_without_a_complete_trial_rank_last(tmp_path):
    write_plan(tmp_path, ["a", "b"], seeds=6)
    for seed in range(6):
        write_run(place(tmp_path, "a", seed), [OOM, OOM], method="a", seed=seed, optimum=0.0, median=1.0)
        write_run(place(tmp_path, "b", seed), [1, 2], method="b", seed=seed, optimum=0.0, median=1.0)
    document = comparison_json(Analysis(load_comparison(tmp_path)))
    json.dumps(document, allow_nan=False)
    a = document["methods"]["a"]
    assert (a["median_best"], a["normalised_regret"], a["average_rank"], a["failed_share"]) == (None, None, 2, 1)
    (test,) = document["tests"]
    assert (test["claim"], test["median_difference"]) == ("b better", None)
    assert "100 %" in shown(load_comparison(tmp_path))
    write_comparison(Analysis(load_comparison(tmp_path)), tmp_path / "out")


MODEL = {"name": "tiny"}
RED = "\x1b[1;31m"


def llm_study(folder, labels, ends):
    write_plan(folder, labels)
    for label, end in ends.items():
        for seed in range(8):
            asks = {"model": MODEL, "exchanges": 2} if label == "centaur" else {}
            origins = [Origin.BASELINE, Origin.LLM, Origin.FALLBACK, Origin.LLM] if asks else []
            values = [9, 8, 7, end + seed / 10]
            write_run(place(folder, label, seed), values, method=label, seed=seed, origins=origins, **asks)
    return load_comparison(folder)


def test_an_llm_method_without_its_control_is_flagged_in_red(tmp_path):
    found = llm_study(tmp_path, ["centaur", "cmaes"], {"centaur": 1, "cmaes": 3})
    text = shown(found, styles=True)
    assert f"{RED}centaur asks a language model and its model-free control is not in this comparison" in text
    assert f"{RED}centaur is better than cmaes" in text
    assert "Without its control this is no effect of the model." in shown(found)
    document = comparison_json(Analysis(found))
    assert document["tests"][0]["uncontrolled"] == ["centaur"]
    assert document["methods"]["centaur"]["tokens"] == {"prompt": 160, "completion": 64}
    assert document["methods"]["centaur"]["seconds"]["llm"] == 4
    assert "50 %" in shown(found)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ({"centaur": 1, "centaur[sampler=uniform]": 3}, "is better than each of its controls"),
        ({"centaur": 3, "centaur[sampler=uniform]": 1}, "is worse than centaur[sampler=uniform]: an effect of the"),
        ({"centaur": 1, "centaur[sampler=uniform]": 1}, "is not significantly different from centaur[sampler=uniform]"),
    ],
)
def test_an_llm_method_is_judged_against_its_control(tmp_path, ends, words):
    found = llm_study(tmp_path, ["centaur", ("centaur[sampler=uniform]", "centaur")], ends)
    text = shown(found)
    assert words in text
    assert "--controls" not in text
    assert comparison_json(Analysis(found))["tests"][0]["uncontrolled"] == []


def test_the_files_of_a_comparison(simple):
    found = load_comparison(simple)
    paths = write_comparison(Analysis(found), simple / "out")
    names = {path.name for path in paths}
    figures = {"anytime-trials", "anytime-evaluate", "anytime-total", "targets-trials", "ranks", "critical-difference"}
    assert {f"{name}.{kind}" for name in figures for kind in ("png", "svg")} <= names
    tables = {"methods", "cells", "checkpoints", "tests", "tests-by-task", "wins", "anytime-trials", "ranks"}
    assert {f"{name}.csv" for name in tables} <= names
    assert all(path.stat().st_size for path in paths)
    assert (simple / "out" / "ranks.png").read_bytes().startswith(b"\x89PNG")
    with (simple / "out" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert (rows[0]["method"], rows[0]["best"], rows[0]["failed"], rows[0]["oom"]) == ("good", "1.0", "2", "1")
    assert json.loads((simple / "out" / "summary.json").read_text()) == comparison_json(Analysis(found))


def test_a_folder_that_is_no_comparison_is_refused(tmp_path):
    with pytest.raises(JournalError, match="is not a comparison"):
        load_comparison(tmp_path)
    write_plan(tmp_path, ["a"], version=7)
    with pytest.raises(JournalError, match="another version"):
        load_comparison(tmp_path)


def test_plain_runs_make_a_comparison(tmp_path):
    runs = []
    for seed in range(3):
        for ratio in (0.1, 0.5):
            options = {"ratio": ratio, "sampler": "llm"}
            values = [5, ratio]
            run = tmp_path / f"c{ratio}-{seed}"
            runs.append(write_run(run, values, method="centaur", options=options, seed=seed, model=MODEL))
        options = {"ratio": 0.1, "sampler": "uniform"}
        runs.append(write_run(tmp_path / f"u{seed}", [5, 3], method="centaur", options=options, seed=seed))
        runs.append(write_run(tmp_path / f"r{seed}", [5, 4], seed=seed, task_options={"k": 2}))
    found = comparison_of_reports([load_run(run) for run in runs])
    assert found.labels == (
        "centaur[ratio=0.1,sampler=llm]",
        "centaur[ratio=0.5,sampler=llm]",
        "centaur[ratio=0.1,sampler=uniform]",
        "random",
    )
    assert [task.name for task in found.tasks] == ["toy", "toy[k=2]"]
    assert found.seeds == (0, 1, 2)
    assert found.notes == ()
    assert [[m.label for m in found.controls(method)] for method in found.methods[:2]] == [[found.labels[2]], []]
    assert "ratio=0.1,sampler=llm] is not significantly different from centaur[ratio=0.1,sampler=uniform]" in shown(
        found
    )
    assert "3 of 6 tested pairs of methods have no task and seed in common" in shown(found)


def test_what_plain_runs_do_not_have_in_common_is_said(tmp_path):
    runs = [
        write_run(tmp_path / "a", [5, 3, 2]),
        write_run(tmp_path / "b", [5, 3], stopped="interrupted"),
        write_run(tmp_path / "c", [1], method="tpe", origins=[Origin.BASELINE]),
    ]
    found = comparison_of_reports([load_run(run) for run in runs])
    assert found.trials == 3
    assert found.by_key["random", "toy", 0].run == tmp_path / "a"
    assert found.by_key["tpe", "toy", 0].at(np.array([1.0, 3.0]), "trials").tolist() == [1, 1]
    text = shown(found)
    assert "did not have the same budget on toy" in text
    assert "began with the task's default" in text
    assert "1 runs repeat" in text
    with pytest.raises(JournalError, match="no runs"):
        comparison_of_reports([])


def test_a_run_that_found_nothing_yet_has_no_best(tmp_path):
    write_plan(tmp_path, ["a"], seeds=1, trials=None, budget=5.0)
    write_run(place(tmp_path, "a", 0), [], method="a", stopped="seconds")
    found = load_comparison(tmp_path)
    assert found.trials == 1
    assert found.finals.tolist() == [[[math.inf]]]
    assert "1 of 1 runs finished" in shown(found)


def test_regrets_count_from_the_best_known_value_where_the_optimum_is_not_known(tmp_path):
    write_plan(tmp_path, ["good", "bad"])
    for label, end in (("good", 0.5), ("bad", 3)):
        for seed in range(8):
            run = place(tmp_path, label, seed)
            write_run(run, [9, end], method=label, seed=seed, best_known=1.0, median=5.0)
    found = Analysis(load_comparison(tmp_path))
    assert found.comparison.tasks[0].normalised
    assert comparison_json(found)["methods"]["good"]["normalised_regret"] == pytest.approx(-0.5 / 4)
    assert comparison_json(found)["methods"]["bad"]["normalised_regret"] == pytest.approx(2 / 4)
    text = " ".join(shown(found.comparison).split())
    assert "regrets there count from the best known value, which a search found; a run that does better has a" in text
    assert "stated optimum" not in text
    paths = {path.name: path for path in write_comparison(found, tmp_path / "out")}
    (row,) = csv.DictReader(paths["tasks.csv"].open())
    assert (row["reference"], row["reference_is"], row["median_configuration"]) == ("1.0", "best known", "5.0")


def test_values_of_any_size_are_compared(tmp_path):
    write_plan(tmp_path, ["good", "bad"])
    for label, end in (("good", -1.7e308), ("bad", 1e308)):
        for seed in range(8):
            write_run(place(tmp_path, label, seed), [9, 1.7e308, end], method=label, seed=seed)
    found = Analysis(load_comparison(tmp_path))
    (test,) = found.tests
    assert (test.wins, test.claim) == (8, "a better")
    assert "Some runs ended at values beyond 1e+150" in shown(found.comparison)
    assert write_comparison(found, tmp_path / "out")


def test_each_part_of_an_analysis_is_computed_once(simple):
    found = Analysis(load_comparison(simple))
    for part in (
        "tests",
        "task_tests",
        "ranking",
        "standings",
        "caveats",
        "checkpoints",
        "anytime",
        "ranks",
        "targets",
    ):
        assert getattr(found, part) is getattr(found, part)


def test_runs_of_several_methods_are_compared_where_they_are_reported(tmp_path, capsys):
    for label, end in (("good", 1), ("bad", 3)):
        for seed in range(6):
            write_run(tmp_path / f"{label}{seed}", [9, end + seed / 10], method=label, seed=seed)
    assert main(["report", str(tmp_path)]) == 0
    assert "good is better than bad (p 0.031" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Paired tests" in page
    assert (tmp_path / "runs.csv").read_text().count("good") == 12
    assert main(["report", *(str(tmp_path / f"good{seed}") for seed in range(2))]) == 0
    assert "Paired" not in capsys.readouterr().out


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_few_seeds_are_reported_with_what_it_would_take(tmp_path, seeds):
    write_plan(tmp_path, ["a", "b", "c"], seeds=seeds, family="first")
    for label in "abc":
        for seed in range(seeds):
            write_run(place(tmp_path, label, seed), [ord(label) + seed / 10], method=label, seed=seed)
    found = Analysis(load_comparison(tmp_path))
    text = shown(found.comparison)
    runs = "1 pair" if seeds == 1 else f"{seeds} pairs"
    least = min(1.0, 2 * 2.0 ** (1 - seeds))
    assert f"with {runs} of runs the smallest p-value that there can be, corrected for 2 tests, is {least:.3g}" in text
    assert "At least 7 seeds are needed." in text
    assert "Tested: a against each of the others (Holm's correction for 2 tests)." in text
    document = comparison_json(found)
    json.dumps(document, allow_nan=False)
    assert document["family"] == "first"
    assert [(t["a"], t["b"], t["possible"]) for t in document["tests"]] == [("a", "b", False), ("a", "c", False)]


def test_runs_that_are_missing_are_asked_for_and_not_seeds(tmp_path):
    """With many tasks one seed is enough, but only one pair of runs is finished."""
    tasks = [f"t{i}" for i in range(8)]
    write_plan(tmp_path, ["a", "b"], tasks=tasks, seeds=1)
    for label in "ab":
        write_run(place(tmp_path, label, 0, "t0"), [ord(label)], method=label, task="t0")
    text = shown(load_comparison(tmp_path))
    assert "with 1 pair of runs the smallest p-value that there can be is 1, above 0.05. 6 are needed;" in text
    assert "there are 8 once every run is finished." in text
    assert "seeds are needed" not in text


def test_a_method_that_failed_everywhere_is_told_from_one_that_did_not_run(tmp_path):
    write_plan(tmp_path, ["a", "dead", "absent"], seeds=7, family="first")
    for seed in range(7):
        write_run(place(tmp_path, "a", seed), [1, 2], method="a", seed=seed)
        write_run(place(tmp_path, "dead", seed), [FAILED, OOM], method="dead", seed=seed)
    found = Analysis(load_comparison(tmp_path))
    text = shown(found.comparison)
    assert "dead: no trial of any run completed; it ranks last." in text
    assert "1 of 2 tested pairs of methods have no task and seed in common that both finished." in text
    json.dumps(comparison_json(found), allow_nan=False)
    write_comparison(found, tmp_path / "out")


def test_long_names_are_whole_in_the_diagram_of_ranks(tmp_path):
    labels = ["random", f"centaur[{'x' * 40}=1]", f"hollm[{'y' * 60}=2]", "dead"]
    write_plan(tmp_path, labels, seeds=3)
    for i, label in enumerate(labels):
        for seed in range(3):
            write_run(place(tmp_path, label, seed), [OOM if label == "dead" else i], method=label[:5], seed=seed)
    figure = critical_difference_figure(Analysis(load_comparison(tmp_path)).ranking)
    figure.canvas.draw()
    axes = figure.axes[0]
    for text in (*axes.texts, axes.title):
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()


NARROW = 80
LONG = ["random", "centaur[ratio=0.25,preset=paper,warmup=20,screen=none]", "hollm[partition=none,cells=12,capacity=4]"]


@pytest.mark.parametrize("tasks", [("toy",), ("autoresearch-surrogate", "hpobench-australian", "b", "c", "d")])
def test_tables_fit_a_narrow_terminal_with_names_whole(tmp_path, tasks):
    write_plan(tmp_path, LONG, tasks=tasks, seeds=7, family="first", trials=3)
    for i, label in enumerate(LONG):
        for seed in range(7):
            for task in tasks:
                run = place(tmp_path, label, seed, task)
                write_run(
                    run, [9, 8, i + 1 + seed / 10], method=label[:5], task=task, seed=seed, optimum=0.0, median=5.0
                )
    stream = io.StringIO()
    console = Console(width=NARROW, file=stream, force_terminal=True, color_system=None, highlight=False)
    write(console, render_comparison(Analysis(load_comparison(tmp_path))))
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert max(map(len, lines)) <= NARROW
    for label in LONG:
        assert sum(line.startswith(f"{label} ") for line in lines) >= 3, "in every table of methods"
    (head,) = (line.split() for line in lines if line.startswith("against"))
    assert (head[0], head[-1]) == ("against", "claim")
    first = next(line for line in lines[lines.index(LONG[0]) :] if line.startswith(LONG[1]))
    assert first.endswith(" better")
    assert any(line.startswith("(no room for pairs, ") for line in lines)
    assert any(line.startswith("2 centaur[") and line.split()[-1] == "7/0/0" for line in lines) == (len(tasks) == 1)


def test_every_column_is_there_where_there_is_no_terminal(simple):
    stream = io.StringIO()
    write(Console(width=160, file=stream, highlight=False), render_comparison(Analysis(load_comparison(simple))))
    assert "no room" not in stream.getvalue()
    (head,) = (line for line in stream.getvalue().splitlines() if line.startswith("against"))
    assert all(name in head for name in ("pairs", "ties", "median difference", "effect", "A12", "p (Holm)", "claim"))
