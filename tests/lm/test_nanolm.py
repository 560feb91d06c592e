"""The seed itself: trained in a real sandbox, its weights scored by the frozen evaluator."""

import math
import re
import shutil
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from agentopt.lm.budget import Budget, CostModel
from agentopt.lm.corpora import Split
from agentopt.lm.evaluate import Tolerance, Verdict
from agentopt.lm.exam import make_exam
from agentopt.lm.feed import Ending
from agentopt.lm.scoring import covers_of, parameters, score
from agentopt.lm.training import Profile, train
from agentopt.sandbox import ExecutionStatus, Limits, Sandbox, Tier, collect, why_not

pytestmark = [
    pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra lm"),
    pytest.mark.xdist_group("nanolm"),  # they share a training
]

SEED = Path(__file__).parents[2] / "sandboxes" / "nanolm"
PROFILE = Profile(vocab_size=300, seq_len=64)
SMALL = {"ASPECT_RATIO = 32": "ASPECT_RATIO = 16", "HEAD_DIM = 32": "HEAD_DIM = 16", "2**10": "2**9"}
COST = CostModel(0.0, 0.0, 0.1)
TOLERANCE = Tolerance(gap=1e-3, gain=1e-4)


def source(changes=SMALL):
    text = (SEED / "train.py").read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def trial(small_dataset, tmp_path_factory):
    """Runs a version of train.py in a sandbox: the execution, what it was served, and the folder."""

    def run(text, *, tier=Tier.PROCESS, budget="20k tokens", seed=0):
        work = tmp_path_factory.mktemp("trial") / "work"
        work.mkdir()
        (work / "train.py").write_text(text)
        box = Sandbox(work, tier=tier, limits=Limits(), readonly=[(SEED / "prepare.py", work / "prepare.py")])
        execution, served = train(
            box,
            [sys.executable, "train.py"],
            dataset=small_dataset,
            profile=PROFILE,
            budget=Budget.parse(budget),
            cost=COST,
            seed=seed,
            timeout=100,
        )
        return execution, served, work

    return run


@pytest.fixture(scope="module")
def trained(trial):
    """The seed, made small and trained."""
    if reason := why_not(Tier.BUBBLEWRAP):
        pytest.skip(f"bubblewrap does not work here: {reason}")
    return trial(source(), tier=Tier.BUBBLEWRAP)


@pytest.fixture
def taught(trained, tmp_path):
    """A folder with the trained weights, for another version of train.py."""
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(trained[2] / "weights.safetensors", work)
    return work


def judged(work, dataset, tier=Tier.PROCESS, tolerance=TOLERANCE):
    got = collect(work / "weights.safetensors", work.parent / f"{work.name}.safetensors", 1 << 24)
    exam = make_exam(dataset, Split.VAL, PROFILE.seq_len, salt=bytes.fromhex(got.sha256))
    code = {"train.py": work / "train.py", "prepare.py": SEED / "prepare.py"}
    found = score(code, got.path, exam, profile=PROFILE, tolerance=tolerance, tier=tier, limits=Limits(), timeout=100)
    return got, exam, found


def direct_bpb(work, weights, exam):
    """Computed in a process of its own, in the obvious way."""
    import subprocess

    np.savez(work / "exam.npz", rows=exam.rows, token_bytes=exam.token_bytes)
    program = """
import math, numpy, torch, train
from safetensors.torch import load_file
model = train.build()
model.load_state_dict(load_file("%s"))
exam = numpy.load("exam.npz")
rows, sizes = torch.tensor(exam["rows"].astype("int64")), torch.tensor(exam["token_bytes"].astype("int64"))
with torch.no_grad():
    logp = model(rows[:, :-1]).double().log_softmax(-1).gather(-1, rows[:, 1:, None])[..., 0]
b = sizes[rows[:, 1:]]
print(-(logp * (b > 0)).sum().item() / math.log(2) / b.sum().item())
"""
    shutil.copy(SEED / "prepare.py", work)
    done = subprocess.run(
        [sys.executable, "-c", program % weights],
        cwd=work,
        capture_output=True,
        text=True,
        check=True,
        env=PROFILE.environment(),
    )
    return float(done.stdout)


