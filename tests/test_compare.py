"""Comparisons: every cell is run once, whatever interrupts it, and the twins of LLM methods are at hand."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from processes import eventually, running

from agentopt.build import open_run, plan
from agentopt.cli import main
from agentopt.compare.design import (
    DEFAULT_SEEDS,
    Design,
    checked,
    contender,
    controls,
    default_name,
    enough_seeds,
    parse_seeds,
    with_controls,
    with_model,
)
from agentopt.compare.plan import joined, planned
from agentopt.compare.run import by_server, planned_cells, run_comparison
from agentopt.errors import JournalError, UsageError
from agentopt.journal import read_history
from agentopt.llm.models import default_model
from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.family import Family, controls_of, family_pairs, promise
from agentopt.report.comparison.folder import load_comparison, safe_name

MODEL = "scripted:agentopt.testing.models:uniform"


def comparison(*methods, tasks=("sphere-3", "branin"), seeds=2, trials=12, **more):
    return Design(tuple(map(contender, methods)), tasks, tuple(range(seeds)), trials, **more)


BEGIN = ["compare", "random", "sobol", "cmaes", "--task", "branin", "--seeds", "2", "--trials", "12", "--no-default"]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """A comparison that the command made, and what it said; nothing writes there."""
    place, said = tmp_path_factory.mktemp("command"), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        assert main([*BEGIN, "--workers", "1", "--runs-dir", str(place), "--name", "c", "--json"]) == 0
    return place / "c", said.getvalue()


@pytest.fixture
def begun(command, tmp_path):
    """A copy of it, for those who go on."""
    return shutil.copytree(command[0], tmp_path / "c")


def contents(folder):
    """The journal of every cell."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("cells/*/*/*/journal.jsonl")}


def test_a_method_takes_options_in_brackets():
    made = contender("centaur[ratio=0.1,preset=paper]")
    assert (made.method, dict(made.options)) == ("centaur", {"ratio": 0.1, "preset": "paper"})
    assert made.label == "centaur[ratio=0.1,preset=paper]"
    assert contender("random").label == "random"


@pytest.mark.parametrize("text", ["centaur[ratio", "centaur]ratio[", "[a=1]", "tpe[multivariate]", ""])
def test_a_method_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError):
        contender(text)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (comparison("soobl"), "Did you mean 'sobol'"),
        (comparison("random", tasks=("sphere-3", "brainin")), "Did you mean 'branin'"),
        (comparison("tpe[multivarate=false]"), "multivariate"),
        (comparison("random", "random"), "twice"),
    ],
)
def test_mistakes_are_found_before_anything_runs(bad, message):
    with pytest.raises(UsageError, match=message):
        checked(bad)


def test_the_twins_of_an_llm_method_keep_its_options_and_name_it():
    twins = controls(contender("centaur[ratio=0.2]"))
    assert [twin.label for twin in twins] == [
        "centaur[ratio=0.2,sampler=incumbent]",
        "centaur[ratio=0.2,sampler=uniform]",
        "centaur[ratio=0.2,sampler=advisor]",
    ]
    assert {twin.control_of for twin in twins} == {"centaur[ratio=0.2]"}
    assert len(controls(contender("llm"))) == 2
    assert controls(contender("cmaes")) == []
    assert controls(contender("centaur[sampler=uniform]")) == []


def test_every_cell_runs_once_and_is_what_a_single_run_would_be(tmp_path):
    wanted = comparison("random", "cmaes")
    seen = []
    assert run_comparison(wanted, tmp_path / "c", workers=2, watch=seen.append) == []
    assert [p.finished for p in seen] == list(range(1, 9))
    assert all(cell.done for cell in planned_cells(wanted, tmp_path / "c"))
    with open_run(plan(wanted.settings(contender("cmaes"), "branin", 1)), tmp_path / "alone") as single:
        single.execute()
    cell = tmp_path / "c" / "cells" / "branin" / "cmaes" / "s1"

    def told(run):
        return [(t.id, dict(t.params), t.outcome) for t in read_history(run).trials]

    assert told(cell) == told(tmp_path / "alone")
    before = contents(tmp_path / "c")
    assert run_comparison(wanted, tmp_path / "c", workers=2, watch=seen.append) == []
    assert len(seen) == 8
    assert contents(tmp_path / "c") == before


def test_what_is_missing_is_finished_and_the_rest_left_alone(begun):
    whole = contents(begun)
    journals = sorted(begun.glob("cells/*/*/*/journal.jsonl"))
    journals[0].write_bytes(journals[0].read_bytes()[:2000])
    journals[1].unlink()
    assert run_comparison(planned(begun), begun, workers=1) == []
    again = contents(begun)
    rest = [str(path.relative_to(begun)) for path in journals[2:]]
    assert [again[name] for name in rest] == [whole[name] for name in rest]
    assert [len(read_history(path.parent).trials) for path in journals] == [12] * 6


