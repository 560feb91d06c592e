"""The trusted end of a training's channel: serves shuffled rows of tokens and counts the budget.

A request is 12 bytes, little-endian: rows (u32) and the size of the model in parameters (u64). The reply is 16 bytes:
a state (u32; 0: a batch follows, 1: the budget is spent, 2: refused), rows (u32) and the progress (f64, 0 to 1); then,
for a batch, rows x (seq_len + 1) tokens as u16, each row with the token after its last input.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from agentopt.errors import UsageError
from agentopt.lm.budget import Meter
from agentopt.lm.channel import Closed, receive, send

REQUEST = struct.Struct("<IQ")
REPLY = struct.Struct("<IId")
BATCH, SPENT, REFUSED = 0, 1, 2
MAX_TOKENS = 1 << 22
"""The largest batch, in tokens: what one reply may hold."""
MAX_PARAMETERS = 1 << 40


class Ending(StrEnum):
    """Why the feed stopped."""

    SPENT = "spent"
    """The budget was used up."""
    CLOSED = "closed"
    """The training left before that."""
    NONSENSE = "nonsense"
    """It asked for what there is not: no rows, too many, a model without parameters."""


@dataclass(frozen=True)
class Served:
    """What a training got: the truth about its cost."""

    ending: Ending
    tokens: int
    steps: int
    parameters: int
    """The largest model that it said it trains; to be checked against what it saves."""
    virtual_seconds: float
    wall_seconds: float


class Rows:
    """An endless stream of rows: in each epoch every row once, in another order, cut at another offset."""

    def __init__(self, tokens: NDArray[np.uint16], seq_len: int, seed: int) -> None:
        """Raises UsageError where the tokens do not make one row."""
        if len(tokens) < 2 * seq_len + 1:
            raise UsageError(f"The training text has {len(tokens)} tokens: too few for rows of {seq_len}.")
        self._tokens, self._seq_len, self._seed = tokens, seq_len, seed
        self._starts = self._all_starts()
        self._left = np.zeros(0, np.int64)

    def take(self, count: int) -> NDArray[np.uint16]:
        """Returns the next rows, shape (count, seq_len + 1)."""
        while len(self._left) < count:
            self._left = np.concatenate([self._left, next(self._starts)])
        starts, self._left = self._left[:count], self._left[count:]
        rows: NDArray[np.uint16] = self._tokens[starts[:, None] + np.arange(self._seq_len + 1)]
        return rows

    def _all_starts(self) -> Iterator[NDArray[np.int64]]:
        epoch = 0
        while True:
            rng = np.random.default_rng([self._seed, epoch])
            offset = int(rng.integers(self._seq_len))
            count = (len(self._tokens) - 1 - offset) // self._seq_len
            yield offset + self._seq_len * rng.permutation(count)
            epoch += 1


def serve(channel: socket.socket, rows: Rows, meter: Meter, seq_len: int) -> Served:
    """Serves a training until its budget is spent, it leaves, or it asks for nonsense.

    It waits for requests without a deadline: the sandbox ends a training that hangs, which closes the channel.
    """
    ending = Ending.CLOSED
    try:
        while not meter.spent:
            count, parameters = REQUEST.unpack(receive(channel, REQUEST.size))
            if not (0 < count * seq_len <= MAX_TOKENS and 0 < parameters <= MAX_PARAMETERS):
                ending = Ending.NONSENSE
                send(channel, REPLY.pack(REFUSED, 0, meter.progress))
                break
            progress = meter.progress
            if meter.take(count * seq_len, parameters):
                batch = rows.take(count)
                send(channel, REPLY.pack(BATCH, count, progress) + batch.astype("<u2").tobytes())
            else:
                ending = Ending.SPENT
                send(channel, REPLY.pack(SPENT, 0, 1.0))
    except Closed:
        pass
    return Served(ending, meter.tokens, meter.steps, meter.parameters, meter.virtual_seconds, meter.wall_seconds)
