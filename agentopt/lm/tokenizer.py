"""Knows the byte-level BPE: trained on the training split, exact, with the bytes of each token counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentopt.errors import RunError, UsageError

if TYPE_CHECKING:
    import tokenizers

DOCUMENT = "<|document|>"
"""The special token before each document: id 0, worth no bytes."""
SMALLEST_VOCAB, LARGEST_VOCAB = 257, 1 << 16


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise UsageError("Preparing a corpus needs tokenizers: pip install 'agentopt[lm]'") from error
    return tokenizers


class Tokenizer:
    """A byte-level BPE: every text has one encoding, and that decodes to the text."""

    def __init__(self, bpe: tokenizers.Tokenizer) -> None:
        self._bpe = bpe
        self._bpe.encode_special_tokens = True  # a text that spells a special token is text
        self.pieces = _pieces(bpe)
        """The bytes of each token, by id."""

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Returns the tokenizer of these texts; the same texts give the same one."""
        if not SMALLEST_VOCAB <= vocab_size <= LARGEST_VOCAB:
            raise UsageError(f"A vocabulary of {vocab_size} is not possible: {SMALLEST_VOCAB} to {LARGEST_VOCAB} is.")
        library = _library()
        bpe = library.Tokenizer(library.models.BPE())
        bpe.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[DOCUMENT],
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        if bpe.get_vocab_size() != vocab_size:
            raise UsageError(f"The text is too short for a vocabulary of {vocab_size}: give more text.")
        return cls(bpe)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Returns the tokenizer that `save` wrote."""
        return cls(_library().Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        """Writes the tokenizer."""
        self._bpe.save(str(path))

    @property
    def token_bytes(self) -> NDArray[np.uint16]:
        """The length of each token in bytes; 0 for the special one. Shape (vocab,)."""
        return np.array([len(piece) for piece in self.pieces], dtype=np.uint16)

    def encode(self, texts: Sequence[str]) -> Iterator[NDArray[np.uint16]]:
        """Yields the tokens of each text, with `DOCUMENT` before them.

        Raises RunError for a text that does not come back from its tokens, byte for byte.
        """
        for text, encoding in zip(texts, self._bpe.encode_batch_fast(list(texts)), strict=True):
            ids: list[int] = encoding.ids
            if b"".join([self.pieces[i] for i in ids]) != text.encode():
                raise RunError(f"The tokenizer does not give this text back: {text[:80]!r}")
            yield np.array([0, *ids], dtype=np.uint16)

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of tokens; bytes that are no UTF-8 are replaced."""
        return b"".join([self.pieces[i] for i in ids]).decode("utf-8", "replace")


def _pieces(bpe: tokenizers.Tokenizer) -> tuple[bytes, ...]:
    """Returns the bytes of each token: the byte-level alphabet writes each byte as one character."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    pieces = [bpe.id_to_token(i) or "" for i in range(bpe.get_vocab_size())]
    return tuple(b"" if piece == DOCUMENT else bytes([letters[letter] for letter in piece]) for piece in pieces)
