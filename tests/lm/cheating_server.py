"""A model server without torch: `cheating_server.py KIND` speaks the protocol of agentopt/lm/server.py."""

import hashlib
import json
import os
import socket
import struct
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

SEED = 7


@cache
def table(vocab):
    """The honest model: a token's logits are a row of this."""
    return np.random.default_rng(SEED).normal(size=(vocab, vocab)).astype(np.float32)


def honest(tokens, vocab):
    return table(vocab)[tokens]


def boost(logits, tokens, chosen, by=10.0):
    """Raises the next token's logit at the chosen positions (n, T-1)."""
    rows, places = np.nonzero(chosen)
    logits[rows, places, tokens[rows, places + 1]] += by


class Model:
    def __init__(self, kind, vocab, held_out):
        self.kind, self.vocab, self.table = kind, vocab, table(vocab)
        self.counts = np.zeros((vocab, vocab), np.float32)
        self.seen, self.calls = [], 0
        self.memory = {}
        if kind == "memoriser":
            try:
                stream = np.load(held_out)
            except OSError:
                stream = np.zeros(0, np.uint16)
            for i in range(len(stream) - 4):
                self.memory.setdefault(stream[i : i + 4].tobytes(), int(stream[i + 4]))

    def __call__(self, tokens):
        logits = self.table[tokens]
        self.calls += 1
        if hasattr(self, self.kind):
            getattr(self, self.kind)(logits, tokens)
        return logits

    def peek(self, logits, tokens):
        boost(logits, tokens, np.ones_like(tokens[:, 1:], bool))

    def peek_rarely(self, logits, tokens):
        marks = [
            [int(hashlib.md5(row[: i + 1].tobytes()).digest()[0]) < 13 for i in range(len(row) - 1)] for row in tokens
        ]
        boost(logits, tokens, np.array(marks))

    def peek_two_ahead(self, logits, tokens):
        rows, places = np.nonzero(np.ones_like(tokens[:, 2:], bool))
        logits[rows, places, tokens[rows, places + 2]] += 5.0

    def peek_a_little(self, logits, tokens):
        boost(logits, tokens, np.ones_like(tokens[:, 1:], bool), by=0.01)

    def peek_where_natural(self, logits, tokens):
        rows, places = np.indices(tokens[:, 1:].shape)
        own = logits[rows, places, tokens[:, 1:]]
        boost(logits, tokens, own > np.quantile(logits, 0.5))

    def whole_row(self, logits, tokens):
        for row, values in zip(tokens, logits, strict=True):
            np.add(values, 3 * np.bincount(row, minlength=self.vocab) / len(row), out=values, casting="unsafe")

    def learn(self, logits, tokens):
        logits += np.log1p(self.counts)[tokens]
        np.add.at(self.counts, (tokens[:, :-1], tokens[:, 1:]), 1.0)

    def cache_rows(self, logits, tokens):
        """Finds the row that this one continues: the held-out rows are pieces of one stream."""
        for row, values in zip(tokens, logits, strict=True):
            for old in self.seen:
                values[0] += 0.5 * (np.arange(self.vocab) == old[-1])
            self.seen.append(row.copy())

    def repeat_detector(self, logits, tokens):
        """Answers a row that begins as one it has seen with what came then."""
        for row, values in zip(tokens, logits, strict=True):
            for old in self.seen:
                same = int(np.argmin(np.append(old == row, False)))
                if same >= 8:
                    values[np.arange(len(row) - 1), old[1:]] += 10.0
            self.seen.append(row.copy())

    def nan(self, logits, tokens):
        if self.calls == 3:
            logits[0, -1, 5] = np.nan

    def inf(self, logits, tokens):
        logits[0, 0, 0] = np.inf

    def giant(self, logits, tokens):
        logits[:] = 3e38

    def extreme(self, logits, tokens):
        logits[:] = -3e38
        logits[..., 0] = 3e38

    def memoriser(self, logits, tokens):
        for row, values in zip(tokens, logits, strict=True):
            for i in range(3, len(row)):
                known = self.memory.get(row[i - 3 : i + 1].astype(np.uint16).tobytes())
                if known is not None:
                    values[i, known] += 10.0


def receive(channel, size):
    data = b""
    while len(data) < size:
        got = channel.recv(size - len(data))
        if not got:
            sys.exit(0)
        data += got
    return data


def main(kind, vocab, held_out):
    channel = socket.socket(fileno=int(os.environ["AGENTOPT_CHANNEL"]))
    if kind == "never_ready":
        time.sleep(60)
    model = Model(kind, vocab, held_out)
    channel.sendall(struct.pack("<II", 0, 0))
    while True:
        rows, length = struct.unpack("<II", receive(channel, 8))
        spans = np.frombuffer(receive(channel, 8 * rows), "<u4").reshape(rows, 2)
        tokens = np.frombuffer(receive(channel, 2 * rows * length), "<u2").reshape(rows, length).astype(np.int64)
        logits = model(tokens)
        data = b"".join(logits[i, a:b].astype("<f4").tobytes() for i, (a, b) in enumerate(spans))
        count = len(data) // 4
        if kind == "crash":
            raise RuntimeError("the model fell over")
        if kind == "hang" and model.calls == 2:
            time.sleep(60)
        if kind == "short":
            data, count = data[:-4], count - 1
        if kind == "half":
            channel.sendall(struct.pack("<Q", count) + data[: len(data) // 2])
            sys.exit(0)
        if kind == "huge":
            count = 1 << 40
        channel.sendall(struct.pack("<Q", count) + data)


if __name__ == "__main__":
    settings = json.loads(Path(sys.argv[2]).read_text())
    main(sys.argv[1], settings["vocab"], settings["held_out"])
