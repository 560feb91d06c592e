"""Knows the questions that a model is scored by: held-out rows, and the same rows with other ends, in random orders."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentopt.errors import UsageError
from agentopt.lm.corpora import Split
from agentopt.lm.dataset import Dataset

FAST_TOKENS = 65_536
"""How many tokens score a trial during a search."""
BOUNDARIES = 512
"""How many places are probed for a look at later tokens, at least; where rows are fewer, each is cut more than once."""
WINDOW = 16
"""How many positions before each cut are compared."""
_FEWEST_ROWS = 8


@dataclass(frozen=True)
class Question:
    """A batch for a model server: rows of tokens, and the positions of each row whose logits are wanted."""

    ids: NDArray[np.int64]
    """Which row of the exam, or which probe, each of them is; shape (n,)."""
    count: int
    """How many of them count: those after them only fill the batch."""
    tokens: NDArray[np.uint16]
    """Shape (n, seq_len)."""
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    """The wanted positions are first <= t < last, shape (n,)."""


@dataclass(frozen=True)
class Exam:
    """Held-out rows, and how they are asked."""

    rows: NDArray[np.uint16]
    """Shape (n, seq_len + 1), not overlapping."""
    token_bytes: NDArray[np.uint16]
    order: NDArray[np.int64]
    """In which order the first server gets the rows."""
    probed: NDArray[np.int64]
    """Which row each probe is made of, in the order of the second server."""
    cuts: NDArray[np.int64]
    """Before which position of its row each probe ends to be that row, shape (m,)."""
    donors: NDArray[np.int64]
    """Which row gives each probe its other end."""

    @property
    def seq_len(self) -> int:
        """The number of tokens that a model sees at once."""
        return int(self.rows.shape[1]) - 1

    def questions(self, batch: int) -> Iterator[Question]:
        """Yields every row once, all positions wanted; every batch is full, the last one by asking again."""
        for ids, count in _full(self.order, batch):
            none = np.zeros(batch, np.int64)
            yield Question(ids, count, self.rows[ids, :-1], none, none + self.seq_len)

    def probes(self, batch: int) -> Iterator[Question]:
        """Yields every probe once; wanted are up to `WINDOW` positions before its cut."""
        for ids, count in _full(np.arange(len(self.cuts)), batch):
            cuts = self.cuts[ids]
            kept = np.arange(self.seq_len) < cuts[:, None]
            tokens = np.where(kept, self.rows[self.probed[ids], :-1], self.rows[self.donors[ids], :-1])
            yield Question(ids, count, tokens, np.maximum(0, cuts - WINDOW), cuts)


def make_exam(dataset: Dataset, split: Split, seq_len: int, *, salt: bytes, tokens: int | None = FAST_TOKENS) -> Exam:
    """Returns the exam of a held-out split: all of its rows, or evenly spread ones of `tokens` tokens together.

    The rows are the same every time. Orders and cuts follow from `salt` (the hash of the weights) and the dataset's
    key, so that the same weights are asked the same way and no trial can foresee it. Raises UsageError where the split
    is too small.
    """
    stream = dataset.held_out(split)
    count = len(stream) // (seq_len + 1)
    if count < _FEWEST_ROWS:
        raise UsageError(
            f"The {split} split of {dataset.manifest.corpus} has {len(stream)} tokens, {count} rows of {seq_len}: at"
            f" least {_FEWEST_ROWS} are needed. Give more text."
        )
    rows = np.asarray(stream[: count * (seq_len + 1)]).reshape(count, seq_len + 1)
    if tokens is not None and tokens < count * seq_len:
        rows = rows[np.linspace(0, count - 1, max(_FEWEST_ROWS, tokens // seq_len)).round().astype(np.int64)]
    seed = hmac.digest(dataset.key, salt + split.encode(), hashlib.sha256)
    return _asked(rows, dataset.token_bytes, np.random.default_rng(list(seed)))


def _asked(rows: NDArray[np.uint16], token_bytes: NDArray[np.uint16], rng: np.random.Generator) -> Exam:
    """Draws the orders, and for each probe a cut and a donor whose token there is another one."""
    count, seq_len = len(rows), rows.shape[1] - 1
    times = -(-BOUNDARIES // count)
    probed = rng.permutation(np.repeat(np.arange(count), times))
    cuts = rng.integers(1, seq_len, size=len(probed))
    donors = (probed + rng.integers(1, count, size=len(probed))) % count
    for _ in range(count):
        same = rows[donors, cuts] == rows[probed, cuts]
        if not same.any():
            break
        donors = np.where(same, (donors + 1) % count, donors)
    return Exam(rows, token_bytes, rng.permutation(count), probed, cuts, donors)


def _full(ids: NDArray[np.int64], batch: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yields the ids in batches of the same size, the last one filled up, and how many of each are not filling."""
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        yield np.resize(np.concatenate([part, ids]), batch), len(part)
