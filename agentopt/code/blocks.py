"""Search/replace blocks: how a language model says which lines of a text are replaced by which.

    <<<<<<< SEARCH
    lines that are in the file
    =======
    lines that take their place
    >>>>>>> REPLACE

Blocks are of whole lines and are applied one after the other. What is searched must occur exactly once: as it is, or
else but for blanks at the ends of lines, or else but for one shift of its indentation. Nothing is ever guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TypeAlias

from agentopt.llm.values import ReplyError

_SEARCH = re.compile(r"<{5,9} ?SEARCH\s*")
_DIVIDER = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?REPLACE\s*")
_SHOWN_LINES = 3
_MOST_PLACES = 5
_SHOWN_CHARS = 100

Match: TypeAlias = tuple[int, str, str]
"""Where lines were found, and the indentation that they have there but not in the block, and the other way round."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a reply."""

    lines: tuple[str, ...]
    """What stands between its markers: code may have lines that look like `=======` too."""
    dividers: tuple[int, ...]
    """Which of the lines may part what is searched from what takes its place."""

    def parts(self, divider: int) -> tuple[list[str], list[str]]:
        """Returns the lines before and after a divider."""
        return list(self.lines[:divider]), list(self.lines[divider + 1 :])


def read_blocks(text: str) -> tuple[list[Block], list[str]]:
    """Returns the blocks of a reply, and the lines before the first one.

    Raises ReplyError where a block lacks a marker, as it does in a reply that was cut off.
    """
    blocks: list[Block] = []
    before: list[str] = []
    inside: list[str] | None = None
    for line in text.split("\n"):
        number = len(blocks) + 1
        if _SEARCH.fullmatch(line):
            if inside is not None:
                raise ReplyError(f"block {number} has a second SEARCH marker before its REPLACE marker")
            inside = []
        elif _REPLACE.fullmatch(line):
            if inside is None:
                raise ReplyError(f"the REPLACE marker of block {number} has no SEARCH marker before it")
            dividers = tuple(i for i, row in enumerate(inside) if _DIVIDER.fullmatch(row))
            if not dividers:
                raise ReplyError(f"block {number} has no line ======= between its SEARCH and its REPLACE part")
            blocks.append(Block(tuple(inside), dividers))
            inside = None
        elif inside is not None:
            inside.append(line)
        elif not blocks:
            before.append(line)
    if inside is not None:
        raise ReplyError(
            f"block {len(blocks) + 1} has no REPLACE marker: the reply is cut off or the marker is missing"
        )
    return blocks, before


def apply_blocks(text: str, blocks: Sequence[Block]) -> tuple[str, list[str]]:
    """Returns the text after all blocks, and what was mended: `blanks:2` where block 2 was found but for blanks.

    Raises ReplyError, with the block's number and what the text has instead, for a block whose lines are not there, are
    there more than once, or are none.
    """
    lines = text.split("\n")
    issues: list[str] = []
    for number, block in enumerate(blocks, 1):
        fits = [fit for divider in block.dividers if (fit := _fit(lines, *block.parts(divider)))]
        if len(fits) > 1:
            raise ReplyError(f"block {number} can be read in two ways: quote no line like ======= in its SEARCH part")
        if not fits:
            raise ReplyError(f"block {number}: {_why_not(lines, block.parts(block.dividers[0])[0])}")
        lines, mended = fits[0]
        issues += [f"{mended}:{number}"] if mended else []
    return "\n".join(lines), issues


def _fit(lines: list[str], search: list[str], replace: list[str]) -> tuple[list[str], str] | None:
    """Returns the lines with the replacement made and how the search was loosened, or None where it is not unique."""
    if not any(line.strip() for line in search):
        return None
    for mended, matches in _tiers(lines, search):
        if len(matches) > 1:
            return None
        if matches:
            start, more, less = matches[0]
            head, tail = _common(search, replace)
            put = _shifted(replace[head : len(replace) - tail], more, less)
            if put is None:
                return None
            return [*lines[: start + head], *put, *lines[start + len(search) - tail :]], mended
    return None


