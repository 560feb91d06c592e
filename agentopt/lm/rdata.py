"""Reads character vectors out of an R package's data (a lazy-load database: zlib records of R's serialisation)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_STRING_VECTOR, _STRING = 16, 9
"""The types STRSXP and CHARSXP of "R Internals", section 1.8."""


def character_vectors(database: Path) -> Iterator[list[str]]:
    """Yields the character vectors that are objects of an `.rdb` file, in its order; other objects are left out."""
    data = database.read_bytes()
    while data:
        record = zlib.decompressobj()
        content = record.decompress(data[4:])  # the size of the content comes before it
        data = record.unused_data
        strings = _strings(content)
        if strings is not None:
            yield strings


def _strings(content: bytes) -> list[str] | None:
    """Returns the strings of one serialised object; None where it is something else."""
    form, version = content[:2], struct.unpack(">i", content[2:6])[0]
    if form != b"X\n":
        return None
    place = 14
    if version >= 3:  # the name of the native encoding
        place += 4 + struct.unpack_from(">i", content, place)[0]
    flags, count = struct.unpack_from(">Ii", content, place)
    if flags & 0xFF != _STRING_VECTOR:
        return None
    place += 8
    strings = []
    for _ in range(count):
        flags, length = struct.unpack_from(">Ii", content, place)
        if flags & 0xFF != _STRING:
            return None
        place += 8
        strings.append(content[place : place + max(0, length)].decode("utf-8", "replace"))
        place += max(0, length)
    return strings
