"""Whole runs of the code agent: what becomes of good, bad and dishonest edits, the same again, and after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_runs import TINY, processes_of, tiny_home

from agentopt.cli import main
from agentopt.code.keeper import Keeper, KeepRule
from agentopt.ledger import read_ledger
from agentopt.protocols import minimised
from agentopt.report.load import load_run
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.trial import Origin, Status

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(400), pytest.mark.xdist_group("code-agents")]

AGENTS = Path(__file__).with_name("code_agents.py")
NANOLM = Path(__file__).parents[2] / "sandboxes" / "nanolm"
MEASURED = {"crc", "t", "seconds", "started", "pid", "train_seconds", "cpu_seconds", "peak_bytes"}
"""What two runs of the same differ by: clocks, the memory that was seen at some moment, the checksums of both."""
TOUR = (
    # its role, origin, parent and status, the verdict, the base afterwards, and a part of its summary or error
    ("", "baseline", None, "complete", "keep", None, ""),
    ("again", "repeat", None, "complete", "again", None, "the first version"),
    ("edit", "llm", None, "complete", "keep", 2, "Much less smoothing."),
    ("edit", "llm", 2, "complete", "discard", 2, "Much more smoothing again."),
    ("edit", "llm", 2, "complete", "keep", 2, "No remark."),
    ("again", "repeat", 2, "complete", "again", 2, "Much less smoothing."),
    ("again", "repeat", 4, "complete", "again", 4, "No remark."),
    ("edit", "llm", 4, "complete", "discard", 4, "A little less smoothing."),
    ("again", "repeat", 7, "complete", "again", 4, "A little less smoothing."),
    ("edit", "llm", 4, "failed", "crash", 4, "NameError: name 'SMOTHING' is not defined"),
    ("fix", "llm", 9, "complete", "keep", 10, "Mend the slip."),
    ("edit", "llm", 10, "complete", "discard", 10, "Print a better score."),
    ("edit", "llm", 10, "failed", "crash", 10, "'prepare.py'"),
    ("fix", "llm", 12, "invalid", "crash", 10, "not causal: it depends on later tokens"),
    ("edit", "llm", 10, "complete", "discard", 10, "Giant logits."),
    ("edit", "llm", 10, "invalid", "crash", 10, "not finite: the model gave a logit that is NaN"),
    ("fix", "llm", 15, "failed", "crash", 10, "has no attribute 'build'"),
    ("edit", "fallback", 10, "complete", "open", 10, "SMOOTHING 0.0"),
)
"""What becomes of the trials of the tour. The last one is a near tie, whose second run does not come any more."""


def flags(home, task, script, name, trials, *more):
    """Returns the command line of a run."""
    told = {"--task": task, "--task-option": f"corpus={home / 'table.txt'}", "--model": f"scripted:{script}"}
    told |= {"--runs-dir": home / "runs", "--name": name, "--trials": trials}
    return ["run", "autoresearch", "--quiet", *(str(word) for pair in told.items() for word in pair), *more]


def records(path):
    """Returns the records of a log without what was measured."""
    return [_without(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _without(value):
    if isinstance(value, dict):
        return {key: _without(inner) for key, inner in value.items() if key not in MEASURED}
    return [_without(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a corpus, and the machine's temporary files in it."""
    folder = tmp_path_factory.mktemp("agents")
    (folder / "tmp").mkdir()
    with tiny_home(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "tmp"))
        yield folder


@pytest.fixture(scope="module")
def tour(home):
    """The run of an agent whose edits are of every kind."""
    assert main(flags(home, TINY, f"{AGENTS}:tour", "tour", len(TOUR))) == 0
    return load_run(home / "runs" / "tour")


