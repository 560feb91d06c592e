"""The frozen evaluator: exchanges tokens for logits with two servers of a trial's model, and computes bits per byte.

The first server answers every row once, in random order. The second answers the same rows with other ends. What it
says before the cut must agree: a model that looks ahead, or remembers other rows, or learns from them, differs. Nothing
that a server says is believed but its logits, and these are normalised here.
"""

from __future__ import annotations

import itertools
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentopt.lm.channel import Closed, Late, receive, send
from agentopt.lm.exam import Exam, Question
from agentopt.lm.server import ANSWER, GREETING, QUESTION, READY
from agentopt.sandbox import Execution
from agentopt.sandbox.endings import last_words

BATCH_TOKENS = 2048
"""Tokens per question: one row at least."""
_TEXT = 1500
_LEAVE_SECONDS = 5.0
"""How long a server that has closed its channel may take to end by itself: only then is it known why it did."""


class Verdict(StrEnum):
    """What came of an evaluation."""

    OK = "ok"
    NOT_FINITE = "not finite"
    """A logit is NaN or infinite."""
    NOT_CAUSAL = "not causal"
    """Logits depend on later tokens or on other rows."""
    TRUNCATED = "truncated"
    """An answer has not the length that was asked for."""
    HANG = "hang"
    """No answer came in time."""
    CRASH = "crash"
    MISFIT = "weights do not fit"
    """The weights are not those of the model that the code builds."""


@dataclass(frozen=True)
class Tolerance:
    """How far the servers may differ in the log-probability of the right token, in nats."""

    gap: float
    """At any position that is compared."""
    gain: float
    """On average at the last position before the cuts, where a look at the next token would pay: it bounds the bits
    per token that looking could have gained."""


@dataclass(frozen=True)
class Score:
    """What a model is worth; the numbers are there when the verdict is ok."""

    verdict: Verdict
    reason: str = ""
    bpb: float = math.nan
    """Bits per byte: nats of all right tokens that have bytes / (ln 2 x their bytes)."""
    tokens: int = 0
    gap: float = math.nan
    """The largest difference between the servers that was seen, in nats."""
    gain: float = math.nan
    execution: Execution | None = None
    """How a server that crashed ended."""


class ModelServer(Protocol):
    """A running model server."""

    @property
    def channel(self) -> socket.socket:
        """The connection to it."""

    def wait(self) -> Execution:
        """Returns how it ended, when it has."""

    def kill(self, reason: str) -> None:
        """Ends it."""


class _Refused(Exception):
    """A server did not answer as it has to."""

    def __init__(self, verdict: Verdict, reason: str, execution: Execution | None = None) -> None:
        super().__init__(reason)
        self.verdict, self.execution = verdict, execution