def _tiers(lines: list[str], search: list[str]) -> Iterator[tuple[str, list[Match]]]:
    """Yields the first places where the search lines are found, from the strictest reading to the loosest."""
    yield "", [(start, "", "") for start in islice(_places(lines, search), _MOST_PLACES)]
    bare, wanted = [line.rstrip() for line in lines], [line.rstrip() for line in search]
    yield "blanks", [(start, "", "") for start in islice(_places(bare, wanted), _MOST_PLACES)]
    yield "indentation", list(islice(_shifted_places(bare, wanted), _MOST_PLACES))


def _places(lines: Sequence[str], search: Sequence[str]) -> Iterator[int]:
    """Yields the numbers, from 0, of the lines from which the search lines follow each other."""
    text, wanted = "\n".join(("", *lines, "")), "\n".join(("", *search, ""))
    number, last, place = 0, 0, text.find(wanted)
    while place >= 0:
        number += text.count("\n", last, place)
        yield number
        last, place = place, text.find(wanted, place + 1)


def _shifted_places(lines: list[str], search: list[str]) -> Iterator[Match]:
    """Yields where the search lines stand with one indentation added to, or taken from, each that is not empty."""
    for start in _places([line.lstrip() for line in lines], [line.lstrip() for line in search]):
        pairs = [(lines[start + i], wanted) for i, wanted in enumerate(search) if wanted]
        line, wanted = pairs[0]
        change = len(line) - len(wanted)
        more, less = line[: max(0, change)], wanted[: max(0, -change)]
        if all(less + line == more + wanted for line, wanted in pairs):
            yield start, more, less


def _shifted(lines: list[str], more: str, less: str) -> list[str] | None:
    """Returns the lines with indentation added or taken; None where a line does not have what is to be taken."""
    if any(line.strip() and not line.startswith(less) for line in lines):
        return None
    return [more + line[len(less) :] if line.strip() else line for line in lines]


def _common(search: list[str], replace: list[str]) -> tuple[int, int]:
    """Returns how many lines both parts share at their start and at their end: the text keeps its own there."""
    shorter = min(len(search), len(replace))
    head = next((i for i in range(shorter) if search[i] != replace[i]), shorter)
    tail = next((i for i in range(shorter - head) if search[-1 - i] != replace[-1 - i]), shorter - head)
    return head, tail


def _why_not(lines: list[str], search: list[str]) -> str:
    """Returns what is wrong with lines that were not found exactly once, for the model to mend."""
    if not any(line.strip() for line in search):
        return "its SEARCH part is empty; quote the lines that are to be replaced"
    for _, matches in _tiers(lines, search):
        if len(matches) > 1:
            where = ", ".join(str(start + 1) for start, _, _ in matches)
            return f"its SEARCH part is found more than once (from lines {where}); quote more lines around it"
        if matches:
            return "its REPLACE part is indented less than its SEARCH part, and the file is indented less than both"
    first = next((line for line in search if line.strip() and line not in lines), "")
    if not first:
        return (
            "each of its SEARCH lines is in the file, but not one after the other; quote lines that follow each other"
        )
    near = get_close_matches(first[:_SHOWN_CHARS], [line[:_SHOWN_CHARS] for line in lines], n=_SHOWN_LINES, cutoff=0.5)
    shown = "; ".join(f"line {_number(lines, line)}: {line.strip()}" for line in near)
    nearest = f"the nearest are {shown}" if shown else "no line is like it"
    return f"its SEARCH part is not in the file: {first.strip()[:_SHOWN_CHARS]!r} is no line of it, {nearest}"


def _number(lines: list[str], shown: str) -> int:
    return next(i for i, line in enumerate(lines, 1) if line[:_SHOWN_CHARS] == shown)
