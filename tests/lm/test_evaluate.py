"""The evaluator against models that cheat, fail or lie."""

import itertools
import json
import math
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from lm.cheating_server import honest

from agentopt.lm.corpora import Split
from agentopt.lm.evaluate import Tolerance, Verdict, evaluate, log_probabilities
from agentopt.lm.exam import make_exam
from agentopt.sandbox import Limits, Sandbox, Tier

SEQ_LEN = 64
STRICT = Tolerance(gap=1e-3, gain=1e-4)
PROGRAM = Path(__file__).with_name("cheating_server.py")


@pytest.fixture(scope="module")
def exam(small_dataset):
    return make_exam(small_dataset, Split.VAL, SEQ_LEN, salt=b"weights")


@pytest.fixture
def judge(small_dataset, exam, tmp_path):
    """Scores the model of that kind, served twice."""

    def run(kind, *, second=None, tier=Tier.PROCESS, tolerance=STRICT, timeout=60.0):
        settings = {"vocab": small_dataset.vocab_size, "held_out": str(small_dataset.folder / "val.npy")}
        with ExitStack() as stack:
            servers = []
            for number, name in enumerate((kind, second or kind)):
                work = tmp_path / f"server-{number}"
                work.mkdir()
                shutil.copy(PROGRAM, work)
                (work / "settings.json").write_text(json.dumps(settings))
                box = Sandbox(work, tier=tier, limits=Limits())
                argv = [sys.executable, PROGRAM.name, name, "settings.json"]
                servers.append(stack.enter_context(box.start(argv, env={"OMP_NUM_THREADS": "1"}, timeout=120)))
            return evaluate(servers[0], servers[1], exam, tolerance, timeout)

    return run


@pytest.fixture(scope="module")
def true_bpb(small_dataset, exam):
    """Computed in the obvious way, token by token."""
    nats, size = 0.0, 0
    for row in exam.rows:
        for here, following in itertools.pairwise(row):
            length = int(exam.token_bytes[following])
            if length:
                logits = honest(np.array([here]), small_dataset.vocab_size)[0].astype(np.float64)
                nats -= logits[following] - math.log(np.exp(logits).sum())
                size += length
    return nats / math.log(2) / size


def test_an_honest_model_gets_its_bits_per_byte(judge, true_bpb, exam):
    score = judge("honest")
    assert score.verdict is Verdict.OK
    assert score.bpb == pytest.approx(true_bpb, rel=1e-6)
    assert score.tokens == exam.rows[:, 1:].size
    assert score.gap == 0.0


def test_the_same_weights_get_the_same_score_to_the_last_bit(judge, tmp_path):
    first = judge("honest").bpb
    for folder in tmp_path.glob("server-*"):
        shutil.rmtree(folder)
    assert judge("honest").bpb == first


@pytest.mark.parametrize(
    "kind",
    [
        "peek",
        "peek_rarely",
        "peek_two_ahead",
        "peek_a_little",
        "peek_where_natural",
        "whole_row",
        "learn",
        "cache_rows",
    ],
)
def test_looking_ahead_or_at_other_rows_is_rejected(judge, kind):
    score = judge(kind)
    assert score.verdict is Verdict.NOT_CAUSAL, score


def test_a_model_that_is_honest_only_when_probed_is_rejected(judge):
    assert judge("peek_rarely", second="honest").verdict is Verdict.NOT_CAUSAL


def test_a_small_look_ahead_below_the_gap_is_found_on_average(judge):
    score = judge("peek_a_little", tolerance=Tolerance(gap=0.5, gain=1e-3))
    assert score.verdict is Verdict.NOT_CAUSAL
    assert 0.005 < score.gain < 0.015


def test_remembering_what_repeats_is_worth_nothing(judge, true_bpb):
    score = judge("repeat_detector")
    assert score.verdict is Verdict.NOT_CAUSAL or score.bpb == pytest.approx(true_bpb, rel=1e-6)


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_logits_that_are_not_finite_are_rejected(judge, kind):
    assert judge(kind).verdict is Verdict.NOT_FINITE


def test_giant_equal_logits_are_a_uniform_guess(judge, exam, small_dataset):
    score = judge("giant")
    counted = exam.token_bytes[exam.rows[:, 1:]]
    uniform = math.log2(small_dataset.vocab_size) * (counted > 0).sum() / counted.sum()
    assert score.bpb == pytest.approx(uniform, rel=1e-6)


def test_extreme_logits_give_a_finite_bad_score(judge):
    score = judge("extreme")
    assert score.verdict is Verdict.OK
    assert 1e30 < score.bpb < math.inf


@pytest.mark.parametrize(
    ("kind", "verdict", "words"),
    [
        ("short", Verdict.TRUNCATED, "logits where"),
        ("huge", Verdict.TRUNCATED, "1099511627776 logits"),
        ("half", Verdict.TRUNCATED, "fewer"),
        ("crash", Verdict.CRASH, "the model fell over"),
    ],
)
def test_answers_of_the_wrong_length_and_crashes_are_named(judge, kind, verdict, words):
    score = judge(kind)
    assert score.verdict is verdict
    assert words in score.reason
    assert math.isnan(score.bpb)


@pytest.mark.parametrize("kind", ["hang", "never_ready"])
def test_a_model_that_does_not_answer_in_time_is_stopped(judge, kind):
    assert judge(kind, timeout=2.0).verdict is Verdict.HANG


def test_held_out_text_is_not_there_to_be_read(judge, true_bpb, bubblewrap, tmp_path):
    with_walls = judge("memoriser", tier=bubblewrap)
    assert with_walls.bpb == pytest.approx(true_bpb, rel=1e-6)
    for folder in tmp_path.glob("server-*"):
        shutil.rmtree(folder)
    without = judge("memoriser", tier=Tier.PROCESS)
    assert without.bpb < 0.9 * true_bpb, "the cheat must work where there are no walls, or this shows nothing"


def test_log_probabilities_are_those_of_the_softmax():
    rng = np.random.default_rng(0)
    logits = (20 * rng.normal(size=(50, 11))).astype(np.float32)
    tokens = rng.integers(0, 11, 50).astype(np.uint16)
    wanted = [
        float(r[t]) - float(np.logaddexp.reduce(r.astype(np.float64))) for r, t in zip(logits, tokens, strict=True)
    ]
    assert log_probabilities(logits, tokens) == pytest.approx(wanted, abs=1e-5)
