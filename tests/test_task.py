"""Tasks by name: every way to state one, and for every wrong one an error that names the place and the fix."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest

import agentopt.task
from agentopt.cli import main
from agentopt.errors import UsageError
from agentopt.protocols import Objective
from agentopt.space import AtLeast, Float, Int, SearchSpace
from agentopt.task import FunctionTask, as_objectives, load_task, task_folders, task_names
from agentopt.trial import Status

GOOD = """
'''A parabola.'''
from agentopt.space import Float, Int

space = [Float("x", -1, 1, default=0), Int("n", 1, 9)]

def evaluate(params, seed):
    return (params["x"] - 0.5) ** 2 + seed

def other(params):
    return params["x"]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory; modules that a test imports from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _refused(name, **options):
    with pytest.raises(UsageError) as caught:
        load_task(name, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["my.py", "my.py:evaluate", "my:evaluate", "{here}/my.py:evaluate"])
def test_a_file_or_module_with_a_space_and_a_function_is_a_task(here, name):
    (here / "my.py").write_text(GOOD)
    task = load_task(name.format(here=here))
    assert task.space.names == ("x", "n")
    assert task.evaluate({"x": 0.5, "n": 1}, seed=3).values == (3.0,)
    assert task.objectives == (Objective("value"),)
    assert task.describe() == "A parabola."
    assert task.isolation == "process"
    assert task.timeout == agentopt.task.DEFAULT_TIMEOUT
    assert load_task("my.py:other").evaluate({"x": 0.25, "n": 1}, seed=3).values == (0.25,)


def test_a_module_states_more_where_it_wants_to(here):
    (here / "my.py").write_text(
        GOOD
        + "from agentopt.protocols import Objective\n"
        + "objectives = [Objective('accuracy', 'maximize'), 'seconds']\ndescription = 'In words.'\ntimeout = 5\n"
        + "isolation = 'inline'\ndef repair(params):\n    return {**params, 'x': 2 * params['x']}\n"
        + "def both(params):\n    return {'seconds': 1, 'accuracy': params['x']}\n"
    )
    task = load_task("my.py:both")
    assert [objective.name for objective in task.objectives] == ["accuracy", "seconds"]
    assert task.evaluate({"x": 0.5, "n": 1}).values == (0.5, 1.0)
    assert (task.describe(), task.timeout, task.isolation) == ("In words.", 5, "inline")
    assert task.repair({"x": 0.75, "n": 1}) == {"x": 1.0, "n": 1}, "what a task repairs is kept inside the space"


def test_a_folder_is_a_task_and_the_users_own_wins(here):
    folder = here / "tasks" / "sphere"
    folder.mkdir(parents=True)
    (folder / "helper.py").write_text("HALF = 0.5\n")
    (folder / "task.py").write_text(GOOD.replace("0.5)", "HALF)") + "from helper import HALF\n")
    assert load_task("sphere").space.names == ("x", "n")
    assert task_folders()["sphere"] == folder
    assert load_task(str(folder)).evaluate({"x": 0.5, "n": 1}).values == (0.0,)
    assert "hartmann6" in task_names()


