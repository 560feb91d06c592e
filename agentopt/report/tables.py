"""The tables of a run as rows: for CSV files, and for pages that render them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agentopt.protocols import Objective
from agentopt.report.analysis import RunAnalysis
from agentopt.report.candidates import KINDS, PROBABILITY, Candidates
from agentopt.report.load import Group, RunReport
from agentopt.report.spent import duration
from agentopt.report.text import failures, shown
from agentopt.trial import Trial

Entry: TypeAlias = str | int | float | bool | None
MOST_REASONS = 20
"""So many kinds of errors are listed."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; None is an empty entry."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]


def calls_of(trial: Trial) -> tuple[int, ...]:
    """Returns the numbers of the exchanges that a trial was made from."""
    calls: Any = trial.note.get("calls", ())
    return tuple(call for call in calls if isinstance(call, int)) if isinstance(calls, list | tuple) else ()


def trials_table(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Table:
    """Returns one row for each trial, in the order in which they come."""
    names = tuple(dict.fromkeys(name for trial in trials for name in trial.params))
    metrics = tuple(dict.fromkeys(name for trial in trials for name in trial.outcome.metrics))
    columns = (
        *("trial", "origin", "status"),
        *(f"values_{objective.name}" for objective in objectives),
        "seconds",
        *(f"params_{name}" for name in names),
        *(f"metrics_{name}" for name in metrics),
        *("error", "note"),
    )
    rows = tuple(
        (
            *(t.id, t.origin.value, t.outcome.status.value),
            *(t.values or (None,) * len(objectives)),
            t.seconds,
            *(t.params.get(name) for name in names),
            *(t.outcome.metrics.get(name) for name in metrics),
            *(t.outcome.error, json.dumps(dict(t.note), ensure_ascii=False) if t.note else ""),
        )
        for t in trials
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


def best_table(report: RunReport) -> Table:
    """Returns the best configuration beside the default one and the ranges; no rows where no trial completed."""
    found = report.best.params if report.best is not None else {}
    rows = tuple(
        (p.name, shown(found[p.name]), "" if p.default is None else shown(p.default), p.describe())
        for p in report.space.parameters
        if p.name in found
    )
    return Table(("parameter", "best", "default", "range"), rows)


def front_table(report: RunReport) -> Table:
    """Returns one row for each trial on the front, the best in the first objective first, with its configuration."""
    names = tuple(dict.fromkeys(name for trial in report.front.trials for name in trial.params))
    columns = ("trial", "origin", *(f"{o.name} ({o.direction})" for o in report.objectives), *names)
    rows = tuple(
        (t.id, t.origin.value, *t.values, *(t.params.get(name) for name in names)) for t in report.front.trials
    )
    return Table(columns, rows)


def hypervolumes_table(report: RunReport) -> Table:
    """Returns the hypervolume after each trial, in the order in which they ended."""
    rows = tuple((t.id, found) for t, found in zip(report.trials, report.front.hypervolumes, strict=True))
    return Table(("trial", "hypervolume"), rows)


def groups_table(kind: str, groups: Sequence[Group], report: RunReport) -> Table:
    """Returns one row for each origin or status."""
    several = len(report.objectives) > 1
    found = "on the front" if several else f"best {report.objectives[0].name}"
    columns = (kind, "trials", "complete", "failed", found, "seconds")
    rows = tuple(
        (g.name, g.trials, g.complete, g.failed, g.front if several else g.best, round(g.seconds, 3)) for g in groups
    )
    return Table(columns, rows)


def costs_table(report: RunReport) -> Table:
    """Returns where the time and the tokens went, in one row."""
    s, tokens = report.seconds, report.tokens
    columns = ("total s", "LLM s", "evaluation s", "overhead s", "prompt tokens", "completion tokens")
    seconds = (round(x, 3) for x in (s.total, s.llm, s.evaluate, s.overhead))
    return Table(columns, ((*seconds, tokens["prompt"], tokens["completion"]),))


def counts_table(kind: str, counted: str, counts: Mapping[str, int]) -> Table:
    """Returns how often there was each of a kind."""
    return Table((kind, counted), tuple(counts.items()))


def candidates_table(found: Candidates) -> Table:
    """Returns what became of the candidates that were asked for, with shares of these."""
    counts, asked = {**{kind: found.counts[kind] for kind in KINDS}, "run": found.run}, found.counts["asked"]
    rows = tuple((kind, count, count / asked if asked else None) for kind, count in counts.items())
    return Table(("kind", "candidates", "share"), rows)


def predictions_table(found: Candidates) -> Table:
    """Returns one row for each complete trial with a prediction, and each objective, in the task's units; long form.

    Of a probability, `observed` is the value.
    """
    pairs = [(f.objective.name, pair) for f in found.forecasts for pair in f.pairs]
    pairs += [(PROBABILITY, pair) for pair in ([] if found.chances is None else found.chances.pairs)]
    rows = tuple((p.trial.id, p.trial.origin.value, name, p.predicted, p.observed) for name, p in pairs)
    return Table(("trial", "origin", "prediction", "predicted", "observed"), rows)


def scores_table(found: Candidates) -> Table:
    """Returns how the predictions of each objective did; see `Forecast` for `error` and `optimism`."""
    rows: list[tuple[Entry, ...]] = []
    for f in found.forecasts:
        rows.append((f.objective.name, found.predictor, len(f.pairs), "rank correlation", *_known(f.correlation)))
        rows[-1] += (f.error, f.optimism)
    if (c := found.chances) is not None:
        rows.append((PROBABILITY, found.predictor, len(c.pairs), "area under the ROC curve", *_known(c.area)))
        rows[-1] += (None, None)
    columns = ("prediction", "by", "trials", "score", "found", "why none", "error", "optimism")
    return Table(columns, tuple(rows))


def _known(score: float | str) -> tuple[Entry, Entry]:
    """Returns a score and why there is none, one of them."""
    return (None, score) if isinstance(score, str) else (score, None)


def overview_table(reports: Sequence[RunReport]) -> Table:
    """Returns one row for each run; of several objectives the hypervolume stands in a column of its own."""
    several = any(len(r.objectives) > 1 for r in reports)
    found = ("best", "hypervolume", "reference point") if several else ("best",)
    columns = ("run", "method", "task", "seed", "status", "trials", "failed", *found, "total", "LLM s", "tokens")
    rows = tuple(
        (
            *(r.run.name, r.method, r.task, r.seed, r.status, len(r.trials), len(r.trials) - r.counts["complete"]),
            None if r.standing.best is None or len(r.objectives) > 1 else r.standing.best.value,
            *(_measured(r) if several else ()),
            *(duration(r.seconds.total), round(r.seconds.llm, 3), sum(r.tokens.values())),
        )
        for r in reports
    )
    return Table(columns, rows)


def _measured(report: RunReport) -> tuple[Entry, Entry]:
    """Returns the hypervolume, and whether the task states what it counts from; nothing of one objective."""
    if len(report.objectives) == 1:
        return None, None
    reference = report.front.reference
    return report.front.hypervolume, None if reference is None else reference.source


def run_tables(analysis: RunAnalysis) -> dict[str, Table]:
    """Returns each table of a run by its name, those left out that have no rows."""
    report, shares = analysis.report, analysis.importance
    parts = [(name, part) for name, parts in analysis.failure_map.items() for part in parts]
    several, candidates = len(report.objectives) > 1, analysis.candidates
    nothing = Table((), ())
    found = {
        "best": best_table(report) if not several else nothing,
        "front": front_table(report) if several else nothing,
        "hypervolume": hypervolumes_table(report) if several and report.front.trials else nothing,
        "trials": trials_table(report.trials, report.objectives),
        "origins": groups_table("origin", report.by_origin, report),
        "statuses": groups_table("status", report.by_status, report),
        "errors": counts_table("error", "trials", failures(report.trials, most=MOST_REASONS)),
        "failures": Table(
            ("parameter", "part", "failed", "trials"), tuple((name, p.name, p.failed, p.trials) for name, p in parts)
        ),
        "importance": Table(("parameter", "share"), () if isinstance(shares, str) else tuple(shares.items())),
        "replies": counts_table("kind", "replies", report.replies),
        "fallbacks": counts_table("reason", "fallback trials", report.fallbacks),
        "candidates": nothing if candidates is None else candidates_table(candidates),
        "predictions": nothing if candidates is None else predictions_table(candidates),
        "prediction-scores": nothing if candidates is None else scores_table(candidates),
        "cost": costs_table(report),
        "llm": ledger_table(report),
    }
    return {name: table for name, table in found.items() if table.rows}


def write_csv(table: Table, path: Path) -> Path:
    """Writes a table, and returns the file. Text that a spreadsheet would run as a formula gets a leading quote."""
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([_plain(column) for column in table.columns])
        writer.writerows([_plain(entry) for entry in row] for row in table.rows)
    return path


def _plain(entry: Entry) -> Entry:
    return f"'{entry}" if isinstance(entry, str) and entry.startswith(_FORMULA) else entry


def write_tables(analysis: RunAnalysis, folder: Path) -> list[Path]:
    """Writes the run's tables as CSV files into a folder, and returns them."""
    return [write_csv(table, folder / f"{name}.csv") for name, table in run_tables(analysis).items()]
