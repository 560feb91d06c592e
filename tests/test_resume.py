"""A run that is killed at any instant goes on as if it had not been."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import pytest
from peer_methods import QUICK_60, available

from agentopt import cli
from agentopt.build import open_run, plan, resume_run
from agentopt.journal import read_history
from agentopt.optimizers import METHODS, load_method

TRIALS = 60
TASK = """
from agentopt import AtLeast, Choice, Float, Int, SearchSpace
space = SearchSpace(
    (
        Float("lr", 1e-4, 1.0, log=True, default=0.01),
        Int("depth", 1, 12, default=4),
        Int("batch", 32, 256, powers_of=2, default=64),
        Choice("act", ("a", "b", "c"), default="a"),
    ),
    (AtLeast("batch", "depth", times=8),),
)
isolation = "inline"
def evaluate(params, seed=0):
    if params["depth"] > 10:
        raise MemoryError
    noise = (seed % 1000) / 1e5
    return (params["lr"] - 0.03) ** 2 + abs(params["depth"] - 7) / 9 + params["batch"] / 999 + noise
"""
REPLIES = [
    "not json",
    json.dumps({"values": [0.02, 6, 64, "b"]}),
    json.dumps({"values": [0.05, 11, 128, "b"]}),
    json.dumps({"lr": 0.03, "depth": 7, "batch": 64, "act": "c"}),
    json.dumps([0.5, 3, 32, "a"]),
    json.dumps([0.02, 6, 999, "b"]),
    "",
]
SLOW = ("optuna-gp", "smac", "nevergrad")
ON_VALUES = [name for name in METHODS if not getattr(load_method(name), "needs_code", False)]
"""The methods that search the values of a space; those that edit code need a task with code."""
CUTS = {"smac": 4, "optuna-gp": 5}
"""At how many places the journals of slow methods are cut; those of others are cut at eight."""
IN_PROCESSES = ("random", "cmaes", "tpe", "centaur", "hollm")
"""Methods of all kinds, which are run by two real workers; that any order can be replayed is in each one's contract."""


@pytest.fixture
def files(tmp_path):
    """A task and a file of replies."""
    (tmp_path / "job.py").write_text(TASK)
    lines = [json.dumps(REPLIES[i % len(REPLIES)].replace("0.02", f"0.0{i + 1}")) for i in range(40)]
    (tmp_path / "replies.jsonl").write_text("\n".join(lines))
    return tmp_path


def settings(files: Path, method: str, **more):
    model = {"name": f"scripted:{files / 'replies.jsonl'}"}
    return {
        "method": method,
        "options": QUICK_60.get(method, {}),
        "task": f"{files / 'job.py'}:evaluate",
        "trials": TRIALS,
        "seed": 3,
        "model": model,
        **more,
    }


def trials(run: Path):
    """What must be the same: everything of a trial but its seconds."""
    found = sorted(read_history(run).trials, key=lambda trial: trial.id)
    return [(t.id, dict(t.params), t.outcome, t.origin, t.token, dict(t.note)) for t in found]


def finish(files: Path, method: str, run: Path, **more):
    with open_run(plan(settings(files, method, **more)), run) as opened:
        opened.execute()
    return trials(run)


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=pytest.mark.thorough if m in SLOW else ()) for m in ON_VALUES]
)
def test_a_run_cut_at_random_bytes_ends_like_the_uninterrupted_one(files, method):
    """Cuts at a random byte of each of several stretches of equal length."""
    available(method)
    whole = finish(files, method, files / "whole")
    assert len(whole) == TRIALS
    rng, cuts = random.Random(7), CUTS.get(method, 8)
    journal = (files / "whole" / "journal.jsonl").read_bytes()
    first = journal.index(b"\n") + 1
    stretch = (len(journal) - first) / cuts
    for number in range(cuts):
        cut = first + int((number + rng.random()) * stretch)
        run = files / "cut"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(files / "whole", run)
        (run / "journal.jsonl").write_bytes(journal[:cut])
        with resume_run(run) as opened:
            opened.execute()
        assert trials(run) == whole, cut


@pytest.mark.parametrize("method", ["centaur", "gp", "auto"])
def test_replies_that_were_received_are_not_asked_for_again(files, method):
    whole = finish(files, method, files / "whole", trials=20)
    run = files / "whole"
    journal, ledger = (run / "journal.jsonl").read_bytes(), (run / "llm.jsonl").read_bytes()
    lines = journal.splitlines(keepends=True)
    # In the middle, and where the first suggestion after the default was asked for and has not been written down.
    for cut in (len(journal) // 2, len(b"".join(lines[:3]))):
        (run / "journal.jsonl").write_bytes(journal[:cut])
        with resume_run(run) as opened:
            opened.execute()
        assert (run / "llm.jsonl").read_bytes() == ledger
        assert trials(run) == whole


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=() if m in IN_PROCESSES else pytest.mark.thorough) for m in ON_VALUES]
)
def test_a_run_with_workers_resumes_from_the_order_in_its_journal(files, method):
    available(method)
    finish(files, method, files / "whole", workers=2, trials=24)
    journal = (files / "whole" / "journal.jsonl").read_bytes()
    (files / "whole" / "journal.jsonl").write_bytes(journal[: len(journal) * 2 // 3])
    before = trials(files / "whole")
    with resume_run(files / "whole") as opened:
        opened.execute()
    after = trials(files / "whole")
    assert len(after) == 24
    assert all(trial in after for trial in before)


LOADED = [
    "test_resume",
    *(f"agentopt.{name}" for name in ("cli_code", "cli_compare", "cli_export", "cli_report", "cli_tools", "progress")),
    *("agentopt.llm.gateway", "agentopt.llm.scripted", "agentopt.optimizers.centaur", "agentopt.sandbox.repository"),
    *("cma", "langchain_core.tracers.langchain", "rich.progress", "scipy.stats", "tenacity"),
]
"""What a process that is to be killed finds loaded, so that its whole life is spent in the run."""


def command_line(arguments: list[str]) -> None:
    """Is the whole life of a process."""
    os._exit(cli.main(arguments))


def test_sigkill_at_twenty_moments_changes_nothing(files):
    """The real thing: one run, killed again and again by the system."""
    whole = finish(files, "centaur", files / "whole")
    slow = TASK.replace(
        "def evaluate(params, seed=0):", "def evaluate(params, seed=0):\n    import time; time.sleep(0.02)"
    )
    (files / "job.py").write_text(slow)
    flags = ["--task", f"{files / 'job.py'}:evaluate", "--trials", str(TRIALS), "--seed", "3", "--runs-dir", str(files)]
    model = ["--model", f"scripted:{files / 'replies.jsonl'}", "--name", "killed", "--quiet"]
    rng, run, kills = random.Random(1), files / "killed", 0
    journal = run / "journal.jsonl"
    start, again = ["run", "centaur", *flags, *model], ["resume", str(run), "--quiet"]
    lives = multiprocessing.get_context("forkserver")
    lives.set_forkserver_preload(LOADED)
    for _ in range(20):
        process = lives.Process(target=command_line, args=(again if journal.exists() else start,))
        size, deadline = journal.stat().st_size if journal.exists() else 0, time.monotonic() + 30
        process.start()
        while process.is_alive() and time.monotonic() < deadline:
            if journal.exists() and journal.stat().st_size > size:
                time.sleep(rng.random() * 0.08)
                break
            time.sleep(0.001)
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 15
    last = lives.Process(target=command_line, args=(again,))
    last.start()
    last.join()
    assert last.exitcode == 0
    assert trials(run) == whole
