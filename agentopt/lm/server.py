"""Answers rows of tokens with the logits of a trial's model, inside a sandbox; started as a file, knows no agentopt.

The folder it runs in holds the trial's `train.py`, `prepare.py` and the weights. It first sends a greeting of 8 bytes:
a state (u32; 0: ready, 1: the weights do not fit the model) and the length of the text that follows (u32). A question
is rows (u32) and length (u32), a span (first and last position + 1, u32 each) per row, then rows x length tokens (u16),
all little-endian; the answer is the number of logits (u64) and the logits of the spans, float32.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

GREETING, QUESTION, ANSWER = struct.Struct("<II"), struct.Struct("<II"), struct.Struct("<Q")
READY, MISFIT = 0, 1
WEIGHTS = "weights.safetensors"


def main() -> None:
    """Builds the model, loads the weights strictly, then answers until the channel closes."""
    channel = socket.socket(fileno=int(os.environ["AGENTOPT_CHANNEL"]))
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    import torch
    from safetensors.torch import load_file

    device = os.environ["AGENTOPT_DEVICE"]
    if device == "cpu":
        torch.set_num_threads(1)
    import train  # type: ignore[import-not-found]

    model = train.build()
    try:
        model.load_state_dict(load_file(WEIGHTS), strict=True)
    except Exception as error:
        text = str(error).encode("utf-8", "replace")[:2000]
        channel.sendall(GREETING.pack(MISFIT, len(text)) + text)
        return
    model = model.to(device).eval()
    channel.sendall(GREETING.pack(READY, 0))
    with torch.inference_mode():
        while (head := _receive(channel, QUESTION.size)) is not None:
            rows, length = QUESTION.unpack(head)
            spans = struct.unpack(f"<{2 * rows}I", _receive(channel, 8 * rows) or b"")
            tokens = torch.frombuffer(_receive(channel, 2 * rows * length) or bytearray(), dtype=torch.uint16)
            logits = model(tokens.to(torch.int64).view(rows, length).to(device)).float()
            parts = [logits[row, spans[2 * row] : spans[2 * row + 1]].flatten() for row in range(rows)]
            data = torch.cat(parts).cpu().numpy().astype("<f4").tobytes()
            channel.sendall(ANSWER.pack(len(data) // 4) + data)


def _receive(channel: socket.socket, size: int) -> bytearray | None:
    """Returns exactly `size` bytes; None where the channel has closed."""
    data, done = bytearray(size), 0
    while done < size:
        got = channel.recv_into(memoryview(data)[done:])
        if got == 0:
            return None
        done += got
    return data


if __name__ == "__main__":
    main()
