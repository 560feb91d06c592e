"""A model that is a GGUF file of the user's: what it must be, its digest, and its checkpoint in the cache."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agentopt.errors import UsageError
from agentopt.llm.checkpoint import make_checkpoint
from agentopt.paths import cache_dir

SUFFIX = ".gguf"
MAGIC = b"GGUF"
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file and the SHA-256 of what is in it."""

    path: Path
    sha256: str

    @property
    def label(self) -> str:
        """The file and which weights these are, for the run's record."""
        return f"GGUF file {self.path}, SHA-256 {self.sha256}"

    @property
    def checkpoint(self) -> Path:
        """The folder of its checkpoint; a file with other weights has another one."""
        return cache_dir("models", f"{self.path.stem}-{self.sha256[:12]}")


def open_gguf(path: Path) -> GgufFile:
    """Returns the file; raises UsageError where it is none that can be converted."""
    path = path.resolve()
    try:
        with path.open("rb") as file:
            begin = file.read(len(MAGIC))
        if begin != MAGIC:
            raise UsageError(
                f"{path} is not a GGUF file: it begins with {begin!r}, not with {MAGIC!r}. A model is a GGUF file, or"
                " a folder with config.json, *.safetensors and a tokenizer."
            )
        if _PART.search(path.name):
            raise UsageError(
                f"{path} is one of several parts of a model: join them with  llama-gguf-split --merge {path.name} OUT"
            )
        return GgufFile(path, digest_of(path))
    except OSError as error:
        raise UsageError(f"The model file {path} cannot be read: {error.strerror}.") from error


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file, which is read once while it stays as it is."""
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert_gguf(file: GgufFile, progress: Callable[[str], None]) -> Path:
    """Returns the folder of the file's checkpoint; of several processes that ask, one makes it."""
    progress(f"{file.path.name}: SHA-256 {file.sha256}")
    source = {"file": str(file.path), "sha256": file.sha256}
    return make_checkpoint(file.checkpoint, source, lambda _work: file.path, progress)
