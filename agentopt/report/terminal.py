"""Tables and texts as a terminal shows them: within its width, names whole, and nothing in them that moves it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from agentopt.report.foreign import visible

_UNBOUNDED = 160
"""The characters of a line of prose where there is no terminal and COLUMNS does not say."""
_GAP = 2
"""The blanks between two columns."""
_NARROW = 24
"""Prose may be wrapped to a column of so many characters, and to no narrower one."""
_LONGEST_WORD = 40
"""A word of prose that is longer than this may be broken."""


@dataclass(frozen=True)
class FittedTable:
    """A table that leaves columns out where a terminal is too narrow for it, and says which; elsewhere all are there.

    Prose is wrapped between words; every other entry stands on one line, whole.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int
    prose: Collection[str]
    least: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the title, the table and the names of the columns that are left out."""
        width, kept = options.max_width, list(range(len(self.columns)))
        while console.is_terminal and len(kept) > 1 and self._width(kept, wrapped=True) > width:
            kept.remove(self._next_out(kept))
        wrapped = console.is_terminal and self._width(kept) > width
        if self.title:
            yield from _lines(Text(self.title, style="italic"), width)
        widths = self._widths(kept, width, wrapped=wrapped)
        needed = sum(widths) + _GAP * (len(kept) - 1)
        made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for i, size in zip(kept, widths, strict=True):
            header = _broken(self.columns[i], size) if wrapped else self.columns[i]
            words = i < self.left or self._is_prose(i)
            made.add_column(
                Text(header), justify="left" if words else "right", width=size, overflow="fold", vertical="top"
            )
        for row in self.rows:
            made.add_row(*(Text(row[i]) for i in kept))
        yield from made.__rich_console__(console, options.update(width=max(needed, 1)))
        if out := [name for i, name in enumerate(self.columns) if i not in kept]:
            note = f"(no room for {', '.join(out)}: a wider terminal or a pipe shows all)"
            yield from _lines(Text(note, style="dim"), width)

    def _is_prose(self, i: int) -> bool:
        return self.columns[i] in self.prose

    def _next_out(self, kept: Sequence[int]) -> int:
        """Returns the column to leave out next: the first of `least` that is there, else the last one."""
        for name in self.least:
            found = [i for i in kept if i and self.columns[i] == name]
            if found:
                return found[-1]
        plain = [i for i in kept if i and not self._is_prose(i)]
        return (plain or kept)[-1]

    def _width(self, kept: Sequence[int], *, wrapped: bool = False) -> int:
        """Returns the least width of the table of some columns."""
        return sum(self._least(i, wrapped=wrapped) for i in kept) + _GAP * (len(kept) - 1)

    def _least(self, i: int, *, wrapped: bool) -> int:
        """Returns the least width of a column; a wrapped header is at least as wide as its longest word."""
        natural = self._natural(i, wrapped=wrapped)
        if not self._is_prose(i):
            return natural
        words = (cell_len(word) for row in self.rows for word in row[i].split())
        longest = max((size for size in words if size <= _LONGEST_WORD), default=0)
        return min(natural, max(_NARROW, longest))

    def _natural(self, i: int, *, wrapped: bool) -> int:
        """Returns the width of a column whose entries all stand on their own lines."""
        header = self.columns[i].split() if wrapped else [self.columns[i]]
        lines = (line for row in self.rows for line in row[i].split("\n"))
        return max((cell_len(text) for text in (*header, *lines)), default=0)

    def _widths(self, kept: Sequence[int], width: int, *, wrapped: bool) -> list[int]:
        """Returns the width of each column: prose takes what the others leave, the narrowest column first."""
        widths = {i: self._least(i, wrapped=wrapped) for i in kept}
        spare = max(0, width - sum(widths.values()) - _GAP * (len(kept) - 1))
        prose = sorted((i for i in kept if self._is_prose(i)), key=lambda i: self._natural(i, wrapped=wrapped))
        for n, i in enumerate(prose):
            more = min(self._natural(i, wrapped=wrapped) - widths[i], spare // (len(prose) - n))
            widths[i] += more
            spare -= more
        return [widths[i] for i in kept]


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int = 1,
    prose: Collection[str] = (),
    least: Sequence[str] = (),
) -> FittedTable:
    """Returns a table for a terminal: its first `left` columns and those of `prose` hold words, the others numbers.

    Entries of the columns `prose` are wrapped. Where the terminal is too narrow, columns are left out: those of `least`
    first, in this order, then from the right; the first column always stays.
    """
    cells = tuple(
        tuple(visible(cell) if name in prose else visible_line(cell) for name, cell in zip(columns, row, strict=True))
        for row in rows
    )
    return FittedTable(title, tuple(map(visible_line, columns)), cells, left, frozenset(prose), tuple(least))


def visible_line(text: str) -> str:
    """Returns a text on one line, with every character visible: the ends of lines and tabs too."""
    return visible(text).replace("\n", "<U+000A>").replace("\t", "<U+0009>")


@dataclass(frozen=True)
class Visible:
    """Anything that can be printed, with the characters made visible that would move the cursor or reorder the text."""

    inside: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields what is inside; the control codes of the console itself, such as those of colours, stay."""
        for segment in console.render(self.inside, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def console(stream: IO[str]) -> Console:
    """Returns the console of a stream; one that is no terminal has the width that COLUMNS states, or a wide one."""
    made = Console(file=stream, highlight=False)
    if made.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return made
    return Console(file=stream, highlight=False, width=_UNBOUNDED)


def write(target: Console, what: RenderableType) -> None:
    """Prints a text as it is, or tables and texts in the width there is; no word is cut, and every character shows."""
    if isinstance(what, str):
        target.print(Text(visible(what)), soft_wrap=True)
    elif isinstance(what, Group):
        for part in what.renderables:
            write(target, part or Text())
    elif isinstance(what, Text):
        for line in _lines(what, target.width):
            target.print(Visible(line), crop=False)
    else:
        target.print(Visible(what), crop=False)


def _lines(text: Text, width: int) -> Iterator[Text]:
    """Yields a text in lines that end between words; a word that is wider than the terminal stays whole."""
    for line in text.split("\n", allow_blank=True):
        cuts, begin, words = list[int](), 0, 0
        for word in re.finditer(r"\S+", line.plain):
            words += 1
            if words > 1 and cell_len(line.plain[begin : word.end()]) > width:
                cuts.append(word.start())
                begin, words = word.start(), 1
        for piece in line.divide(cuts):
            piece.rstrip()
            piece.overflow = "ignore"
            yield piece


def _broken(header: str, width: int) -> str:
    """Returns a header on as many lines as its width asks for."""
    lines: list[str] = []
    for word in header.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
