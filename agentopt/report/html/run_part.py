"""What the page shows of one run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentopt.report.analysis import RunAnalysis
from agentopt.report.html import charts, parameters
from agentopt.report.html.candidates import CandidatesPart, candidates_part
from agentopt.report.html.code_part import CodePart, code_part
from agentopt.report.html.fronts import front_charts
from agentopt.report.html.whereabouts import whereabouts
from agentopt.report.load import RunReport
from agentopt.report.palette import BLACK, colour
from agentopt.report.spent import budget_text, changes_text, cut_text, duration, repeat_text
from agentopt.report.tables import (
    MOST_REASONS,
    Table,
    best_table,
    calls_of,
    costs_table,
    counts_table,
    front_table,
    groups_table,
)
from agentopt.report.text import (
    FLATTERS,
    base_text,
    failures,
    front_text,
    kept_texts,
    number,
    values_of,
)
from agentopt.space import SearchSpace
from agentopt.trial import Json, Trial

_NO_NOTES = ("calls",)
_CONFIG = "config.toml"


@dataclass(frozen=True)
class Part:
    """One run, ready for the template."""

    id: str
    report: RunReport
    facts: Sequence[tuple[str, str]]
    best: Table | None
    best_text: str
    best_title: str
    origins: Table
    statuses: Table
    reasons: Table
    replies: Table
    fallbacks: Table
    """Why a classical step took the model's place."""
    costs: Table
    space: SearchSpace
    legend: Sequence[tuple[str, str]]
    """Origins and their colours; an empty colour is the theme's ink."""
    importance: str
    """Why there is no importance; empty where there is."""
    caption: str
    """What the chart of whereabouts says; empty where there is none."""
    slices: Sequence[str]
    code: CodePart | None
    """The experiments of a run of code."""
    candidates: CandidatesPart | None
    """What became of the candidates that were asked for."""
    figures: Mapping[str, Any]
    """Plotly figures by name."""
    data: Mapping[str, Json]
    """What the dialogs show."""

    def figure(self, name: str) -> str | None:
        """Returns the full name of a figure, if the run has it."""
        full = f"{self.id}-{name}"
        return full if full in self.figures else None


def run_part(name: str, analysis: RunAnalysis) -> Part:
    """Returns what the page shows of a run."""
    report, shares, went = analysis.report, analysis.importance, analysis.whereabouts
    code, candidates = code_part(report), candidates_part(report, analysis.candidates)
    figures: dict[str, Any] = {} if code is None else dict(code.figures)
    if report.trials:
        figures["convergence"] = charts.convergence(report)
    if analysis.failure_map:
        figures["failures"] = parameters.failures_map(analysis.failure_map)
    if not isinstance(shares, str):
        figures["importance"] = parameters.importance(shares)
    if went is not None:
        figures["whereabouts"] = whereabouts(analysis, went)
    slices = []
    if analysis.completed:
        for i, parameter in enumerate(analysis.order):
            figures[f"slice-{i}"] = parameters.slices(analysis, analysis.space[parameter])
            slices.append(f"{name}-slice-{i}")
        figures["parallel"] = parameters.parallel(analysis)
    figures |= front_charts(report) | ({} if candidates is None else dict(candidates.figures))
    if report.exchanges:
        figures["ledger"] = charts.ledger(report)
    colours = {trial.origin: colour(trial.origin) for trial in report.trials}
    return Part(
        id=name,
        report=report,
        facts=list(_facts(report).items()),
        best=_best_table(report) if report.best is not None else None,
        best_text=_best_text(report),
        best_title="Best configurations" if len(report.objectives) > 1 else "Best configuration",
        origins=groups_table("origin", report.by_origin, report),
        statuses=groups_table("status", report.by_status, report),
        reasons=counts_table("error", "trials", failures(report.trials, most=MOST_REASONS)),
        replies=counts_table("kind", "replies", report.replies),
        fallbacks=counts_table("reason", "fallback trials", report.fallbacks),
        costs=costs_table(report),
        space=analysis.space,
        legend=[(origin.value, "" if c == BLACK else c) for origin, c in colours.items()],
        importance=shares if isinstance(shares, str) else "",
        caption="" if went is None else went.caption,
        slices=slices,
        code=code,
        candidates=candidates,
        figures={f"{name}-{key}": figure for key, figure in figures.items()},
        data=_data(report, {} if code is None else code.data),
    )


