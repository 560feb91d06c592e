"""Tasks that are a command."""

from __future__ import annotations

import json

import pytest
from processes import eventually, running

from agentopt.errors import UsageError
from agentopt.executors.local import LocalExecutor
from agentopt.protocols import Job
from agentopt.task import load_task
from agentopt.trial import Status

TOML = """
command = ["{python}", "go.py", "--lr={lr}", "{opt}", "{seed}"]
description = "A toy."
objectives = ["loss"]
timeout = 20

[space.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.01

[space.width]
type = "int"
low = 8
high = 64
powers_of = 2
default = 16

[space.opt]
choices = ["sgd; touch hacked", "adam"]
default = "adam"

[[repairs]]
name = "width"
other = "lr"
times = 32.0
"""
PARAMS = {"lr": 0.01, "width": 16, "opt": "sgd; touch hacked"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "task.toml").write_text(TOML)
    return tmp_path


def outcome(folder, code, capfd=None):
    (folder / "go.py").write_text(
        "import json, os, sys, pathlib\nOUT = pathlib.Path(os.environ['AGENTOPT_OUT'])\n" + code
    )
    return load_task(str(folder)).evaluate(PARAMS, seed=7)


def test_the_file_makes_a_task(folder):
    task = load_task(str(folder))
    assert task.space.defaults() == {"lr": 0.01, "width": 16, "opt": "adam"}
    assert task.repair({"lr": 1.0, "width": 8, "opt": "adam"})["width"] == 32
    assert (task.timeout, task.isolation, task.describe()) == (20, "process", "A toy.")
    assert [(o.name, o.direction) for o in task.objectives] == [("loss", "minimize")]


def test_arguments_and_files_hold_the_configuration_and_no_shell_reads_them(folder):
    found = outcome(
        folder,
        "params = json.load(open(os.environ['AGENTOPT_PARAMS']))\n"
        f"assert params == {PARAMS!r}\n"
        "assert sys.argv[1:] == ['--lr=0.01', 'sgd; touch hacked', '7']\n"
        "assert os.environ['AGENTOPT_SEED'] == '7' and list(OUT.iterdir()) == []\n"
        "print('loss: 1')",
    )
    assert found.values == (1.0,), found.error
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize(
    "code",
    [
        "(OUT / 'metrics.json').write_text('{\"loss\": 0.5, \"acc\": 2}'); print('loss: 9')",
        "print('{\"loss\": 7}'); print('loss: 9'); print('{\"loss\": 0.5, \"acc\": 2}'); print('{not json')",
        "print('loss: 9'); print('loss = 0.5'); print('acc: 2e0'); print('a sentence: with words')",
        "print('  LOSS: 3'); print('loss=5e-1  '); print('acc: +2.')",
    ],
)
def test_metrics_come_from_a_file_or_a_line_of_json_or_named_numbers(folder, code):
    found = outcome(folder, code)
    assert found.values == (0.5,), found.error
    assert found.metrics["acc"] == 2


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("print('nothing')", Status.FAILED, "left no loss"),
        ("print('loss: nan')", Status.FAILED, "not a finite number"),
        ("(OUT / 'metrics.json').write_text('{')", Status.FAILED, "metrics.json is not JSON"),
        ("(OUT / 'metrics.json').write_text('[1]')", Status.FAILED, "not an object"),
        ("print('{\"other\": 1}')", Status.FAILED, "returned no loss"),
        ("sys.exit('it broke')", Status.FAILED, "exited with code 1\nit broke"),
        ("print('loss: 1'); sys.exit(3)", Status.FAILED, "exited with code 3"),
        ("os.kill(os.getpid(), 11)", Status.FAILED, "SIGSEGV"),
        ("os.kill(os.getpid(), 9)", Status.OOM, "out of memory"),
        ("sys.exit('RuntimeError: CUDA out of memory.')", Status.OOM, "CUDA"),
        ('print(\'{"status": "oom"}\')', Status.OOM, ""),
    ],
)
def test_what_goes_wrong_is_a_typed_failure(folder, code, status, words):
    found = outcome(folder, code)
    assert found.status is status
    assert words in found.error