def test_a_folder_takes_one_comparison(begun):
    with pytest.raises(UsageError, match="another comparison"):
        run_comparison(replace(planned(begun), trials=13), begun, workers=1)


def test_a_cell_that_fails_is_reported_and_the_others_run(tmp_path):
    wanted = comparison("random", "cmaes", tasks=("branin",), seeds=1)
    busy = planned_cells(wanted, tmp_path)[0]
    with open_run(plan(wanted.settings(busy.contender, busy.task, busy.seed)), busy.folder):
        failed = run_comparison(wanted, tmp_path, workers=1)
    assert len(failed) == 1
    assert planned_cells(wanted, tmp_path)[1].done


def test_the_name_depends_on_what_is_compared_alone():
    assert default_name(comparison("random")) == default_name(comparison("random"))
    assert default_name(comparison("random")) != default_name(comparison("random", trials=13))
    assert safe_name("my.py:evaluate/x") == "my.py_evaluate_x"


SLOW_TASK = """
import time
from agentopt import Float
space = [Float("x", 0, 1), Float("y", 0, 1)]
isolation = "inline"
def evaluate(params):
    time.sleep(0.01)
    return params["x"] + params["y"]
"""


def test_kill_and_run_again_repeats_no_finished_cell(tmp_path, capsys):
    """Its trials last for some time, so that the comparison is not done before it is killed."""
    (tmp_path / "slow.py").write_text(SLOW_TASK)
    flags = ["--task", f"{tmp_path / 'slow.py'}:evaluate", "--seeds", "6", "--trials", "20", "--name", "c", "--json"]
    arguments = ["compare", "random", "cmaes", *flags, "--workers", "2", "--runs-dir", str(tmp_path)]
    command = [sys.executable, "-m", "agentopt", *arguments]
    folder, rng = tmp_path / "c", random.Random(2)
    done: dict[str, bytes] = {}
    quiet = subprocess.DEVNULL
    for _ in range(2):
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
        deadline, count = time.monotonic() + 30, len(contents(folder))
        while process.poll() is None and len(contents(folder)) < count + 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(rng.random() / 5)
        workers = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert eventually(lambda pids=workers: not running(pids)), "the workers die with their parent"
        found = contents(folder)
        for name, text in done.items():
            assert found[name] == text
        done = {name: text for name, text in found.items() if b'"reason":"trials"' in text}
    assert 0 < len(done) < 12, "both kills came in the middle"
    assert main(arguments) == 0
    found = contents(folder)
    assert len(found) == 12
    assert all(found[name] == text for name, text in done.items())
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["methods"]) == {"random", "cmaes"}


def test_a_locked_folder_is_refused(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(JournalError, match="in use"):
        run_comparison(comparison("random", tasks=("branin",), seeds=1), tmp_path, workers=1)


def test_a_comparison_is_reported_as_files_and_a_page(begun, capsys):
    assert main(["report", str(begun)]) == 0
    assert "Paired Wilcoxon" in capsys.readouterr().out
    page = (begun / "report.html").read_text()
    assert "Tested: random against each of the others" in page
    assert "<svg" in page
    assert (begun / "report" / "methods.csv").is_file()


def test_the_seeds_are_a_number_or_named():
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("100-102") == (100, 101, 102)
    assert parse_seeds("200, 100-102,101") == (100, 101, 102, 200)
    assert parse_seeds("7-7") == (7,)


@pytest.mark.parametrize("text", ["0", "-3", "", "a", "5-3", "1-", "1,,2", "1.5", "3-4-5"])
def test_seeds_that_cannot_be_read_are_refused(text):
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


def test_a_comparison_takes_more_seeds_methods_and_tasks(begun):
    seen, before = [], contents(begun)
    more = comparison("local", tasks=("branin", "sphere-3"), seeds=3, baseline=False)
    assert run_comparison(more, begun, workers=2, watch=seen.append) == []
    assert len(seen) == 4 * 2 * 3 - 6, "what is done is not run again"
    after = contents(begun)
    assert {name: after[name] for name in before} == before
    plan = planned(begun)
    assert [method.label for method in plan.methods] == ["random", "sobol", "cmaes", "local"]
    assert (plan.tasks, plan.seeds) == (("branin", "sphere-3"), (0, 1, 2))
    found = load_comparison(begun)
    assert found.planned == sum(cell.finished for cell in found.cells) == 24
    assert "it had 3 methods and 1 task and 2 seeds" in found.notes[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trials": 13}, "--trials was 12 there, and is 13 now"),
        ({"budget": 9.0}, "--budget was not given there, and is 9.0 now"),
        ({"baseline": False}, "--no-default was true there, and is false now"),
        ({"model": {"name": "a"}}, 'the settings of the model was not given there, and is {"name": "a"} now'),
        ({"task_options": {"noise": False}}, '--task-option was not given there, and is {"noise": false} now'),
        ({"family": Family.ALL}, '--family was "first" there, and is "all" now'),
    ],
)
def test_what_cannot_change_is_named(tmp_path, changed, said):
    there = comparison("random", "sobol")
    with pytest.raises(UsageError) as caught:
        joined(there, replace(there, **changed), tmp_path)
    assert said in str(caught.value)
    assert "choose another --name" in str(caught.value)


