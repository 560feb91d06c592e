"""Supervised children: whatever the code under evaluation does, a typed outcome comes back and the next job runs."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from processes import eventually, running

from agentopt import streams
from agentopt.executors import local
from agentopt.executors.local import LocalExecutor
from agentopt.protocols import Job
from agentopt.trial import Status

TASK = """
import os, signal, subprocess, sys, time
from agentopt import Choice, Float
KINDS = ("fine", "raise", "nan", "inf", "text", "pair", "none", "huge", "exit", "abort", "kill", "hang", "noise",
         "flood", "memory", "sysexit", "child", "where", "evil", "fork")
space = [Float("x", 0, 1), Choice("kind", KINDS)]
class Evil(dict):
    def __repr__(self): raise RuntimeError("evil")
    keys = items = __iter__ = __contains__ = __getitem__ = __repr__
def evaluate(params):
    kind = params["kind"]
    if kind == "raise": raise ValueError("the reason")
    if kind == "nan": return float("nan")
    if kind == "inf": return {"value": float("inf")}
    if kind == "text": return "0.5"
    if kind == "pair": return [1.0, 2.0]
    if kind == "none": return None
    if kind == "huge": return 10 ** 400
    if kind == "exit": print("last words", file=sys.stderr, flush=True); os._exit(3)
    if kind == "abort": os.abort()
    if kind == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if kind == "noise":
        for _ in range(300): print("x" * 9999)
    if kind == "flood":
        while True: print("x" * 99999)
    if kind == "memory": raise MemoryError
    if kind == "sysexit": sys.exit("bye")
    if kind == "child":
        child = subprocess.Popen(["sleep", "600"])
        print(child.pid, flush=True)
        time.sleep(600)
    if kind == "where": return {"value": 1.0, "pid": os.getpid()}
    if kind == "evil": return Evil()
    if kind == "fork": os.fork()
    return params["x"]