def test_a_command_that_is_not_there_is_a_failure(folder):
    (folder / "task.toml").write_text(TOML.replace('"{python}"', '"no-such-program"'))
    found = load_task(str(folder)).evaluate(PARAMS)
    assert "cannot start no-such-program" in found.error


def test_output_is_passed_on(folder, capfdbinary):
    outcome(folder, "print('hello'); print('trouble', file=sys.stderr); print('loss: 1')")
    captured = capfdbinary.readouterr()
    assert b"hello" in captured.out
    assert b"trouble" in captured.err


def test_a_command_that_overruns_its_time_is_killed_with_its_children(folder):
    (folder / "go.py").write_text(
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(folder / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    executor = LocalExecutor(str(folder), {}, workers=1, timeout=1.0, folder=folder / "trials")
    executor.submit(Job(0, PARAMS, 0))
    (done,) = executor.wait(30)
    executor.close()
    assert done.outcome.status is Status.TIMEOUT
    child = int((folder / "child").read_text())
    assert eventually(lambda: not running([child]))


def test_braces_and_a_command_as_text(folder):
    text = TOML.replace('["{python}", "go.py", "--lr={lr}", "{opt}", "{seed}"]', "\"{python} go.py '{{lr}} {lr}'\"")
    (folder / "task.toml").write_text(text)
    found = outcome(folder, "assert sys.argv[1:] == ['{lr} 0.01'], sys.argv\nprint(json.dumps({'loss': 1}))")
    assert found.values == (1.0,), found.error


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("{lr}", "{lrr}", "placeholder in .*task.toml: command: 'lrr'. Did you mean 'lr'"),
        ("timeout", "tiemout", "key in .*task.toml: 'tiemout'. Did you mean 'timeout'"),
        ("low = 1e-4", "lwo = 1e-4", "space.lr: 'lwo'. Did you mean 'low'"),
        ("low = 1e-4", 'low = "a"', r"task.toml: space.lr.low: it must be a number"),
        ("low = 1e-4", "low = 2.0", "task.toml: space.lr: Float 'lr': low"),
        ('type = "float"', 'type = "flaot"', r"space.lr.type: it must be float, int or choice \(given 'flaot'\)"),
        ('objectives = ["loss"]', "objectives = []", "objectives: "),
        ('objectives = ["loss"]', 'objectives = ["loss", "loss"]', "objectives: two of them"),
        ('objectives = ["loss"]', 'objectives = [{name = "loss", directoin = "maximize"}]', "Did you mean 'direction'"),
        ('name = "width"\n', 'name = "witdh"\n', "space: a repair names 'witdh'"),
        ("times = 32.0", "tmies = 32.0", "repairs.0: 'tmies'. Did you mean 'times'"),
        ("timeout = 20", "timeout = -1", "timeout: it must be above 0"),
        ("command = [", "command = [[", "cannot be read"),
        ('command = ["{python}", "go.py", "--lr={lr}", "{opt}", "{seed}"]', "", "command: it is missing"),
        ('command = ["{python}", "go.py", "--lr={lr}", "{opt}", "{seed}"]', 'command = ""', "command: "),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(folder, before, after, message):
    assert before in TOML
    (folder / "task.toml").write_text(TOML.replace(before, after, 1))
    with pytest.raises(UsageError, match=message):
        load_task(str(folder))


def test_directions_and_references(folder):
    stated = 'objectives = ["loss", {name = "acc", direction = "maximize", reference = 0.1}]'
    (folder / "task.toml").write_text(TOML.replace('objectives = ["loss"]', stated))
    acc = load_task(str(folder)).objectives[1]
    assert (acc.name, acc.direction, acc.reference) == ("acc", "maximize", 0.1)
    assert outcome(folder, "print('loss: 1\\nacc: 2')").values == (1, 2)


def test_a_file_that_a_run_can_search(folder, monkeypatch, capsys):
    from agentopt.cli import main

    monkeypatch.chdir(folder)
    (folder / "go.py").write_text("import sys\nprint('loss:', float(sys.argv[1][5:]))")
    code = main(["run", "random", "--task", ".", "--trials", "4", "--workers", "2", "--json"])
    out = capsys.readouterr()
    assert code == 0, out.err
    assert json.loads(out.out)["trials"]["complete"] == 4
