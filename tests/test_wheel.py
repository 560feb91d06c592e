"""The wheel carries everything: it works in an environment of its own, outside the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, cwd):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=ROOT)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment that holds the wheel; the dependencies are those of the environment that runs the tests."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return home / "bin" / "python"


def test_it_carries_prompts_tasks_and_the_surrogate_and_nothing_foreign(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    data = [name for name in names if name.startswith("agentopt/_data/")]
    for wanted in ("prompts/centaur/propose.md.j2", "tasks/autoresearch-surrogate/model.npz", "tasks/sphere/task.py"):
        assert f"agentopt/_data/{wanted}" in data
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "bench/", "runs/"))]
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_it_runs_outside_the_checkout(installed, tmp_path):
    where = run(installed, "-c", "import agentopt; print(agentopt.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where
    reply = json.dumps({"values": [9, 64, 128, 64, 262144, 0.6, 0.004, 0.04, 0.5, 0.2, 0.0, 0.5, 0.0, "SSSL"]})
    (tmp_path / "r.jsonl").write_text(json.dumps(reply) + "\n")
    flags = ["--model", "scripted:r.jsonl", "--trials", "30", "--json"]
    out = run(installed, "-m", "agentopt", "run", "centaur", *flags, cwd=tmp_path)
    result = json.loads(out.splitlines()[-1])
    assert result["trials"]["complete"] + result["trials"]["oom"] == 30
    assert result["best"]["values"][0] < 1.0


def test_a_prompt_in_the_working_directory_wins(installed, tmp_path):
    (tmp_path / "prompts" / "llm").mkdir(parents=True)
    (tmp_path / "prompts" / "llm" / "propose.md.j2").write_text("MINE {{ count }}")
    (tmp_path / "r.jsonl").write_text('"no"\n')
    flags = ["--task", "sphere-3", "--model", "scripted:r.jsonl", "--trials", "4", "--name", "x", "--quiet"]
    run(installed, "-m", "agentopt", "run", "llm", *flags, cwd=tmp_path)
    assert '"MINE ' in (tmp_path / "runs" / "x" / "llm.jsonl").read_text()


def test_it_carries_the_code_that_agents_edit(installed, tmp_path):
    code = "import agentopt.task as t; print(*(path.name for path in t.code_folders()['nanolm'].iterdir()))"
    names = run(installed, "-c", code, cwd=tmp_path).split()
    assert {"train.py", "prepare.py", "program.md", "sandbox.toml"} <= set(names)
