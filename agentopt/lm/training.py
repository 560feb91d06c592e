"""Runs the training of a trial in its sandbox, with the feed at the other end of the channel."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from agentopt.lm.budget import Budget, CostModel, Meter
from agentopt.lm.dataset import Dataset, load_dataset
from agentopt.lm.feed import Ending, Rows, Served, serve
from agentopt.sandbox import Execution, Sandbox

GRACE_SECONDS = 60.0
"""How long a training may go on after its budget is spent, to save its weights."""
BY_HAND = Budget.parse("250k tokens")
_FREE = CostModel(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Profile:
    """The fixed sizes of a training, which its code may not choose."""

    vocab_size: int
    seq_len: int
    device: str = "cpu"

    def environment(self, seed: int = 0) -> dict[str, str]:
        """Returns the variables that `prepare.py` reads."""
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if self.device == "cpu" else {}
        return {
            "AGENTOPT_VOCAB_SIZE": str(self.vocab_size),
            "AGENTOPT_SEQ_LEN": str(self.seq_len),
            "AGENTOPT_DEVICE": self.device,
            "AGENTOPT_SEED": str(seed),
            "PYTHONDONTWRITEBYTECODE": "1",
            **threads,
        }


def train(
    box: Sandbox,
    argv: Sequence[str],
    *,
    dataset: Dataset,
    profile: Profile,
    budget: Budget,
    cost: CostModel,
    seed: int,
    timeout: float,
) -> tuple[Execution, Served]:
    """Runs a training program to its end and returns how it went and what it was served.

    It is killed `timeout` wall seconds after its start, and `GRACE_SECONDS` after the feed stopped.
    """
    rows = Rows(dataset.train, profile.seq_len, seed)
    with box.start(argv, env=profile.environment(seed), timeout=timeout) as process:
        served = serve(process.channel, rows, Meter(budget, cost), profile.seq_len)
        late = f"went on for more than {GRACE_SECONDS:g} s after the feed stopped ({served.ending})"
        timer = threading.Timer(0.0 if served.ending is Ending.NONSENSE else GRACE_SECONDS, process.kill, [late])
        timer.start()
        try:
            return process.wait(), served
        finally:
            timer.cancel()


def feed_by_hand(vocab_size: int, seq_len: int, seed: int) -> socket.socket:
    """Returns a channel to a feed in this process: `BY_HAND` of the corpus stdlib."""
    dataset = load_dataset("stdlib", vocab_size)
    rows, meter = Rows(dataset.train, seq_len, seed), Meter(BY_HAND, _FREE)
    ours, theirs = socket.socketpair()
    threading.Thread(target=serve, args=(ours, rows, meter, seq_len), daemon=True).start()
    return theirs
