"""The journal of a run: the only truth on disk about what was asked and what came of it.

The kinds of record, in order of time: one `run` (what the run is made of), then `asked` (one call of an optimizer and
the trials it gave) and `finished` (one trial's outcome), `stopped` where a session of the run ended by itself, and
`changed` where a later session was given something else than the first, as a larger budget. What a run was started with
stays in the first record and in `config.toml`, and is all that its optimizer ever knows.
An optimizer is told a trial exactly when its `finished` record is written, so the order of the `finished` records is
the order of the tells: replaying the records on a new optimizer gives the state that the killed one had.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

from filelock import FileLock, Timeout

from agentopt.errors import JournalError
from agentopt.log import Log, read_log
from agentopt.sessions import Budget, Change, Given, given_from_json
from agentopt.trial import (
    Json,
    Outcome,
    Params,
    Suggestion,
    Trial,
    outcome_from_json,
    outcome_to_json,
    suggestion_from_json,
    suggestion_to_json,
)

VERSION = 1
FILE = "journal.jsonl"
WRITER = ".writer"
"""Is locked while a process writes: for those who ask whether one does, apart from the lock that keeps others out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of the optimizer for up to `n` suggestions, or a foreign suggestion (`n` = 0)."""

    n: int
    suggestions: tuple[Suggestion, ...]
    ids: tuple[int, ...]
    params: tuple[Params, ...]
    """What is run: the suggestions' params after the task's repair."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial that ended."""

    trial: Trial


@dataclass(slots=True)
class History:
    """What a journal says: a fold over its records."""

    header: Mapping[str, Json]
    events: list[Asked | Finished] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    """Finished trials in the order of the tells."""
    pending: dict[int, tuple[Suggestion, Params]] = field(default_factory=dict)
    """Trials asked and not finished, by id."""
    next_id: int = 0
    elapsed: float = 0.0
    """Seconds that the run's sessions lasted until the last record."""
    asking: float = 0.0
    """Seconds spent in the optimizer, LLM calls included."""
    stopped: str = ""
    """Why the last session ended; empty while it runs or where it was killed."""
    changes: list[Change] = field(default_factory=list)
    """What later sessions were given, oldest first."""
    cut: tuple[int, ...] = ()
    """The pending trials that the time budget cut off when the last session ended."""
    damaged: int = 0
    """Lines that were torn by a crash."""
    calls: int = 0
    """The LLM calls that the suggestions so far were made from: those with a lower number than this."""

    @property
    def now(self) -> Given:
        """What a session has: what the run was started with, and the latest of what later ones were given."""
        found = given_from_json(self.header)
        for change in self.changes:
            found = found.then(change.given)
        return found

    @property
    def budget(self) -> Budget:
        """What the run may spend."""
        return self.now.budget or Budget()

    def add(self, record: Mapping[str, Json]) -> None:
        """Takes the next record."""
        kind = record.get("event")
        self.elapsed = max(self.elapsed, float(record.get("t", 0.0)))
        if kind == "asked":
            self._add_asked(record)
        elif kind == "finished":
            self._add_finished(record)
        elif kind == "changed":
            self.changes.append(Change(record["at"], len(self.trials), given_from_json(record)))
        elif kind == "stopped":
            self.asking += float(record.get("asking", 0.0))
        self.stopped = str(record.get("reason", "")) if kind == "stopped" else ""
        self.cut = tuple(record.get("cut", ())) if kind == "stopped" else ()

    def _add_asked(self, record: Mapping[str, Json]) -> None:
        rows = record["trials"]
        suggestions = tuple(suggestion_from_json(row) for row in rows)
        params = tuple(row.get("repaired", row["params"]) for row in rows)
        event = Asked(record["n"], suggestions, tuple(row["id"] for row in rows), params)
        for number, suggestion, run in zip(event.ids, suggestions, params, strict=True):
            self.pending[number] = (suggestion, run)
            self.next_id = max(self.next_id, number + 1)
            self.calls = max([self.calls, *(call + 1 for call in suggestion.note.get("calls", ()))])
        self.events.append(event)
        self.asking += float(record.get("seconds", 0.0))

    def _add_finished(self, record: Mapping[str, Json]) -> None:
        if record["id"] not in self.pending:
            return
        suggestion, params = self.pending.pop(record["id"])
        trial = make_trial(record["id"], suggestion, params, outcome_from_json(record["outcome"]), record["seconds"])
        self.trials.append(trial)
        self.events.append(Finished(trial))