def test_every_kind_of_edit_gets_its_verdict(tour):
    keeper, seen = Keeper(KeepRule(), tour.header["code"]["text"]), []
    for trial in tour.trials:
        keeper.tell(minimised(trial, tour.objectives))
        seen.append((trial, keeper.base))
    for (trial, base), (*expected, words) in zip(seen, TOUR, strict=True):
        role, parent = trial.note.get("role", ""), trial.edit and trial.edit.parent
        verdict = tour.keeper.verdicts[trial.id]
        assert [role, trial.origin, parent, trial.outcome.status, verdict, base] == expected, trial
        assert words in (f"{trial.edit.summary}\n{trial.outcome.error}" if trial.edit else "")


def test_no_edit_gets_a_value_that_it_did_not_earn(tour):
    values = {trial.id: trial.values for trial in tour.trials}
    first, good, bad, shorter, mended, forged, giant = (values[i][0] for i in (0, 2, 3, 4, 10, 11, 14))
    assert mended < good < bad < first < 10
    assert shorter == good, "a remark is worth nothing"
    assert forged == mended, "what is printed is worth nothing"
    assert giant > 1e30
    assert all(not values[i] for i in (9, 12, 13, 15, 16)), "an end without a score has no value"


def test_replies_that_are_no_edit_are_refused_by_name_and_repaired_or_replaced(tour, home):
    told = {exchange.call: exchange for exchange in read_ledger(tour.run)}
    assert "the reply is empty" in told[1].reason
    assert "it holds no edit" in told[10].reason
    for call in (1, 10):
        assert (told[call].status, told[call + 1].status, told[call + 1].repairs) == ("invalid", "ok", call)
    assert "lacks build()" in told[14].reason
    assert "is no Python: line 12" in told[15].reason
    assert (told[15].status, told[15].repairs) == ("invalid", 14)
    (fallback,) = (trial for trial in tour.trials if trial.origin is Origin.FALLBACK)
    assert fallback.note["calls"] == [14, 15]
    assert fallback.note["reason"] == told[15].reason


def test_prompts_are_the_same_wherever_the_run_is(tour, home):
    errors = [exchange.prompt for exchange in read_ledger(tour.run) if "stopped with this error" in exchange.prompt]
    assert len(errors) == 3
    assert not [prompt for prompt in errors if str(home) in prompt]


def test_results_and_versions_are_all_there(tour, home):
    run = tour.run
    repository = Repository.open(run / REPOSITORY)
    versions = {version.trial: version for version in repository.log()}
    assert set(versions) == {None, *(trial.id for trial in tour.trials)}
    texts = {None: tour.header["code"]["text"], 0: tour.header["code"]["text"]}
    texts |= {trial.id: trial.edit.text for trial in tour.trials if trial.edit}
    for trial in tour.trials:
        parent = trial.edit.parent if trial.edit else None
        assert versions[trial.id].parent == parent
        assert repository.file(trial.id, "train.py") == texts[trial.id]
        assert repository.file(trial.id, "prepare.py") == (TINY / "prepare.py").read_text()
        patch = repository.diff(parent, trial.id)
        assert patch == (run / "trials" / str(trial.id) / "patch.diff").read_text()
        assert bool(patch) == (texts[trial.id] != texts[parent])
    rows = [line.split("\t") for line in (run / "results.tsv").read_text().splitlines()]
    assert rows[0] == ["commit", "val_bpb", "memory_gb", "status", "description"]
    told = [trial for trial in tour.trials if trial.note.get("role") != "again"]
    assert len(rows) == len(told) + 1
    for row, trial in zip(rows[1:], told, strict=True):
        value = trial.values[0] if trial.complete else 0.0
        verdict = str(tour.keeper.verdicts[trial.id]).replace("open", "discard")
        assert row[:2] == [versions[trial.id].sha[:7], f"{value:.6f}"]
        assert row[3:] == [verdict, trial.edit.summary if trial.edit else "the first version"]


def test_a_run_of_every_kind_of_edit_leaves_nothing_behind(tour, home):
    assert not (tour.run / "worktrees").exists()
    assert not list((home / "tmp").iterdir())
    assert processes_of(home) == []


