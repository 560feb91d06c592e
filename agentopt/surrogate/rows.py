"""Past trials as a surrogate is fitted on them: read from a run folder or from a file of JSON lines."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentopt.errors import UsageError
from agentopt.journal import read_history
from agentopt.space import SearchSpace
from agentopt.trial import Params, Status

_KEYS = ("params", "success", "status", "seconds")


@dataclass(frozen=True, slots=True)
class Row:
    """One past trial."""

    params: Params
    status: Status
    value: float | None
    """The objective; None unless complete."""
    seconds: float | None = None

    @property
    def complete(self) -> bool:
        """Whether the trial has a value."""
        return self.status is Status.COMPLETE


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of a file or a run, and what it says about them."""

    rows: tuple[Row, ...]
    objective: str
    direction: str = "minimize"
    space: SearchSpace | None = None
    """The run's space; None for a file of rows."""


def read_source(path: Path, *, value: str | None = None, failure: Status = Status.FAILED) -> Source:
    """Returns the trials of a run folder, or of a `.jsonl` or `.jsonl.gz` file.

    A line of a file holds `params`, `success` (or `status`), one number under the name `value` (by default the only
    other key), and may hold `seconds`. A failure that states no `status` has the status `failure`.
    """
    if path.is_dir():
        return _from_run(path)
    rows: list[Row] = []
    for number, record in _records(path):
        where = f"{path}, line {number}"
        if value is None:
            value = _only_value(record, where)
        rows.append(_row(record, value, failure, where))
    if not rows or value is None:
        raise UsageError(f"{path} holds no trials.")
    return Source(tuple(rows), objective=value)


def _from_run(path: Path) -> Source:
    history = read_history(path)
    objective = history.header["objectives"][0]
    known = (Status.COMPLETE, Status.FAILED, Status.OOM, Status.TIMEOUT)
    rows = tuple(
        Row(t.params, t.outcome.status, t.outcome.values[0] if t.complete else None, t.seconds)
        for t in history.trials
        if t.outcome.status in known
    )
    return Source(rows, objective["name"], objective["direction"], SearchSpace.from_json(history.header["space"]))


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise UsageError(f"{path}, line {number}: it is not a JSON object.")
                    yield number, record
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except (OSError, EOFError, ValueError) as error:
        raise UsageError(f"{path} is not a file of JSON lines: {error}.") from error


def _only_value(record: Mapping[str, Any], where: str) -> str:
    others = [key for key in record if key not in _KEYS]
    if len(others) != 1:
        raise UsageError(f"{where}: name the value: it may be {', '.join(others) or 'none of its keys'}.")
    return others[0]


def _row(record: Mapping[str, Any], value: str, failure: Status, where: str) -> Row:
    try:
        status = Status(record["status"]) if "status" in record else None
        if status is None:
            status = Status.COMPLETE if record["success"] else failure
        number = float(record[value]) if status is Status.COMPLETE else None
        seconds = None if record.get("seconds") is None else float(record["seconds"])
        params = dict(record["params"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: {type(error).__name__}: {error}.") from error
    if number is not None and not math.isfinite(number):
        raise UsageError(f"{where}: {value} is {number}, not a finite number.")
    return Row(params, status, number, seconds)