"""


@pytest.fixture
def executor(tmp_path):
    (tmp_path / "job.py").write_text(TASK)
    made = LocalExecutor(f"{tmp_path}/job.py:evaluate", {}, workers=2, timeout=8, folder=tmp_path / "trials")
    yield made
    made.close()


def run(executor, *kinds):
    """Runs a job of each kind, two at a time; returns the outcomes in the order of the kinds."""
    waiting = [Job(i, {"x": 0.25, "kind": kind}, 0) for i, kind in enumerate(kinds)]
    done, flying = {}, 0
    while len(done) < len(kinds):
        while waiting and flying < executor.capacity:
            executor.submit(waiting.pop(0))
            flying += 1
        for ended in executor.wait(30):
            done[ended.id] = ended
            flying -= 1
    return [done[i].outcome for i in range(len(kinds))]


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("raise", Status.FAILED, "ValueError: the reason"),
        ("nan", Status.FAILED, "not a finite number"),
        ("inf", Status.FAILED, "not a finite number"),
        ("text", Status.FAILED, "not a number"),
        ("pair", Status.FAILED, "2 values for 1 objectives"),
        ("none", Status.FAILED, "not a number"),
        ("huge", Status.FAILED, ""),
        ("exit", Status.FAILED, "exited with code 3 during the evaluation\nlast words"),
        ("abort", Status.FAILED, "SIGABRT"),
        ("kill", Status.OOM, "SIGKILL"),
        ("memory", Status.OOM, "MemoryError"),
        ("sysexit", Status.FAILED, "bye"),
        ("evil", Status.FAILED, ""),
    ],
)
def test_a_failure_is_typed_and_the_next_job_runs(executor, kind, status, error):
    failed, fine = run(executor, kind, "fine")
    assert failed.status is status
    assert error in failed.error
    assert fine.values == (0.25,)


def test_a_job_that_hangs_is_stopped_after_its_time(executor):
    start = time.perf_counter()
    executor._timeout = 1.0
    hung, fine = run(executor, "hang", "fine")
    assert hung.status is Status.TIMEOUT
    assert "after 1 s" in hung.error
    assert fine.values == (0.25,)
    assert time.perf_counter() - start < 20


def test_what_is_printed_is_kept_at_both_ends_and_does_no_harm(executor, tmp_path):
    (outcome,) = run(executor, "noise")
    assert outcome.values == (0.25,)
    text = (tmp_path / "trials" / "0" / "stdout").read_text()
    assert len(text) < streams.KEPT_BYTES + 100
    assert "bytes left out" in text


def test_a_flood_of_output_stops_the_job(executor, monkeypatch):
    monkeypatch.setattr(local, "FLOOD_BYTES", 4 << 20)
    (outcome,) = run(executor, "flood")
    assert (outcome.status, outcome.error) == (Status.FAILED, "printed more than 4 MiB")


def test_a_killed_job_takes_its_children_with_it(executor, tmp_path):
    executor.submit(Job(0, {"x": 0.5, "kind": "child"}, 0))
    assert eventually(lambda: "sleep" in [child.name() for child in psutil.Process().children(recursive=True)])
    assert not executor.wait(0.2)
    executor.cancel(0)
    pid = int((tmp_path / "trials" / "0" / "stdout").read_text())
    assert eventually(lambda: not running([pid]))
    assert not executor.wait(0.2)
    (fine,) = run(executor, "fine")
    assert fine.values == (0.25,)


def test_what_has_ended_is_returned_when_no_time_is_left(executor):
    executor.submit(Job(0, {"x": 0.5, "kind": "fine"}, 0))
    done = []
    assert eventually(lambda: done.extend(executor.wait(0)) or done)
    assert done[0].outcome.values == (0.5,)


def test_a_worker_is_reused_until_it_ends_and_none_is_left_behind(executor):
    pids = []
    for kinds in (["where"], ["raise"], ["where"], ["exit"], ["where"]):
        (outcome,) = run(executor, *kinds)
        pids += [int(outcome.metrics["pid"])] if kinds == ["where"] else []
    assert pids[0] == pids[1] != pids[2], "what raises costs no process; what ends one is followed by another"
    executor.close()
    assert running(pids) == []


def test_a_worker_that_died_while_idle_is_replaced(executor):
    (first,) = run(executor, "where")
    psutil.Process(int(first.metrics["pid"])).kill()
    time.sleep(0.2)
    (second,) = run(executor, "where")
    assert second.values == (1.0,)


def test_a_child_that_comes_back_from_a_forked_evaluation_answers_nothing(executor):
    assert {outcome.values for outcome in run(executor, *["fork", "fine"] * 4)} == {(0.25,)}


def test_the_time_of_a_job_begins_when_its_task_is_loaded(tmp_path):
    (tmp_path / "job.py").write_text(
        "import time\ntime.sleep(0.6)\nfrom agentopt import Float\nspace = [Float('x', 0, 1)]\n"
        "def evaluate(params): time.sleep(params['x']); return 1.0\n"
    )
    executor = LocalExecutor(f"{tmp_path}/job.py:evaluate", {}, workers=1, timeout=0.3, folder=None)
    outcomes = []
    for number, x in enumerate((0.01, 1.0)):
        executor.submit(Job(number, {"x": x}, 0))
        outcomes += [done.outcome for done in executor.wait(30)]
    executor.close()
    assert [outcome.status for outcome in outcomes] == [Status.COMPLETE, Status.TIMEOUT]
    assert outcomes[1].error == "still running after 0.3 s"


def test_a_task_that_does_not_load_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "START_SECONDS", 0.5)
    (tmp_path / "job.py").write_text("import time\ntime.sleep(60)\n")
    executor = LocalExecutor(f"{tmp_path}/job.py:evaluate", {}, workers=1, timeout=0.5, folder=None)
    executor.submit(Job(0, {}, 0))
    (done,) = executor.wait(30)
    executor.close()
    assert (done.outcome.status, done.outcome.error) == (Status.TIMEOUT, "still loading the task after 0.5 s")


def test_a_broken_task_file_is_a_failure_of_the_job_not_a_hang(tmp_path: Path):
    (tmp_path / "job.py").write_text("raise SystemError('at import')")
    executor = LocalExecutor(f"{tmp_path}/job.py:evaluate", {}, workers=1, timeout=30, folder=None)
    executor.submit(Job(0, {}, 0))
    (done,) = executor.wait(30)
    executor.close()
    assert done.outcome.status is Status.FAILED
    assert "at import" in done.outcome.error