def test_a_plan_that_was_written_before_families_tests_all_pairs_and_keeps_its_name(tmp_path):
    old = {
        "version": 1,
        "methods": [{"label": m, "method": m, "options": {}, "control_of": None} for m in ("random", "sobol", "cmaes")],
        "tasks": ["branin"],
        "seeds": [0, 1],
        "trials": 12,
        "budget": None,
        "baseline": True,
        "model": None,
    }
    (tmp_path / "comparison.json").write_text(json.dumps(old))
    plan = planned(tmp_path)
    assert plan.family is Family.ALL
    name = hashlib.sha256(json.dumps(old, sort_keys=True).encode()).hexdigest()[:8]
    assert default_name(plan) == default_name(replace(plan, family=Family.FIRST)) == f"compare-{name}"
    assert len(Analysis(load_comparison(tmp_path)).tests) == 3


def test_the_command_adds_to_a_comparison_and_leaves_the_rest_as_it_was(begun, capsys):
    where = ["--runs-dir", str(begun.parent), "--name", "c", "--workers", "1", "--json"]
    assert main(["compare", "local", *where]) == 0
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    assert list(last["methods"]) == ["random", "sobol", "cmaes", "local"]
    assert [(test["a"], test["b"]) for test in last["tests"]] == [("random", b) for b in ("sobol", "cmaes", "local")]
    assert "6 of 8 cells are done already" in err
    assert main(["compare", "local", "--trials", "13", *where]) == 2
    assert "--trials was 12 there, and is 13 now" in capsys.readouterr().err


def test_what_a_comparison_will_be_able_to_claim_is_said_before_it_starts(command):
    folder, said = command
    assert "Tested: random against each of the others (2 tests, 2 pairs of runs each)." in said
    assert "0.5 x 2 tests = 1, above 0.05: no pair can be called different. 7 seeds can." in said
    assert said.index("Tested:") < said.index("[1/6")
    document = planned(folder)
    assert promise(document.contenders, Family.FIRST, tasks=1, seeds=10).endswith(
        "The smallest p-value possible is 0.00195 x 2 tests = 0.00391: a difference can be claimed (at 0.05)."
    )


@pytest.mark.parametrize(("methods", "tasks", "seeds"), [(2, 1, 10), (5, 1, 10), (60, 1, 12), (60, 4, 10)])
def test_the_default_seeds_leave_room_for_a_claim(methods, tasks, seeds):
    made = tuple(contender(f"random[x={i}]") for i in range(methods))
    design = Design(made, tuple("abcd"[:tasks]), tuple(range(DEFAULT_SEEDS)), 5)
    assert len(enough_seeds(design).seeds) == seeds
    assert "can be claimed" in promise(design.contenders, design.family, tasks=tasks, seeds=seeds)


def test_two_models_can_be_compared_and_share_their_controls(tmp_path):
    methods = with_controls([contender(f"llm[model=scripted:{name}.jsonl]") for name in ("a", "b")])
    assert [m.label for m in methods][2:] == ["llm[sampler=incumbent]", "llm[sampler=uniform]"]
    design = checked(replace(comparison(), methods=methods, model={"name": "other", "temperature": 0.1}))
    assert [m.asks for m in design.methods] == [True, True, False, False]
    settings = design.settings(design.methods[1], "branin", 0)
    assert settings["model"] == {"name": "scripted:b.jsonl", "temperature": 0.1}
    assert "model" not in settings["options"]
    first, second, *twins = design.contenders
    assert controls_of(first, design.contenders) == controls_of(second, design.contenders) == twins
    assert family_pairs(design.contenders, Family.FIRST) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    with pytest.raises(UsageError, match=r"cmaes\[model=a\] asks no language model"):
        checked(comparison("cmaes[model=a]"))


def asked(design):
    """The model that each method of a comparison asks, None for none, by its label."""
    cells = {item.label: plan(design.settings(item, "branin", 0)) for item in design.methods}
    return {label: cell.config.model and cell.config.model.name for label, cell in cells.items()}


