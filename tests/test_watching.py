"""Who looks at a run, while it goes on, does it no harm."""

from __future__ import annotations

import threading

from agentopt.build import open_run, plan
from agentopt.journal import Journal
from agentopt.report.load import load_run

PLAN = {"method": "random", "task": "sphere-2", "trials": 4}


def test_a_watcher_with_a_fault_is_said_once_and_the_run_goes_on(tmp_path):
    said, seen = [], []

    def faulty(history):
        seen.append(len(history.trials))
        raise KeyError("a fault in a report")

    with open_run(plan(PLAN), tmp_path / "x", watch=faulty, say=said.append) as opened:
        assert opened.execute() == "trials"
    assert (seen, len(load_run(tmp_path / "x").trials)) == ([0], 4)
    assert said == ["faulty is left out from now on, the run goes on: KeyError: 'a fault in a report'"]


def test_asking_for_the_status_keeps_no_run_from_starting(tmp_path):
    run, stop, seen = tmp_path / "x", threading.Event(), set()
    with open_run(plan(PLAN), run) as opened:
        opened.execute()

    def ask():
        while not stop.is_set():
            seen.add(load_run(run).status)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(60):
            Journal(run).close()
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    with Journal(run):
        assert {load_run(run).status for _ in range(9)} == {"running"}
    assert load_run(run).status == "done"
