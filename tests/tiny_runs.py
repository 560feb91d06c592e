"""The code task under `tests/tiny_code`, which trains in a fraction of a second, and text for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentopt.sandbox import Tier, why_not

TINY = Path(__file__).parent / "tiny_code"
TEXT = (TINY / "train.py").read_text(encoding="utf-8")


@contextmanager
def tiny_home(folder: Path) -> Iterator[Path]:
    """Gives a corpus in a folder, with a cache of its own for what is made of it; skips where it cannot be used.

    The corpus is a multiplication table in words, about 300,000 characters with a blank line after each row.
    """
    for module in ("torch", "safetensors", "tokenizers"):
        pytest.importorskip(module, reason="needs the extra lm")
    if reason := why_not(Tier.BUBBLEWRAP):
        pytest.skip(f"bubblewrap does not work here: {reason}")
    rows = ("\n".join(f"{a} times {b} is {a * b}." for b in range(1, 100)) for a in range(1, 170))
    corpus = folder / "table.txt"
    corpus.write_text("\n\n".join(rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTOPT_CACHE", str(folder / "cache"))
        yield corpus


def edited(*changes: tuple[str, str], text: str = TEXT) -> str:
    """Returns the code with pieces of it replaced, each of which occurs once."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def processes_of(mark: object) -> list[str]:
    """Returns the command lines of processes, this one aside, that know the mark or are at work in such a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
            known = command + environment + bytes((process / "cwd").readlink())
        except OSError:
            continue
        if str(mark).encode() in known and int(process.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def indented(code: str) -> str:
    """Returns lines of code as those of a function."""
    return re.sub(r"^(?=.)", "    ", code.strip("\n"), flags=re.MULTILINE)
