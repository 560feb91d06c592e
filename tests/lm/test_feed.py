"""The feed and its budgets: what is served is what is counted, whatever is asked for."""

import socket
import struct
import threading

import numpy as np
import pytest

from agentopt.errors import UsageError
from agentopt.lm.budget import UNCOUNTED_SECONDS, UNCOUNTED_STEPS, Budget, BudgetKind, CostModel, Meter
from agentopt.lm.feed import BATCH, MAX_TOKENS, REFUSED, REPLY, REQUEST, SPENT, Ending, Rows, serve

SEQ_LEN = 8
COST = CostModel(per_gflop=0.5, per_mtoken=2.0, per_step=0.25)
STREAM = np.arange(1000, dtype=np.uint16)


class Client:
    """The other end of a feed that runs in a thread."""

    def __init__(self, budget, cost=COST, seed=0, clock=None):
        ours, self.channel = socket.socketpair()
        meter = Meter(Budget.parse(budget), cost, clock) if clock else Meter(Budget.parse(budget), cost)
        self.served = None
        self._thread = threading.Thread(target=self._run, args=(ours, meter, seed))
        self._thread.start()

    def _run(self, ours, meter, seed):
        with ours:
            self.served = serve(ours, Rows(STREAM, SEQ_LEN, seed), meter, SEQ_LEN)

    def ask(self, rows, parameters=1000):
        self.channel.sendall(REQUEST.pack(rows, parameters))
        state, count, progress = REPLY.unpack(self._read(REPLY.size))
        data = self._read(2 * count * (SEQ_LEN + 1))
        return state, np.frombuffer(data, "<u2").reshape(count, SEQ_LEN + 1), progress

    def _read(self, size):
        data = b""
        while len(data) < size:
            data += self.channel.recv(size - len(data))
        return data

    def leave(self):
        self.channel.close()
        self._thread.join(10)
        return self.served


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("250k tokens", BudgetKind.TOKENS, 250_000),
        ("1.5Mtokens", BudgetKind.TOKENS, 1_500_000),
        ("8 virtual", BudgetKind.VIRTUAL, 8),
        ("300s", BudgetKind.WALL, 300),
        ("5 m", BudgetKind.WALL, 300),
    ],
)
def test_a_budget_is_read(text, kind, amount):
    budget = Budget.parse(text)
    assert (budget.kind, budget.amount) == (kind, amount)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "250", "0 tokens", "-5s", "5ks", "inf s", "1e9 tokens", "9999999999999999M tokens"]
)
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="250k tokens"):
        Budget.parse(text)


def test_rows_are_pieces_of_the_text_and_each_comes_once_an_epoch():
    rows = Rows(STREAM, SEQ_LEN, seed=3).take(200)
    assert (np.diff(rows.astype(int), axis=1) == 1).all()
    count = (len(STREAM) - 1 - int(np.random.default_rng([3, 0]).integers(SEQ_LEN))) // SEQ_LEN
    first = rows[:count, 0]
    assert len(set(first.tolist())) == count
    assert first.tolist() != sorted(first.tolist())


def test_the_seed_decides_the_rows():
    def take(seed):
        return Rows(STREAM, SEQ_LEN, seed).take(20).tolist()

    assert take(1) == take(1) != take(2)


def test_a_text_that_is_too_short_is_refused():
    with pytest.raises(UsageError, match="too few"):
        Rows(STREAM[:10], SEQ_LEN, 0)


def test_a_token_budget_is_never_exceeded():
    client = Client("100 tokens")
    assert [client.ask(4)[0] for _ in range(4)] == [BATCH, BATCH, BATCH, SPENT]
    served = client.leave()
    assert (served.ending, served.tokens, served.steps) == (Ending.SPENT, 96, 3)


def test_one_giant_request_gets_nothing_beyond_the_budget():
    client = Client("100 tokens")
    assert client.ask(13)[0] == SPENT
    assert client.leave().tokens == 0


def test_virtual_seconds_follow_the_cost_model_and_favour_small_models():
    def steps(parameters):
        client = Client("10 virtual", CostModel(per_gflop=1000.0, per_mtoken=2000.0, per_step=0.25))
        while client.ask(10, parameters)[0] == BATCH:
            pass
        return client.leave()

    small, large = steps(1000), steps(1_000_000)
    # 80 tokens: 4.8e-4 GFLOP x 1000 + 80e-6 x 2000 + 0.25 = 0.89 s a step
    assert small.steps == 11
    assert small.virtual_seconds == pytest.approx(11 * 0.89)
    assert large.steps == 0
    assert small.parameters == 1000


def test_progress_is_that_before_the_batch():
    client = Client("100 tokens")
    assert [client.ask(4)[2] for _ in range(3)] == pytest.approx([0.0, 0.32, 0.64])
    client.leave()


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def test_wall_seconds_leave_out_the_first_steps():
    clock = Clock()
    meter = Meter(Budget.parse("30s"), COST, clock)
    for _ in range(UNCOUNTED_STEPS):
        assert meter.take(8, 1)
        clock.now += 5
    taken = 0
    while meter.take(8, 1):
        clock.now += 5
        taken += 1
    assert taken == 6
    assert meter.progress == 1.0


def test_the_steps_that_are_left_out_cannot_take_for_ever():
    clock = Clock()
    meter = Meter(Budget.parse("30s"), COST, clock)
    assert meter.take(8, 1)
    clock.now += UNCOUNTED_SECONDS + 31
    assert not meter.take(8, 1)


@pytest.mark.parametrize(
    ("rows", "parameters"), [(0, 1), (MAX_TOKENS // SEQ_LEN + 1, 1), (2**32 - 1, 1), (1, 0), (1, 2**64 - 1)]
)
def test_nonsense_is_refused_and_ends_the_feed(rows, parameters):
    client = Client("1M tokens")
    assert client.ask(rows, parameters)[0] == REFUSED
    assert client.leave().ending is Ending.NONSENSE


@pytest.mark.parametrize("garbage", [b"", b"\x01", struct.pack("<I", 3)])
def test_half_a_request_and_none_end_the_feed(garbage):
    client = Client("1M tokens")
    client.ask(1)
    client.channel.sendall(garbage)
    served = client.leave()
    assert (served.ending, served.steps) == (Ending.CLOSED, 1)