@pytest.fixture(scope="module")
def small_nanolm(home):
    """The real code with a small vocabulary, short rows and a narrow model."""
    folder = home / "nanolm"
    shutil.copytree(NANOLM, folder)
    sizes = {"vocab_size = 1024": "300", "seq_len = 128": "32", "eval_tokens = 65_536": "2048"}
    sizes |= {"ASPECT_RATIO = 32": "16", "HEAD_DIM = 32": "16", "BATCH_SIZE = 2**10": "2**9", "BATCH_SIZE = 8": "4"}
    for name in ("sandbox.toml", "train.py"):
        text = (folder / name).read_text()
        for old, new in sizes.items():
            text = text.replace(old, f"{old.split('=')[0]}= {new}", 1)
        (folder / name).write_text(text)
    return folder


def test_the_same_seed_and_budget_give_the_same_run_to_the_last_bit(home, small_nanolm):
    logs = []
    for name in ("once", "again"):
        script, more = (
            "agentopt.testing.models:editor",
            ("--train-budget", "4k tokens", "--seed", "5", "-o", "noise_floor=0.01"),
        )
        assert main(flags(home, small_nanolm, script, name, 2, *more)) == 0
        run = home / "runs" / name
        logs.append((records(run / "journal.jsonl"), records(run / "llm.jsonl")))
        report = load_run(run)
        assert [trial.outcome.status for trial in report.trials] == [Status.COMPLETE] * 2
        assert report.trials[0].values != report.trials[1].values, "another version has another value"
        assert {trial.outcome.metrics["train_tokens"] for trial in report.trials} == {3584.0}
    assert logs[0] == logs[1]


def killed_at(command, folder, pattern):
    """Starts a command, kills its process group once a file of this pattern is there, and waits for what it started."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_run_that_is_killed_in_training_and_in_scoring_ends_like_the_uninterrupted_one(home):
    arguments = ("-o", "noise_floor=0.01", "--seed", "3")
    lines = [flags(home, TINY, f"{AGENTS}:sleepy", name, 3, *arguments) for name in ("whole", "killed")]
    assert main(lines[0]) == 0
    run, program = home / "runs" / "killed", [sys.executable, "-m", "agentopt"]
    resume = ["resume", str(run), "--quiet"]
    worktrees = run / "worktrees"
    killed_at([*program, *lines[1]], worktrees, "t1/started")
    assert sorted(path.name for path in worktrees.iterdir()) == ["t1", "t1-own"]
    killed_at([*program, *resume], worktrees, "t1-own/agentopt-server-*/started")
    deadline = time.monotonic() + 20
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert main(resume) == 0
    whole = home / "runs" / "whole"
    assert [trial.outcome.status for trial in load_run(whole).trials] == [Status.COMPLETE] * 3
    assert records(run / "journal.jsonl") == records(whole / "journal.jsonl")
    assert records(run / "llm.jsonl") == records(whole / "llm.jsonl")
    shas = [[version.sha for version in Repository.open(one / REPOSITORY).log()] for one in (run, whole)]
    assert shas[0] == shas[1]
    assert not worktrees.exists()
    assert not list((home / "tmp").iterdir())
    assert processes_of(home) == []


def test_a_finalise_that_is_killed_ends_like_the_uninterrupted_one(tour, home):
    """The best version was being trained when it was killed: the test value of the first one was known."""
    whole, cut = (home / "runs" / name for name in ("final", "cut"))
    for run in (whole, cut):
        shutil.copytree(tour.run, run)
    best = tour.keeper.best.trial
    command = ["finalise", str(cut), "--seeds", "1"]
    assert main(["finalise", str(whole), "--seeds", "1"]) == 0
    killed_at([sys.executable, "-m", "agentopt", *command], cut / "worktrees", f"t{best}/train.py")
    assert not (cut / "final.json").exists()
    deadline = time.monotonic() + 20
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert main(command) == 0
    versions = [json.loads((run / "final.json").read_text())["versions"] for run in (whole, cut)]
    assert versions[0] == versions[1]
    assert [len(one["test"]) for one in versions[0]] == [1, 1]
