"""`agentopt finalise`: the test split is opened once, for one version, and a kill does not open it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from final_task import make, worth

from agentopt.build import json_value, plan
from agentopt.cli import main
from agentopt.config import save_config
from agentopt.errors import JournalError, RunError, UsageError
from agentopt.final import FILE, FRESH, LOG, finalise
from agentopt.journal import Journal
from agentopt.log import read_log
from agentopt.provenance import provenance
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.study import trial_seed
from agentopt.trial import Edit, Origin, Outcome, Status, Suggestion

TESTS = Path(__file__).parent
CODE = make().code
LOCKED = make().source.locked


def version(smoothing):
    return CODE.text.replace("SMOOTHING = 300.0", f"SMOOTHING = {smoothing}")


def add(journal, run, number, value, *, origin=Origin.LLM, edit=None, note=None):
    """Adds a trial to a run, and its version to the run's repository."""
    made = Suggestion({} if edit else {"SMOOTHING": 300.0}, origin, number, note or {}, edit)
    journal.asked(1, [made], [made.params], t=number, seconds=0.1)
    journal.finished(number, Outcome(Status.COMPLETE, (value,)), seconds=0.1, t=number)
    Repository.open(run / REPOSITORY).commit(number, {CODE.file: CODE.text if edit is None else edit.text})


@pytest.fixture
def swift(tmp_path, monkeypatch):
    """The name of a task that another process can load too."""
    folder = tmp_path / "swift"
    folder.mkdir()
    (folder / "task.py").write_text("from final_task import make\n")
    monkeypatch.setenv("FINAL_TASK_LOG", str(tmp_path / "log"))
    return str(folder)


def begun(task, run):
    """Returns the journal of a new run of code without a trial."""
    planned = plan({"method": "autoresearch", "task": task, "seed": 7, "options": {"sampler": "incumbent"}})
    journal = Journal(run, json_value(planned.header()))
    save_config(planned.config, run, provenance(planned.config))
    Repository.create(run / REPOSITORY, {CODE.file: CODE.text, **LOCKED})
    return journal


@pytest.fixture
def run(swift, tmp_path):
    """A run that kept trial 2."""
    run = tmp_path / "run"
    with begun(swift, run) as journal:
        add(journal, run, 0, 3.0, origin=Origin.BASELINE)
        add(journal, run, 1, 3.01, origin=Origin.REPEAT, edit=Edit(CODE.text, None, "", 1), note={"again": None})
        add(journal, run, 2, 2.0, edit=Edit(version(1.0), None, "less"))
    return run


def trainings(run):
    """Returns the version and the seed of each training that was made."""
    return [tuple(line.split()) for line in (run.parent / "log").read_text().splitlines()]


def killed(run, training):
    """Finalises in a process of its own that is killed when a training, from 1, has its scores."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    more = {"FINAL_TASK_KILL": str(training), "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "agentopt", "finalise", str(run), "--seeds", "2"]
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_the_first_and_the_best_version_are_trained_on_fresh_seeds_once(run):
    first, best = finalise(run, None, str)
    seeds = [trial_seed(7, FRESH + number) for number in range(3)]
    assert trainings(run) == [(name, str(seed)) for name in ("seed", "t2") for seed in seeds]
    assert (first.version, first.trial, best.trial) == ("the first version", None, 2)
    assert (best.validation, best.test) == tuple(tuple(worth(1.0, seed, n) for seed in seeds) for n in range(2))
    assert [one["trial"] for one in json.loads((run / FILE).read_text())["versions"]] == [None, 2]
    with pytest.raises(UsageError, match=r"opened on 2.* by .* for the version of trial 2 on 3 seeds.*That is final"):
        finalise(run, None, str)
    assert len(trainings(run)) == 6


@pytest.mark.parametrize("training", [1, 3])
def test_a_kill_opens_the_test_split_for_no_other_version(run, training, tmp_path):
    killed(run, training)
    events = [record["event"] for record in read_log(run / LOG)[0]]
    assert events == ["opened", *["measured"] * (training - 1)]
    assert not (run / FILE).exists()
    with Journal(run) as journal:
        add(journal, run, 3, 1.0, edit=Edit(version(0.1), 2, "the best by now"))
    with pytest.raises(UsageError, match="goes on with these alone: --seeds 2, not 5"):
        finalise(run, 5, str)
    said = []
    found = finalise(run, None, said.append)
    assert "for the version of trial 2 on 2 seeds, and that was cut off. It goes on." in said[0]
    assert [one.trial for one in found] == [None, 2]
    made = trainings(run)
    seeds = [str(trial_seed(7, FRESH + number)) for number in range(2)]
    whole = [(name, seed) for name in ("seed", "t2") for seed in seeds]
    assert made == [*whole[:training], *whole[training - 1 :]], "what was known is not measured again"
    assert [one.test for one in found] == [tuple(worth(v, int(seed), 1) for seed in seeds) for v in (300.0, 1.0)]


def test_where_no_training_ends_nothing_was_seen_and_it_is_tried_again(run, monkeypatch):
    monkeypatch.setenv("FINAL_TASK_FAIL", "SMOOTHING = 1.0")
    with pytest.raises(RunError, match=r"came to its end: .*too large"):
        finalise(run, 2, str)
    assert not (run / FILE).exists()
    monkeypatch.delenv("FINAL_TASK_FAIL")
    assert [len(one.test) for one in finalise(run, 2, str)] == [2, 2]
    assert [name for name, _ in trainings(run)] == ["seed"] * 2 + ["t2"] * 4


def test_one_version_is_trained_where_none_is_better_than_the_first(swift, tmp_path):
    run = tmp_path / "run"
    begun(swift, run).close()
    with pytest.raises(UsageError, match="no complete trial"):
        finalise(run, 1, str)
    assert not (run / LOG).exists()
    with Journal(run) as journal:
        with pytest.raises(JournalError, match="in use"):
            finalise(run, 1, str)
        add(journal, run, 0, 3.0, origin=Origin.BASELINE)
    assert [one.trial for one in finalise(run, 1, str)] == [None]


def test_the_command_prints_a_table_or_json_and_refuses_other_runs(run, capsys, tmp_path):
    assert main(["finalise", str(run), "--seeds", "2", "--json"]) == 0
    assert [len(one["test"]) for one in json.loads(capsys.readouterr().out)["versions"]] == [2, 2]
    assert main(["finalise", str(run)]) == 2
    assert "That is final" in capsys.readouterr().err
    assert (
        main(
            [
                "run",
                "random",
                "--task",
                "sphere-2",
                "--trials",
                "2",
                "--runs-dir",
                str(tmp_path),
                "--name",
                "x",
                "--quiet",
            ]
        )
        == 0
    )
    assert main(["finalise", str(tmp_path / "x")]) == 2
    assert "no held-out text: finalise is for code" in capsys.readouterr().err