BAD_FILES = {
    "low": ("space = [Float('x', 2, 1)]", "Float 'x': low (2) must be below high (1)"),
    "field": ("space = [Float('x', 0, 'high')]", "Float: high: it must be a number"),
    "typo": ("space = [Float('x', 0, 1, defualt=0)]", "defualt"),
    "twice": (
        "space = [Float('x', 0, 1), Int('x', 0, 1)]",
        "space: SearchSpace: the space has two parameters named 'x'",
    ),
    "empty": ("space = []", "space: SearchSpace: the space has no parameter"),
    "item": ("space = ['x']", "space: SearchSpace: parameters.0: "),
    "number": ("space = 3", "space: TypeError"),
    "none": ("", "holds no `space`: add one"),
    "objectives": ("space = [Float('x', 0, 1)]\nobjectives = [3]", "objectives: 3 is neither an Objective nor a name"),
    "names": ("space = [Float('x', 0, 1)]\nobjectives = ['a', 'a']", "objectives: one or more with different names"),
    "direction": (
        "from agentopt import Objective\nspace = [Float('x', 0, 1)]\nobjectives = [Objective('a', 'max')]",
        "Objective 'a': direction: it must be 'minimize' or 'maximize' (given 'max')",
    ),
    "no list": ("space = [Float('x', 0, 1)]\nobjectives = 3", "objectives: it must be a list of Objectives or names"),
    "timeout": ("space = [Float('x', 0, 1)]\ntimeout = '10'", "timeout: it must be seconds above 0, or None"),
    "negative": ("space = [Float('x', 0, 1)]\ntimeout = -1", "timeout: it must be seconds above 0, or None"),
    "isolation": ("space = [Float('x', 0, 1)]\nisolation = 'proces'", "isolation: it must be 'inline' or 'process'"),
    "repair": ("space = [Float('x', 0, 1)]\nrepair = 5", "repair: it must be a function of the parameters"),
    "syntax": ("space = [", "SyntaxError"),
    "import": ("import no_such_module_here", "No module named 'no_such_module_here'"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_its_path_and_the_field(here, case):
    text, said = BAD_FILES[case]
    (here / "my.py").write_text(f"from agentopt.space import Float, Int\n{text}\ndef evaluate(params): return 0\n")
    for name in ("my.py", "my.py:evaluate"):
        message = _refused(name)
        assert str(here / "my.py") in message
        assert said in message
        assert "\n" not in message.strip() or case == "syntax"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("None", "TypeError"),
        ("{'y': 1}", "Unknown parameter 'y'"),
        ("{'x': 'a'}", "x: "),
    ],
)
def test_a_repair_that_cannot_be_used_is_named(here, body, said):
    text = f"space = [Float('x', 0, 1)]\nrepair = lambda params: {body}\n"
    (here / "my.py").write_text(f"from agentopt.space import Float\n{text}def evaluate(params): return 0\n")
    with pytest.raises(UsageError, match=f"The repair of my.py:evaluate cannot be used .*{said}"):
        load_task("my.py").repair({"x": 0.5})


def test_a_file_that_was_mended_loads(here):
    (here / "my.py").write_text("space = [")
    assert "SyntaxError" in _refused("my.py")
    (here / "my.py").write_text(GOOD)
    assert load_task("my.py").space.names == ("x", "n")


def test_names_that_are_not_there_suggest_the_nearest(here):
    (here / "my.py").write_text(GOOD)
    assert "Did you mean 'evaluate'? Known: evaluate, other." in _refused("my.py:evalute")
    assert "There is no file your.py" in _refused("your.py:evaluate")
    assert "Cannot import nothing_here" in _refused("nothing_here:evaluate")
    assert "Did you mean 'hartmann6'?" in _refused("hartman6")
    assert "Did you mean 'sphere-14'?" in _refused("spher-14")
    assert "Unknown option of task my.py:evaluate: 'speed'" in _refused("my.py:evaluate", speed=1)
    assert "Unknown option of task branin: 'speed'" in _refused("branin", speed=1)


@pytest.mark.parametrize("name", ["sphere-x", "sphere-0", "sphere--1", "rastrigin-2.5", "rosenbrock-1", "sphere-²"])
def test_a_dimension_that_cannot_be_names_one_that_can(name):
    message = _refused(name)
    assert f"Task {name}: give the dimension" in message
    assert "as in" in message


@pytest.mark.parametrize("name", ["hartmann6-7", "branin-x", "svm-breast-cancer-2"])
def test_a_variant_of_a_task_that_has_none_is_unknown(name):
    assert f"Unknown task {name!r}. Did you mean {name.rpartition('-')[0]!r}?" in _refused(name)


@pytest.mark.parametrize("name", ["svm-breast-cancer", "mlp-digits"])
def test_without_scikit_learn_the_fix_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "pip install 'agentopt[tasks]'" in _refused(name)


def test_an_installed_package_offers_tasks_under_the_entry_point(monkeypatch):
    def make(size=2):
        return FunctionTask("theirs", SearchSpace((Float("x", 0, size),)), lambda params: params["x"])

    entry = SimpleNamespace(name="theirs", load=lambda: make)
    monkeypatch.setattr(agentopt.task, "entry_points", lambda group: [entry] if group == "agentopt.tasks" else [])
    assert load_task("theirs", size=5).space["x"].high == 5
    assert "theirs" in task_names()
    assert "Did you mean 'size'" in _refused("theirs", sise=5)
    assert "Float 'x': low (0) must be below high (-1)" in _refused("theirs", size=-1)


def test_objectives_may_be_one_name_or_left_out():
    assert as_objectives(None, "here") == (Objective(),)
    assert as_objectives("loss", "here") == (Objective("loss"),)
    assert as_objectives(Objective("a", "maximize"), "here")[0].loss(2.0) == -2.0
    with pytest.raises(UsageError, match="here: objectives"):
        as_objectives([], "here")


