"""Comparisons: every cell is run once, whatever interrupts it, and the twins of LLM methods are at hand."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from processes import eventually, running

from agentopt.build import open_run, plan
from agentopt.cli import main
from agentopt.compare import (
    Design,
    check,
    contender,
    controls,
    default_name,
    planned_cells,
    run_comparison,
)
from agentopt.errors import JournalError, UsageError
from agentopt.journal import read_history
from agentopt.report.comparison.folder import safe_name


def comparison(*methods, tasks=("sphere-3", "branin"), seeds=2, trials=12, **more):
    return Design(tuple(map(contender, methods)), tasks, tuple(range(seeds)), trials, **more)


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
        check(bad)


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


def test_what_is_missing_is_finished_and_the_rest_left_alone(tmp_path):
    wanted = comparison("cmaes", tasks=("sphere-3",), seeds=3)
    run_comparison(wanted, tmp_path, workers=1)
    whole = contents(tmp_path)
    journals = sorted(tmp_path.glob("cells/*/*/*/journal.jsonl"))
    journals[0].write_bytes(journals[0].read_bytes()[:2000])
    journals[1].unlink()
    assert run_comparison(wanted, tmp_path, workers=2) == []
    again = contents(tmp_path)
    third = str(journals[2].relative_to(tmp_path))
    assert again[third] == whole[third]
    assert [len(read_history(path.parent).trials) for path in journals] == [12, 12, 12]


def test_a_folder_takes_one_comparison_and_one_process(tmp_path):
    run_comparison(comparison("random", tasks=("branin",), seeds=1), tmp_path, workers=1)
    with pytest.raises(UsageError, match="another comparison"):
        run_comparison(comparison("sobol", tasks=("branin",), seeds=1), tmp_path, workers=1)


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


def test_kill_and_run_again_repeats_no_finished_cell(tmp_path):
    """Its trials last for some time, so that the comparison is not done before it is killed."""
    (tmp_path / "slow.py").write_text(SLOW_TASK)
    flags = ["--task", f"{tmp_path / 'slow.py'}:evaluate", "--seeds", "6", "--trials", "20", "--name", "c", "--json"]
    command = [sys.executable, "-m", "agentopt", "compare", "random", "cmaes", *flags, "--runs-dir", str(tmp_path)]
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
    last = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert last.returncode == 0, last.stderr
    found = contents(folder)
    assert len(found) == 12
    assert all(found[name] == text for name, text in done.items())
    result = json.loads(last.stdout.splitlines()[-1])
    assert set(result["methods"]) == {"random", "cmaes"}


def test_a_locked_folder_is_refused(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(JournalError, match="in use"):
        run_comparison(comparison("random", tasks=("branin",), seeds=1), tmp_path, workers=1)


def test_a_comparison_is_reported_as_files_and_a_page(tmp_path, capsys):
    run_comparison(comparison("random", "cmaes", tasks=("branin",), seeds=2), tmp_path / "c", workers=1)
    assert main(["report", str(tmp_path / "c")]) == 0
    assert "Paired Wilcoxon" in capsys.readouterr().out
    page = (tmp_path / "c" / "report.html").read_text()
    assert "Paired tests" in page
    assert "<svg" in page
    assert (tmp_path / "c" / "report" / "methods.csv").is_file()
