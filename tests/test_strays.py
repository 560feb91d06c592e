"""What lies about in the working directory, and what is broken there, stops nothing that does not need it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentopt.cli import main
from agentopt.llm.launch import ServerOptions, plan
from agentopt.llm.models import LocalModel
from agentopt.llm.vllm import ensure_server
from agentopt.scaffold import init_task

FAKE = Path(__file__).parent / "llm" / "fake_vllm.py"
STRAY = "raise RuntimeError('a stray file was imported')\n"
TASK = """
from agentopt import Float
from helper import shift
space = [Float("x", 0, 1)]
def evaluate(params, seed=0):
    import late
    return shift(params["x"]) + late.zero
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def package(folder, name, version):
    """Makes what an installer leaves of a package, and returns its folder of metadata."""
    made = folder / f"{name}-{version}.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return made


def strays(folder):
    for name in ("click", "numpy", "types", "psutil", "json", "vllm"):
        (folder / f"{name}.py").write_text(STRAY)


def test_a_model_server_starts_beside_stray_files(here):
    checkpoint = here / "tiny"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    strays(here)
    local = LocalModel("tiny", checkpoint, "tiny", "a test")
    with ensure_server(local, log=here / "log", options=ServerOptions(command=(sys.executable, str(FAKE)))) as server:
        assert server.check(deep=False)


def test_the_server_itself_finds_no_modules_in_the_working_directory(here, monkeypatch):
    (here / "config.json").write_text("{}")
    monkeypatch.delenv("AGENTOPT_VLLM_COMMAND", raising=False)
    package(here / "site", "vllm", "1+cpu")
    (here / "site" / "vllm.py").touch()
    monkeypatch.syspath_prepend(str(here / "site"))
    command = plan(LocalModel("tiny", here, "tiny", "a test"), 1, ServerOptions()).command
    assert command[:3] == (sys.executable, "-P", "-m")


def test_trials_run_beside_stray_files_and_find_the_modules_beside_the_task(here):
    (here / "mine").mkdir()
    (here / "mine" / "my.py").write_text(TASK)
    (here / "mine" / "helper.py").write_text("def shift(x):\n    return x + 1\n")
    (here / "late.py").write_text("zero = 0\n")
    strays(here)
    command = [sys.executable, "-P", "-m", "agentopt", "run", "random", "--task", "mine/my.py:evaluate"]
    done = subprocess.run([*command, "--trials", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 complete" in done.stderr


BROKEN = {
    "syntax": "def evaluate(:\n",
    "raises": "raise KeyError('no data')\n",
    "maker": "def make():\n    raise KeyError('no data')\n",
    "nothing": "def make():\n    return None\n",
    "exits": "import sys\nsys.exit(3)\n",
}


def test_broken_plug_ins_do_not_end_the_list(here, capsys, monkeypatch):
    for name, text in BROKEN.items():
        (here / "tasks" / name).mkdir(parents=True)
        (here / "tasks" / name / "task.py").write_text(text)
    plugin = package(here / "site", "plug", "1")
    (plugin / "entry_points.txt").write_text("[agentopt.tasks]\nfrom-plug = plug_of_somebody:make\n")
    (here / "site" / "plug_of_somebody.py").write_text("raise ZeroDivisionError('at import')\n")
    monkeypatch.syspath_prepend(str(here / "site"))
    assert main(["list", "tasks"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert all("not available" in lines[name] for name in (*BROKEN, "from-plug"))
    assert main(["run", "random", "--task", "from-plug"]) == 2
    assert "The plug-in from-plug (plug_of_somebody:make) cannot be loaded: ZeroDivis" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hartmann6", "sphere", "sphere-5", "nanolm"])
def test_a_new_task_does_not_hide_one_that_there_is(name, capsys):
    assert main(["task", "init", name]) == 2
    assert f"There is a task {name}, which tasks/{name} would hide" in capsys.readouterr().err
    assert not Path("tasks").exists()


def test_a_new_task_may_begin_like_another_one():
    assert init_task("car").is_dir()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("nothere.py", "No such file: nothere.py."),
        ("nothere.py:evaluate", "There is no file nothere.py."),
        ("tasks/mine", "No such file: tasks/mine."),
        (".", "Unknown task '.'"),
    ],
)
def test_a_file_that_is_not_there(task, said, capsys):
    assert main(["run", "random", "--task", task]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "resume", "export"])
def test_an_unknown_run_is_told_where_it_was_looked_for(command, here, capsys):
    more = ["--csv", "x.csv"] if command == "export" else []
    assert main([command, "nothing", "--runs-dir", "elsewhere", *more]) == 2
    assert f"Unknown run 'nothing' in {here / 'elsewhere'}, which is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("stated", ['"maximize"', '["maximize"]', '["loss", "minimize"]'])
@pytest.mark.parametrize("file", ["my.py", "task.toml"])
def test_a_direction_in_the_place_of_an_objective(stated, file, here, capsys):
    if file == "my.py":
        head = "from agentopt import Float\nspace = [Float('x', 0, 1)]\n"
        (here / "my.py").write_text(f"{head}objectives = {stated}\ndef evaluate(p): return 1\n")
        task = "my.py"
    else:
        (here / "mine").mkdir()
        text = f'command = ["true"]\nobjectives = {stated}\n[space.x]\ntype = "float"\nlow = 0\nhigh = 1\n'
        (here / "mine" / "task.toml").write_text(text)
        task = "mine"
    assert main(["task", "check", task]) == 2
    err = capsys.readouterr().err
    assert "is a direction, and the name of the objective is needed" in err
    assert 'objectives = [Objective("value", "m' in err
