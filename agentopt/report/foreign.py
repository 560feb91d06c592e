"""Code that somebody else wrote, made fit to be read: what is hidden is shown, what is endless is cut."""

from __future__ import annotations

LONGEST_LINE = 300
"""The characters of a line that are shown."""


def visible(text: str) -> str:
    """Returns a text with every character that cannot be seen, or moves others, as `<U+200B>`; tabs and lines stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"<U+{ord(c):04X}>" for c in text)


def shown_line(line: str, longest: int = LONGEST_LINE) -> str:
    """Returns one line as people read it; what is cut off is counted."""
    if len(line) <= longest:
        return visible(line)
    return f"{visible(line[:longest])} [... {len(line) - longest:,} more characters]"


def shown_patch(patch: str, most: int, command: str) -> str:
    """Returns a patch as people read it: at most so many lines, then how many there are more and what prints them."""
    lines = patch.split("\n")
    if lines[-1] == "":
        lines.pop()
    kept = [shown_line(line) for line in lines[:most]]
    if len(lines) > most:
        kept.append(f"[... {len(lines) - most:,} more lines: {command}]")
    return "\n".join(kept)
