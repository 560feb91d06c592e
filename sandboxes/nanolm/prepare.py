"""The locked side of a training: the data, the budget, and the place where the weights go.

In a sandbox everything comes from the environment and over the channel `$AGENTOPT_CHANNEL`; what is counted is counted
at its other end. Run by hand, the other end is a thread of this process, which needs agentopt to be installed.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

VOCAB_SIZE = int(os.environ.get("AGENTOPT_VOCAB_SIZE", "1024"))
"""How many different tokens there are."""
SEQ_LEN = int(os.environ.get("AGENTOPT_SEQ_LEN", "128"))
"""Tokens per row, in training and in the evaluation."""
DEVICE = os.environ.get("AGENTOPT_DEVICE", "cpu")
"""Where to compute: cpu or cuda."""
SEED = int(os.environ.get("AGENTOPT_SEED", "0"))
"""The seed of this training."""
WEIGHTS = "weights.safetensors"

_REQUEST, _REPLY = struct.Struct("<IQ"), struct.Struct("<IId")
_BATCH, _SPENT = 0, 1
_state = {"progress": 0.0}

if DEVICE == "cpu":
    torch.set_num_threads(1)  # results are then the same bit by bit, and trials side by side do not slow each other


def batches(model: nn.Module, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields inputs and targets, int64 of shape (rows, SEQ_LEN) on DEVICE, until the budget is spent.

    The size of the model is declared with each request, because larger ones use up a budget in virtual seconds faster.
    """
    size = sum(parameter.numel() for parameter in model.state_dict().values())
    channel = _channel()
    while True:
        channel.sendall(_REQUEST.pack(rows, size))
        state, count, _state["progress"] = _REPLY.unpack(_receive(channel, _REPLY.size))
        if state == _SPENT:
            return
        if state != _BATCH:
            raise SystemExit(f"The feed refused a batch of {rows} rows for a model of {size} parameters.")
        data = _receive(channel, 2 * count * (SEQ_LEN + 1))
        tokens = torch.frombuffer(data, dtype=torch.uint16).to(torch.int64).view(count, SEQ_LEN + 1).to(DEVICE)
        yield tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def progress() -> float:
    """Returns the share of the budget that was used before the current batch, from 0 to 1: what schedules follow."""
    return _state["progress"]


def save(model: nn.Module) -> None:
    """Writes the weights where the evaluation takes them from."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, WEIGHTS)


def _channel() -> socket.socket:
    if "channel" not in _state:
        number = os.environ.get("AGENTOPT_CHANNEL")
        if number is not None:
            _state["channel"] = socket.socket(fileno=int(number))
        else:
            from agentopt.lm.training import feed_by_hand

            _state["channel"] = feed_by_hand(vocab_size=VOCAB_SIZE, seq_len=SEQ_LEN, seed=SEED)
    return _state["channel"]


def _receive(channel: socket.socket, size: int) -> bytearray:
    data, done = bytearray(size), 0
    while done < size:
        got = channel.recv_into(memoryview(data)[done:])
        if got == 0:
            raise SystemExit("The feed has closed the channel.")
        done += got
    return data