def evaluate(first: ModelServer, second: ModelServer, exam: Exam, tolerance: Tolerance, timeout: float) -> Score:
    """Returns the score of the model that both servers serve, within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    logp = np.full((len(exam.rows), exam.seq_len), np.nan)
    probed = np.full((len(exam.cuts), exam.seq_len), np.nan)
    try:
        for server in (first, second):
            _greet(server, deadline)
        for question, of_probes, answer in _exchange(first, second, exam, deadline):
            _fill(probed if of_probes else logp, exam, question, answer, of_probes=of_probes)
    except _Refused as refused:
        return Score(refused.verdict, str(refused), execution=refused.execution)
    difference = logp[exam.probed] - probed
    gap = float(np.nanmax(np.abs(difference)))
    gain = float(difference[np.arange(len(exam.cuts)), exam.cuts - 1].mean())
    if not (gap <= tolerance.gap and abs(gain) <= tolerance.gain):
        reason = f"it depends on later tokens or on other rows: up to {gap:.3g} nats, {gain:.3g} on average at the cuts"
        return Score(Verdict.NOT_CAUSAL, reason, gap=gap, gain=gain)
    right = exam.rows[:, 1:]
    lengths = exam.token_bytes[right].astype(np.int64)
    nats = -logp[lengths > 0].sum()
    return Score(Verdict.OK, "", float(nats / (math.log(2) * lengths.sum())), right.size, gap, gain)


def _exchange(
    first: ModelServer, second: ModelServer, exam: Exam, deadline: float
) -> Iterator[tuple[Question, bool, NDArray[np.float32]]]:
    """Yields each question, whether it is one of probes, and its answer: the logits of its spans, shape (n, vocab).

    The servers are asked in turn, so that each computes while the other one's answer is looked at.
    """
    batch = max(1, BATCH_TOKENS // exam.seq_len)
    open_ends: deque[tuple[ModelServer, Question, bool]] = deque()
    pairs = itertools.zip_longest(exam.questions(batch), exam.probes(batch))
    turns = (turn for rows, probes in pairs for turn in ((first, rows, False), (second, probes, True)))
    for server, question, of_probes in turns:
        if question is not None:
            _ask(server, question, deadline)
            open_ends.append((server, question, of_probes))
        if len(open_ends) == 2:
            asked, known, kind = open_ends.popleft()
            yield known, kind, _answer(asked, known, len(exam.token_bytes), deadline)
    for asked, known, kind in open_ends:
        yield known, kind, _answer(asked, known, len(exam.token_bytes), deadline)


def _fill(
    table: NDArray[np.float64], exam: Exam, question: Question, logits: NDArray[np.float32], *, of_probes: bool
) -> None:
    """Writes the log-probabilities of the right tokens into the table, at their rows and positions."""
    spans = question.last - question.first
    places = np.repeat(np.arange(len(spans)), spans)
    positions = np.arange(len(places)) - np.repeat(np.cumsum(spans) - spans, spans) + question.first[places]
    rows = exam.probed[question.ids] if of_probes else question.ids
    found = log_probabilities(logits, exam.rows[rows[places], positions + 1])
    counts = places < question.count
    table[question.ids[places[counts]], positions[counts]] = found[counts]


def log_probabilities(logits: NDArray[np.float32], tokens: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Returns the natural logarithm of the softmax at one token per row; logits (n, vocab) and tokens (n,)."""
    with np.errstate(over="ignore", under="ignore"):
        top = logits.max(axis=1, keepdims=True)
        total = np.exp(logits - top).sum(axis=1, dtype=np.float64)
    right = np.take_along_axis(logits, tokens[:, None].astype(np.int64), axis=1)[:, 0]
    logp: NDArray[np.float64] = right.astype(np.float64) - top[:, 0] - np.log(total)
    return logp


def _greet(server: ModelServer, deadline: float) -> None:
    """Waits until a server has loaded the model."""
    state, length = GREETING.unpack(_receive(server, GREETING.size, deadline))
    if state == READY:
        return
    text = _receive(server, min(length, _TEXT), deadline).decode("utf-8", "replace")
    raise _Refused(Verdict.MISFIT, text or "the model server refused the weights")


def _ask(server: ModelServer, question: Question, deadline: float) -> None:
    spans = np.stack([question.first, question.last], axis=1).astype("<u4")
    head = QUESTION.pack(*question.tokens.shape)
    try:
        send(server.channel, head + spans.tobytes() + question.tokens.astype("<u2").tobytes(), deadline)
    except Late:
        raise _Refused(Verdict.HANG, "the model took too long") from None
    except Closed:
        raise _crash(server) from None


def _answer(server: ModelServer, question: Question, vocab: int, deadline: float) -> NDArray[np.float32]:
    """Returns the logits of the question's spans, one row of `vocab` for each position."""
    wanted = int((question.last - question.first).sum()) * vocab
    (count,) = ANSWER.unpack(_receive(server, ANSWER.size, deadline))
    if count != wanted:
        raise _Refused(Verdict.TRUNCATED, f"the model gave {count} logits where {wanted} were asked for")
    try:
        data = receive(server.channel, 4 * wanted, deadline)
    except Closed:
        raise _Refused(Verdict.TRUNCATED, f"the model gave fewer than the {wanted} logits it announced") from None
    except Late:
        raise _Refused(Verdict.HANG, "the model took too long") from None
    logits: NDArray[np.float32] = np.frombuffer(data, "<f4").reshape(-1, vocab)
    if not np.isfinite(logits).all():
        raise _Refused(Verdict.NOT_FINITE, "the model gave a logit that is NaN or infinite")
    return logits


def _receive(server: ModelServer, size: int, deadline: float) -> bytearray:
    try:
        return receive(server.channel, size, deadline)
    except Late:
        raise _Refused(Verdict.HANG, "the model took too long") from None
    except Closed:
        raise _crash(server) from None


def _crash(server: ModelServer) -> _Refused:
    """Returns the refusal of a server that has left: how it ended, and its own last words."""
    timer = threading.Timer(_LEAVE_SECONDS, server.kill, ["it closed its channel and went on"])
    timer.start()
    try:
        execution = server.wait()
    finally:
        timer.cancel()
    return _Refused(Verdict.CRASH, last_words(execution, _TEXT) or "the model server ended", execution)