def _facts(report: RunReport) -> dict[str, str]:
    header, config = report.header, _config(report)
    model = header.get("model") or {}
    facts = {
        "method": report.method,
        "task": report.task,
        "seed": str(report.seed),
        "status": report.status,
        "trials": ", ".join([str(len(report.trials)), *_unfinished(report)]),
        "budget": budget_text(report.budget),
        "workers": str(header.get("workers", 1)),
        "model": str(model.get("name", "")) if report.exchanges or model.get("name") else "none",
        "started": _moment(str(header.get("started", ""))),
        "lasted": duration(report.elapsed),
        "folder": report.run.resolve().name,
    }
    if changed := changes_text(report):
        facts["changes"] = " ".join(changed)
    if repeat := repeat_text(report):
        facts["seed"] += f" ({repeat})"
    if report.damaged:
        facts["journal"] = f"{report.damaged} torn lines were skipped (a crash left them)"
    provenance = config.get("provenance", {})
    facts["versions"] = ", ".join(f"{name} {version}" for name, version in provenance.get("versions", {}).items())
    if commit := provenance.get("commit"):
        facts["commit"] = str(commit)[:12] + (" with changes" if provenance.get("modified") else "")
    machine = provenance.get("machine", {})
    facts["machine"] = ", ".join(str(machine[key]) for key in ("system", "processor") if machine.get(key))
    if machine.get("cores"):
        facts["machine"] += f", {machine['cores']} cores"
    options = {key: value for key, value in header.get("options", {}).items() if value is not None}
    facts["options"] = ", ".join(f"{key}={value}" for key, value in options.items())
    return {name: fact for name, fact in facts.items() if fact}


def _unfinished(report: RunReport) -> list[str]:
    """Returns how many trials have no outcome, those that the budget cut off apart."""
    left = report.pending - report.cut
    return [f"{left} not finished"] * bool(left) + [cut_text(report.cut)] * bool(report.cut)


def _config(report: RunReport) -> dict[str, Any]:
    try:
        return tomllib.loads((report.run / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _moment(iso: str) -> str:
    try:
        return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return iso


def _best_table(report: RunReport) -> Table:
    return front_table(report) if len(report.objectives) > 1 else best_table(report)


def _best_text(report: RunReport) -> str:
    best, objective = report.best, report.objectives[0]
    if best is None:
        return "No trial completed, so there is no best configuration."
    if len(report.objectives) > 1:
        return f"{front_text(report)} {base_text(report)}".rstrip()
    if report.standing.keeper is not None:
        return " ".join(kept_texts(report))
    text = f"{values_of(best, report)}: trial {best.id}, from {best.origin.value};"
    text += f" {objective.name} is {objective.direction}d."
    if (base := report.baseline) is not None and base.complete:
        gain = objective.loss(base.values[0]) - objective.loss(best.values[0])
        doubt = f"; {FLATTERS}" if gain > 0 and report.header.get("code") is not None else ""
        text += f" The default configuration has {number(base.values[0])}: better by {number(gain)}{doubt}."
    return text


def _data(report: RunReport, code: Mapping[int, Json]) -> dict[str, Json]:
    """Returns the trials by id, with what is known of the code of each, and the exchanges in order, for the dialogs."""
    of_call: dict[int, list[int]] = {}
    for i, exchange in enumerate(report.exchanges):
        of_call.setdefault(exchange.call, []).append(i)
    trials = {str(trial.id): _trial(trial, report, of_call) for trial in report.trials}
    for number_, experiment in code.items():
        trials[str(number_)]["code"] = experiment
    used: dict[int, list[int]] = {}
    for trial in report.trials:
        for i in trials[str(trial.id)]["exchanges"]:
            used.setdefault(i, []).append(trial.id)
    exchanges = [
        {
            "call": e.call,
            "status": e.status,
            "model": e.model,
            "sampling": dict(e.sampling),
            "prompt": e.prompt,
            "reply": e.reply,
            "reason": e.reason,
            "issues": list(e.issues),
            "repairs": e.repairs,
            "prompt tokens": e.prompt_tokens,
            "completion tokens": e.completion_tokens,
            "seconds": e.seconds,
            "trials": used.get(i, []),
        }
        for i, e in enumerate(report.exchanges)
    ]
    return {"trials": trials, "exchanges": exchanges}


def _trial(trial: Trial, report: RunReport, of_call: Mapping[int, Sequence[int]]) -> dict[str, Json]:
    return {
        "id": trial.id,
        "origin": trial.origin.value,
        "status": trial.outcome.status.value,
        "values": {o.name: v for o, v in zip(report.objectives, trial.values, strict=False)},
        "seconds": trial.seconds,
        "params": dict(trial.params),
        "metrics": dict(trial.outcome.metrics),
        "note": {key: value for key, value in trial.note.items() if key not in _NO_NOTES},
        "error": trial.outcome.error,
        "exchanges": [i for call in calls_of(trial) for i in of_call.get(call, ())],
    }