def test_what_a_function_raises_is_a_failed_outcome():
    task = FunctionTask("t", SearchSpace((Float("x", 0, 1),)), lambda params: 1 / params["x"])
    assert task.evaluate({"x": 0.0}).status is Status.FAILED
    assert "ZeroDivisionError" in task.evaluate({"x": 0.0}).error
    assert task.evaluate({"x": 0.5}, seed=1).values == (2.0,)


def test_the_spaces_repairs_come_before_the_tasks_own():
    space = SearchSpace((Int("a", 0, 9), Int("b", 0, 9)), (AtLeast("a", "b"),))
    task = FunctionTask("t", space, lambda params: 0, repairer=lambda params: {**params, "b": params["a"] + 0.4})
    assert task.repair({"a": 1, "b": 5}) == {"a": 5, "b": 5}


KNOWN = {
    "sphere-3": 0.0,
    "rastrigin-3": 0.0,
    "rosenbrock-3": 0.0,
    "levy-3": 0.0,
    "hartmann6": [0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054],
    "branin": [9.42477796, 2.475],
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_stated_minimum_is_the_functions_minimum(name):
    task = load_task(name)
    point = KNOWN[name] or [float(s) for s in task.facts["shift s"].split(",")]
    found = task.evaluate(dict(zip(task.space.names, point, strict=True))).values[0]
    assert found == pytest.approx(task.optimum, abs=1e-3)
    assert found >= task.optimum - 1e-9
    centre = task.space.decode([0.5] * len(task.space))
    assert task.evaluate(centre).values[0] > task.optimum + 1, "the centre of the box is no start to boast with"


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn")
def test_the_training_tasks_have_the_losses_that_their_pages_state():
    svm, mlp = load_task("svm-breast-cancer"), load_task("mlp-digits")
    assert svm.evaluate(svm.space.defaults()).values[0] == pytest.approx(0.1142, abs=2e-3)
    better = {"C": 31.6, "gamma": 0.01, "class_weight": "balanced", "tol": 1e-3}
    assert svm.evaluate(better).values[0] == pytest.approx(0.0641, abs=2e-3)
    first, second = (mlp.evaluate(mlp.space.defaults(), seed=seed) for seed in (0, 1))
    assert first.values[0] == pytest.approx(0.39, abs=0.05)
    assert first.values != second.values


OUTSIDE = [
    ({"x": 0.5}, "lacks n"),
    ({"x": 0.5, "n": 1, "z": 2}, "Unknown parameter 'z'"),
    ({"x": 1.5, "n": 1}, r"x = 1.5 is outside the space \(real, 0 to 1\)"),
    ({"x": 0.5, "n": 1.5}, "n = 1.5 is outside the space"),
    ({"x": "wide", "n": 1}, "x"),
]


@pytest.mark.parametrize(("params", "message"), OUTSIDE)
def test_a_configuration_that_is_not_of_the_space_is_refused(here, params, message):
    called = []
    space = SearchSpace((Float("x", 0, 1), Int("n", 1, 9)))
    with pytest.raises(UsageError, match=message):
        FunctionTask("toy", space, called.append).evaluate(params)
    assert not called
    (here / "task.toml").write_text(
        'command = ["touch", "ran"]\nobjectives = ["v"]\n'
        'space.x = {type = "float", low = 0, high = 1}\nspace.n = {type = "int", low = 1, high = 9}\n'
    )
    with pytest.raises(UsageError, match=message):
        load_task(str(here)).evaluate(params)


def test_a_family_has_a_usual_size():
    assert load_task("sphere").name == load_task("sphere-5").name == "sphere-5"


def test_defaults_of_some_parameters_only_are_said_not_to_be_used(tmp_path, capsys):
    space = "space = [Float('lr', 0, 1, default=0.25), Int('layers', 1, 9)]"
    (tmp_path / "task.py").write_text(
        f"from agentopt import Float, Int\n\n{space}\n\n\ndef evaluate(params):\n    return params['lr']\n"
    )
    note = "There is no default configuration, to be run first: layers has no default."
    run = ["run", "random", "--task", str(tmp_path), "--trials", "1", "--runs-dir", str(tmp_path / "runs")]
    assert main([*run, "--name", "a"]) == 0
    assert note in capsys.readouterr().err.splitlines()
    assert main([*run, "--name", "b", "--no-default"]) == 0
    assert note not in capsys.readouterr().err
    assert main(["show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert note in shown.splitlines()
    assert "0.25" in shown, "what is stated is shown"
    assert SearchSpace((Float("x", 0, 1), Float("y", 0, 1))).unused_defaults() == ""
    assert SearchSpace((Float("x", 0, 1, default=0.5),)).unused_defaults() == ""
