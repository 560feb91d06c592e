"""Append-only files of JSON lines, each with its checksum, that survive a kill at any byte.

A line is one JSON object whose first key is `crc`: the CRC-32 of the object without it. Records are written with one
`write` each. A tail that a crash left torn is sealed with a newline by the next writer and skipped by every reader, so
whole records are never lost and half ones never read.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agentopt.errors import JournalError

_HEAD = len('{"crc":"00000000"')


def _line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    data = body.encode("utf-8", "surrogatepass")
    rest = data[1:] if data == b"{}" else b"," + data[1:]
    return b'{"crc":"%08x"' % zlib.crc32(data) + rest + b"\n"


def _record(line: bytes) -> dict[str, Any] | None:
    """Returns the record of a line, or None where the line is torn or damaged."""
    if not line.startswith(b'{"crc":"') or len(line) < _HEAD + 1:
        return None
    rest = line[_HEAD:].rstrip(b"\n")
    data = b"{" + (rest[1:] if rest.startswith(b",") else rest)
    try:
        expected = int(line[8:16], 16)
        if zlib.crc32(data) != expected:
            return None
        record = json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_log(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Returns the whole records of a file in order, and the number of torn or damaged lines that were skipped."""
    if not path.exists():
        return [], 0
    records, skipped = [], 0
    with path.open("rb") as file:
        for line in file:
            record = _record(line)
            if record is None:
                skipped += bool(line.strip())
            else:
                records.append(record)
    return records, skipped


class Log:
    """One writer's handle on a log file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        if path.stat().st_size:
            with path.open("rb") as tail:
                tail.seek(-1, os.SEEK_END)
                torn = tail.read(1) != b"\n"
            if torn:
                self._write(b"\n")

    def append(self, record: Mapping[str, Any], *, durable: bool = False) -> None:
        """Appends one record; with `durable` it is on the disk itself when this returns."""
        self._write(_line(record))
        if durable:
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; everything appended is on the disk."""
        if not self._file.closed:
            os.fdatasync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            written = self._file.write(data)
        except OSError as error:
            raise JournalError(f"Cannot write {self._file.name}: {error.strerror or error}.") from error
        if written != len(data):
            raise JournalError(f"Cannot write {self._file.name}: the disk took {written} of {len(data)} bytes.")