def test_a_training_learns_repeats_to_the_last_bit_and_is_scored_as_it_is(trial, trained, small_dataset, bubblewrap):
    """That the scores do so too is seen in `test_evaluate.py`; of both together, in the contract of tasks."""
    again = trial(source(), tier=bubblewrap)
    for execution, served, _ in (trained, again):
        assert execution.status is ExecutionStatus.OK, execution.stderr
        assert (served.ending, served.tokens, served.steps) == (Ending.SPENT, 39 * 512, 39)
    _, served, work = trained
    assert (again[2] / "weights.safetensors").read_bytes() == (work / "weights.safetensors").read_bytes()
    weights, exam, found = judged(work, small_dataset, bubblewrap)
    assert found.verdict is Verdict.OK, found.reason
    assert parameters(weights.path) == served.parameters
    assert found.bpb == pytest.approx(direct_bpb(work, weights.path, exam), rel=1e-6)
    counted = exam.token_bytes[exam.rows[:, 1:]]
    assert found.bpb < 0.9 * math.log2(PROFILE.vocab_size) * (counted > 0).sum() / counted.sum()


def test_weights_of_another_model_do_not_fit(taught, small_dataset):
    (taught / "train.py").write_text(source({**SMALL, "DEPTH = 2": "DEPTH = 3"}))
    assert judged(taught, small_dataset)[2].verdict is Verdict.MISFIT


def test_a_model_that_attends_to_later_tokens_is_not_causal(taught, small_dataset):
    (taught / "train.py").write_text(source({**SMALL, "is_causal=True": "is_causal=False"}))
    assert judged(taught, small_dataset)[2].verdict is Verdict.NOT_CAUSAL


def test_a_training_that_goes_on_without_end_is_stopped(trial, monkeypatch):
    from agentopt.lm import training

    monkeypatch.setattr(training, "GRACE_SECONDS", 1.0)
    text = """
import time, torch, prepare
for _ in prepare.batches(torch.nn.Linear(2, 2), 8):
    pass
time.sleep(90)
"""
    execution, served, _ = trial(text, budget="2k tokens")
    assert execution.status is ExecutionStatus.FAILED
    assert "after the feed stopped" in execution.reason
    assert served.ending is Ending.SPENT


def test_a_file_that_is_no_weights_is_named(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"\x80\x04nonsense" * 9)
    with pytest.raises(ValueError, match="no safetensors file"):
        parameters(tmp_path / "weights.safetensors")


def test_held_out_modules_are_covered_in_the_sandbox(tmp_path, bubblewrap):
    from agentopt.lm.corpora import find_corpus
    from agentopt.lm.dataset import Dataset

    dataset = Dataset(tmp_path, None, find_corpus("stdlib").hidden)
    (tmp_path / "work").mkdir()
    code = "import pathlib, json; print(*[len(pathlib.Path(p).read_bytes()) if pathlib.Path(p).is_file() else"
    code += f" len(list(pathlib.Path(p).iterdir())) for p in {[str(p) for p in dataset.hidden]!r}])"
    for covered in (True, False):
        covers = covers_of(dataset, tmp_path, bubblewrap) if covered else []
        box = Sandbox(tmp_path / "work", tier=bubblewrap, limits=Limits(), readonly=covers)
        sizes = box.run([sys.executable, "-c", code], timeout=60).stdout.split()
        assert len(sizes) == len(dataset.hidden)
        assert (set(sizes) == {"0"}) is covered


def test_the_literals_of_the_seed_are_those_that_its_table_names():
    from agentopt.code.literals import read_literals, write_literals

    table = tomllib.loads((SEED / "sandbox.toml").read_text())
    text = (SEED / "train.py").read_text()
    values = read_literals(text).values
    for profile in table["profiles"].values():
        written = read_literals(write_literals(text, profile.get("literals", {}))).values
        for name, parameter in profile["space"].items():
            value = written[name]
            if "choices" in parameter:
                assert value in parameter["choices"], name
            else:
                assert parameter["low"] <= value <= parameter["high"], name
                assert isinstance(value, int if parameter["type"] == "int" else float), name
        assert written["TOTAL_BATCH_SIZE"] % (written["DEVICE_BATCH_SIZE"] * profile["seq_len"]) == 0
    assert set(table["required"]) <= set(re.findall(r"^def (\w+)", text, re.MULTILINE))
    assert values["DEPTH"] == 2
    assert len(text.splitlines()) < 350