def test_a_method_that_may_do_without_a_model_asks_the_one_in_its_brackets_alone():
    common = {"name": MODEL, "temperature": 0.1}
    named = f"auto[model={MODEL}]"
    assert asked(checked(comparison("auto", "tpe", model=common))) == {"auto": None, "tpe": None}
    assert asked(checked(comparison(named, "auto", "tpe"))) == {named: MODEL, "auto": None, "tpe": None}
    both = checked(comparison("gp[prior=model]", "gp", model=common))
    assert asked(both) == {"gp[prior=model]": MODEL, "gp": None}
    assert [m.asks for m in both.methods] == [True, False]
    assert both.settings(both.methods[0], "branin", 0)["model"] == common
    with pytest.raises(UsageError, match="asks no language model: leave model=a out"):
        checked(comparison("auto[prior=none,model=a]"))


def test_the_twins_of_such_a_method_are_its_other_priors_and_are_tested():
    named = f"auto[initial=4,model={MODEL}]"
    assert controls(contender("auto")) == []
    twins = ["auto[initial=4]", "auto[initial=4,prior=uniform]", "auto[initial=4,prior=none]"]
    assert [twin.label for twin in controls(contender(named))] == twins
    design = checked(replace(comparison(), methods=with_controls([contender("tpe"), contender(named)])))
    assert asked(design) == {"tpe": None, named: MODEL, **dict.fromkeys(twins)}
    assert [m.label for m in controls_of(design.contenders[1], design.contenders)] == twins
    pairs = family_pairs(design.contenders, Family.FIRST)
    assert pairs == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)]


def test_the_method_as_it_stands_is_a_twin_and_is_there_once():
    methods = [contender("tpe"), contender("auto"), contender(f"auto[model={MODEL}]")]
    alone = checked(replace(comparison(), methods=tuple(methods)))
    assert [m.label for m in controls_of(alone.contenders[2], alone.contenders)] == ["auto"]
    assert (2, 1) in family_pairs(alone.contenders, Family.FIRST)
    assert [m.label for m in with_controls(methods)][3:] == ["auto[prior=uniform]", "auto[prior=none]"]


def test_the_default_model_is_written_down(monkeypatch):
    """Another one may be the default when the comparison goes on."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = []
    design = checked(comparison("llm", "random"))
    found = with_model(replace(design, model={"temperature": 0.2}), said.append)
    assert found.model == {"temperature": 0.2, "name": default_model()}
    assert said == [f"No --model was given: using {default_model()}."]
    assert default_name(design) == default_name(comparison("llm", "random")), "the folder is named by what was typed"
    for named in (comparison("llm[model=a]"), comparison("random"), comparison("llm", model={"name": "b"})):
        assert with_model(checked(named), said.append).model == named.model


def test_one_model_is_served_at_a_time_and_seeds_stay_in_order(tmp_path):
    design = checked(comparison("llm[model=smollm2-135m]", "random", "llm[model=qwen-4b]", tasks=("branin",)))
    said = []
    groups = by_server(design, planned_cells(design, tmp_path), said.append)
    assert [None if model is None else model.name for model, _ in groups] == ["smollm2-135m", "qwen-4b"]
    order = [[(cell.seed, cell.contender.method) for cell in cells] for _, cells in groups]
    assert order == [[(0, "llm"), (0, "random"), (1, "llm"), (1, "random")], [(0, "llm"), (1, "llm")]]
    assert said[0].startswith("2 models are served here, one after the other: smollm2-135m (context ")
    here = checked(comparison("llm", "random", model={"name": "m", "base_url": "http://127.0.0.1:9/v1"}))
    assert [model for model, _ in by_server(here, planned_cells(here, tmp_path))] == [None]


def test_options_of_tasks_and_models_reach_every_cell(tmp_path, capsys):
    command = ["compare", "random", "sobol", "--task", "autoresearch-surrogate", "-t", "noise=false", "--trials", "3"]
    where = ["--runs-dir", str(tmp_path), "--name"]
    assert main([*command, "--temperature", "0.3", "--seeds", "1", "--workers", "1", *where, "c"]) == 0
    plan = planned(tmp_path / "c")
    assert (plan.task_options, plan.model) == ({"noise": False}, {"temperature": 0.3})
    cell = tmp_path / "c" / "cells" / "autoresearch-surrogate" / "sobol" / "s0"
    assert read_history(cell).header["task_options"] == {"noise": False}
    capsys.readouterr()
    assert main([*command, "--train-budget", "8 virtual", *where, "d"]) == 2
    assert "train_budget" in capsys.readouterr().err


def test_labels_of_any_length_have_a_folder_of_their_own():
    long = [f"m[{'x' * 300}={i}]" for i in range(2)]
    assert all(len(safe_name(label)) == 255 for label in long)
    assert safe_name(long[0]) != safe_name(long[1])
    with pytest.raises(UsageError, match="would share the folder"):
        checked(comparison("random", tasks=("my/task", "my_task")))
