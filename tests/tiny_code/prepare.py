"""The locked side of the tiny training: batches from the channel, weights to a file. It needs no torch."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

VOCAB_SIZE = int(os.environ["AGENTOPT_VOCAB_SIZE"])
SEQ_LEN = int(os.environ["AGENTOPT_SEQ_LEN"])
SEED = int(os.environ["AGENTOPT_SEED"])


def batches(size: int, rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields inputs and targets, shape (rows, SEQ_LEN), for a model of `size` parameters until the budget is spent."""
    with socket.socket(fileno=int(os.environ["AGENTOPT_CHANNEL"])) as channel:
        stream = channel.makefile("rb")
        while True:
            channel.sendall(struct.pack("<IQ", rows, size))
            state, count, _ = struct.unpack("<IId", stream.read(16))
            if state:
                return
            found = np.frombuffer(stream.read(2 * count * (SEQ_LEN + 1)), "<u2").reshape(count, -1).astype(np.int64)
            yield found[:, :-1], found[:, 1:]


def save(**tensors: NDArray[np.float64]) -> None:
    """Writes the weights where the evaluation takes them from."""
    save_file({name: tensor.astype(np.float32) for name, tensor in tensors.items()}, "weights.safetensors")
