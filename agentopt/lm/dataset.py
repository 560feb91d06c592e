"""Knows the token arrays of a corpus: built once, checked by hash, kept in the cache."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from agentopt.errors import RunError, UsageError
from agentopt.lm.corpora import Corpus, Document, Split, find_corpus
from agentopt.lm.tokenizer import Tokenizer
from agentopt.paths import cache_dir

VERSION = 2
"""Of the way in which text becomes arrays: another one is another folder of the cache."""
BPE_CHARS = 100_000_000
"""How much of the training split the tokenizer is trained on."""
LOCK_SECONDS = 3600.0
_BATCH = 256
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a dataset is made of."""

    corpus: str
    description: str
    licence: str
    vocab_size: int
    documents: dict[str, int]
    """By split."""
    tokens: dict[str, int]
    text_bytes: dict[str, int]
    text_sha256: str
    """Of all documents, one after the other."""
    sha256: dict[str, str]
    """By file."""


@dataclass(frozen=True)
class Dataset:
    """The tokens of a corpus, in three splits."""

    folder: Path
    manifest: Manifest
    hidden: tuple[Path, ...] = ()
    """What a sandbox has to cover: held-out text that lies where sandboxed programs may read."""

    @property
    def vocab_size(self) -> int:
        """The number of different tokens."""
        return self.manifest.vocab_size

    @cached_property
    def token_bytes(self) -> NDArray[np.uint16]:
        """The length of each token in bytes; 0 for the special one. Shape (vocab,)."""
        return self._load("token_bytes.npy")

    @cached_property
    def train(self) -> NDArray[np.uint16]:
        """The tokens of the training split, one document after the other, mapped from the disk."""
        return self._load("train.npy")

    def held_out(self, split: Split) -> NDArray[np.uint16]:
        """Returns the tokens of a split, one document after the other, mapped from the disk."""
        return self._load(f"{split}.npy")

    @property
    def key(self) -> bytes:
        """A secret of this machine's copy, for choices that a trial must not foresee."""
        return (self.folder / "key").read_bytes()

    def tokenizer(self) -> Tokenizer:
        """Returns the tokenizer, for people who want to read what a model writes."""
        return Tokenizer.load(self.folder / "tokenizer.json")

    def _load(self, name: str) -> NDArray[np.uint16]:
        path = self.folder / name
        if _sha256(path) != self.manifest.sha256[name]:
            raise RunError(f"{path} is not what was built: remove {self.folder}, then it is built again.")
        array: NDArray[np.uint16] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def load_dataset(corpus: str = "stdlib", vocab_size: int = 1024) -> Dataset:
    """Returns the dataset of a corpus (see `find_corpus`), building it where the cache does not have it.

    Raises UsageError where the corpus cannot be had or is too small.
    """
    source = find_corpus(corpus)
    folder = _folder(source, vocab_size)
    if not (folder / _MANIFEST).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_SECONDS):
            if not (folder / _MANIFEST).exists():
                _build(source, vocab_size, folder)
    return Dataset(folder, _manifest(folder), source.hidden)


def find_manifest(corpus: str, vocab_size: int) -> Manifest | None:
    """Returns what is known of a dataset that was built; None where it was not: nothing is built for this."""
    folder = _folder(find_corpus(corpus), vocab_size)
    return _manifest(folder) if (folder / _MANIFEST).exists() else None


def _folder(source: Corpus, vocab_size: int) -> Path:
    key = hashlib.sha256(f"{VERSION} {vocab_size} {source.fingerprint}".encode()).hexdigest()[:12]
    return cache_dir("lm", f"{source.name}-{vocab_size}-{key}")


def _manifest(folder: Path) -> Manifest:
    return Manifest(**json.loads((folder / _MANIFEST).read_text(encoding="utf-8")))


def _build(source: Corpus, vocab_size: int, folder: Path) -> None:
    """Makes the folder of a dataset; it appears when it is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary, "dataset")
        made.mkdir()
        tokenizer = Tokenizer.train(_bpe_texts(source), vocab_size)
        writers = {split: _Writer(made / f"{split}.raw") for split in Split}
        documents, digest = _distinct(source), hashlib.sha256()
        while batch := list(itertools.islice(documents, _BATCH)):
            encoded = tokenizer.encode([text for _, text in batch])
            for (split, text), tokens in zip(batch, encoded, strict=True):
                writers[split].add(text, tokens)
                digest.update(text.encode())
        for split, writer in writers.items():
            writer.finish(made / f"{split}.npy")
        np.save(made / "token_bytes.npy", tokenizer.token_bytes)
        tokenizer.save(made / "tokenizer.json")
        (made / "key").write_bytes(secrets.token_bytes(32))
        manifest = Manifest(
            corpus=source.name,
            description=source.description,
            licence=source.licence,
            vocab_size=vocab_size,
            documents={split: writer.documents for split, writer in writers.items()},
            tokens={split: writer.tokens for split, writer in writers.items()},
            text_bytes={split: writer.text_bytes for split, writer in writers.items()},
            text_sha256=digest.hexdigest(),
            sha256={path.name: _sha256(path) for path in sorted(made.glob("*.npy"))},
        )
        (made / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
        made.rename(folder)


class _Writer:
    """Appends the tokens of one split to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self.documents = self.tokens = self.text_bytes = 0

    def add(self, text: str, tokens: NDArray[np.uint16]) -> None:
        """Appends a document."""
        self._file.write(tokens.astype("<u2").tobytes())
        self.documents += 1
        self.tokens += len(tokens)
        self.text_bytes += len(text.encode())

    def finish(self, target: Path) -> None:
        """Writes everything as an array file."""
        self._file.close()
        empty = np.zeros(0, np.uint16)
        np.save(target, np.memmap(self._path, dtype="<u2", mode="r") if self.tokens else empty)
        self._path.unlink()


def _distinct(source: Corpus) -> Iterator[Document]:
    """Yields the documents that are not empty, each text once; raises UsageError where there is none."""
    seen: set[bytes] = set()
    for split, text in source.documents():
        digest = hashlib.sha256(text.encode()).digest()[:16]
        if text.strip() and digest not in seen:
            seen.add(digest)
            yield split, text
    if not seen:
        raise UsageError(f"The corpus {source.name} has no text: it must be UTF-8.")


def _bpe_texts(source: Corpus) -> Iterator[str]:
    length = 0
    for split, text in _distinct(source):
        if length >= BPE_CHARS:
            return
        if split is Split.TRAIN:
            length += len(text)
            yield text


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