def make_trial(number: int, suggestion: Suggestion, params: Params, outcome: Outcome, seconds: float) -> Trial:
    """Returns the trial of a suggestion that was run as `params`."""
    return Trial(
        id=number,
        params=params,
        outcome=outcome,
        origin=suggestion.origin,
        token=suggestion.token,
        note=suggestion.note,
        seconds=seconds,
        edit=suggestion.edit,
    )


def read_history(run: Path) -> History:
    """Returns what the journal of a run folder says, whether or not a process is writing it."""
    records, damaged = read_log(run / FILE)
    if not records or records[0].get("event") != "run":
        raise JournalError(f"{run} is not a run folder: its {FILE} has no first record.")
    if records[0].get("version") != VERSION:
        raise JournalError(f"{run} was written by another version of agentopt (journal {records[0].get('version')}).")
    history = History(header=records[0], damaged=damaged)
    for record in records[1:]:
        history.add(record)
    return history


def lock_folder(folder: Path) -> FileLock:
    """Returns the lock of a folder, acquired; raises JournalError where another process holds it."""
    lock = FileLock(folder / ".lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise JournalError(f"{folder} is in use by another agentopt process; wait for it or stop it first.") from error
    return lock


def is_written(run: Path) -> bool:
    """Says whether a process has the run folder open for writing; that may begin meanwhile, and is not kept from it."""
    try:
        with (run / WRITER).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # beside others who ask; let go of where the file closes
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _writing(run: Path) -> BinaryIO:
    """Says to those who ask that this process writes, until the file that it returns is closed."""
    file = (run / WRITER).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)  # whoever has it just asks, and lets go at once
    return file


class Journal:
    """The one writer of a run folder's journal; another process that wants to write is refused."""

    def __init__(self, run: Path, header: Mapping[str, Json] | None = None) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.run = run
        self._lock = lock_folder(run)
        try:
            self._writer = _writing(run)
            self._log = Log(run / FILE)
            if header is not None and not read_log(run / FILE)[0]:
                self._log.append({"event": "run", "version": VERSION, "pid": os.getpid(), **header}, durable=True)
            self.history = read_history(run)
        except BaseException:
            self._lock.release()
            raise

    def asked(
        self, n: int, suggestions: Sequence[Suggestion], params: Sequence[Params], *, t: float, seconds: float
    ) -> tuple[int, ...]:
        """Records a call of the optimizer, and returns the ids of the new trials."""
        ids = tuple(range(self.history.next_id, self.history.next_id + len(suggestions)))
        rows = []
        for number, suggestion, run in zip(ids, suggestions, params, strict=True):
            row: dict[str, Any] = {"id": number, **suggestion_to_json(suggestion)}
            if dict(run) != dict(suggestion.params):
                row["repaired"] = dict(run)
            rows.append(row)
        self._append({"event": "asked", "n": n, "trials": rows, "seconds": round(seconds, 6), "t": round(t, 3)})
        return ids

    def finished(self, number: int, outcome: Outcome, *, seconds: float, t: float) -> Trial:
        """Records a trial's outcome durably, and returns the trial."""
        record = {"event": "finished", "id": number, "outcome": outcome_to_json(outcome)}
        self._append({**record, "seconds": round(seconds, 6), "t": round(t, 3)}, durable=True)
        return self.history.trials[-1]

    def changed(self, given: Given) -> None:
        """Records durably what the session that begins is given, where it is anything."""
        if found := given.to_json():
            at = datetime.now(UTC).isoformat(timespec="seconds")
            self._append({"event": "changed", "at": at, **found, "t": round(self.history.elapsed, 3)}, durable=True)

    def stopped(self, reason: str, *, t: float, asking: float = 0.0, cut: Sequence[int] = ()) -> None:
        """Records why this session of the run ends.

        `asking` are the seconds of calls of the optimizer that were cut short, `cut` the ids of the pending trials that
        the time budget cut off.
        """
        record: dict[str, Json] = {"event": "stopped", "reason": reason, "t": round(t, 3)}
        record |= {"asking": round(asking, 6)} if asking else {}
        self._append(record | ({"cut": list(cut)} if cut else {}), durable=True)

    def reload(self) -> None:
        """Reads the history again: an interrupt may have fallen between the writing of a record and its adding."""
        self.history = read_history(self.run)

    def close(self) -> None:
        """Closes the journal and lets other processes have the run folder."""
        self._log.close()
        self._writer.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, record: Mapping[str, Json], *, durable: bool = False) -> None:
        self._log.append(record, durable=durable)
        self.history.add(record)
