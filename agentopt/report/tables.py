"""The tables of a run as rows: for CSV files, and for pages that render them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agentopt.report.load import RunReport
from agentopt.trial import Trial

Cell: TypeAlias = str | int | float | bool | None
TRIALS_FILE = "trials.csv"
LEDGER_FILE = "llm.csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; None is an empty cell."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def calls_of(trial: Trial) -> tuple[int, ...]:
    """Returns the numbers of the exchanges that a trial was made from."""
    calls: Any = trial.note.get("calls", ())
    return tuple(call for call in calls if isinstance(call, int)) if isinstance(calls, list | tuple) else ()


def trials_table(report: RunReport) -> Table:
    """Returns one row for each trial, in the order in which they ended."""
    names = tuple(dict.fromkeys(name for trial in report.trials for name in trial.params))
    metrics = tuple(dict.fromkeys(name for trial in report.trials for name in trial.outcome.metrics))
    columns = (
        *("trial", "origin", "status"),
        *(f"values_{objective.name}" for objective in report.objectives),
        "seconds",
        *(f"params_{name}" for name in names),
        *(f"metrics_{name}" for name in metrics),
        *("error", "note"),
    )
    rows = tuple(
        (
            *(t.id, t.origin.value, t.outcome.status.value),
            *(t.values or (None,) * len(report.objectives)),
            t.seconds,
            *(t.params.get(name) for name in names),
            *(t.outcome.metrics.get(name) for name in metrics),
            *(t.outcome.error, json.dumps(dict(t.note), ensure_ascii=False) if t.note else ""),
        )
        for t in report.trials
    )
    return Table(columns, rows)


def ledger_table(report: RunReport) -> Table:
    """Returns one row for each exchange with the language model; the texts themselves are in the run's `llm.jsonl`."""
    used: dict[int, list[int]] = {}
    for trial in report.trials:
        for call in calls_of(trial):
            used.setdefault(call, []).append(trial.id)
    columns = ("call", "status", "trials", "model", "prompt_tokens", "completion_tokens", "seconds", "repairs")
    rows = tuple(
        (
            *(e.call, e.status, " ".join(map(str, used.get(e.call, ()))), e.model),
            *(e.prompt_tokens, e.completion_tokens, e.seconds, e.repairs),
            *("; ".join(e.issues), e.reason, e.prompt_hash),
        )
        for e in report.exchanges
    )
    return Table((*columns, "issues", "reason", "prompt_hash"), rows)


def write_csv(table: Table, path: Path) -> Path:
    """Writes a table, and returns the file. Text that a spreadsheet would run as a formula gets a leading quote."""
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([_plain(column) for column in table.columns])
        writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return path


def _plain(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def write_tables(report: RunReport) -> list[Path]:
    """Writes the run's tables as CSV files into its folder, and returns them; the ledger's only where there is one."""
    paths = [write_csv(trials_table(report), report.run / TRIALS_FILE)]
    if report.exchanges:
        paths.append(write_csv(ledger_table(report), report.run / LEDGER_FILE))
    return paths
