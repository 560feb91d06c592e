"""The frozen values that travel through a run: what is suggested, what came of it, and the trial that holds both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

Value: TypeAlias = float | int | str | bool
Params: TypeAlias = Mapping[str, Value]
Json: TypeAlias = Any
"""A value that `json` can write: what a note or a metric may hold."""


ERROR_CHARS = 100
"""How much of an error's last line a `repr` shows."""


class Status(StrEnum):
    """How an evaluation ended. Only `COMPLETE` carries objective values."""

    COMPLETE = "complete"
    FAILED = "failed"
    OOM = "oom"
    TIMEOUT = "timeout"
    INVALID = "invalid"
    PRUNED = "pruned"


class Origin(StrEnum):
    """Who proposed a trial."""

    BASELINE = "baseline"
    """The task's default configuration."""
    USER = "user"
    """A configuration that the user asked for."""
    RANDOM = "random"
    SOBOL = "sobol"
    CMAES = "cmaes"
    TPE = "tpe"
    GP = "gp"
    SMAC = "smac"
    NEVERGRAD = "nevergrad"
    NSGA2 = "nsga2"
    EVOLUTION = "evolution"
    LOCAL = "local"
    LLM = "llm"
    FALLBACK = "fallback"
    """A classical proposal made in place of an LLM's that could not be used."""
    CONTROL = "control"
    """A classical step made in place of the LLM on purpose: the model-free twin of a method."""
    REPEAT = "repeat"
    """Another run of a version of code that is known, on another seed: it proposes nothing."""


class SeedRule(StrEnum):
    """Which evaluation seed the configurations of a run get; a version of code always has that of its replicate."""

    TRIAL = "trial"
    """Each one of its own."""
    SHARED = "shared"
    """All that of replicate 0, which every version of code has first: for tasks with code."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A version of the one file of a code task that may be edited: what is run instead of the seed's."""

    text: str
    """The whole file."""
    parent: int | None = None
    """The trial whose version it was made from; None: the seed."""
    summary: str = ""
    """What was changed, in one line."""
    replicate: int = 0
    """Which of the run's evaluation seeds it is run with: the same number gives every version the same seed."""

    def __repr__(self) -> str:
        return brief("Edit", parent=self.parent, summary=self.summary, lines=len(self.text.splitlines()))


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One configuration, or one version of a file, that an optimizer wants evaluated."""

    params: Params
    """Empty or partial only where there is an edit."""
    origin: Origin
    token: int | None = None
    """The optimizer's own handle, given back unchanged in the trial that it is told; None: nobody waits for it."""
    note: Mapping[str, Json] = field(default_factory=dict)
    """What a report may show about how the suggestion came to be."""
    edit: Edit | None = None

    def __repr__(self) -> str:
        return brief("Suggestion", params=dict(self.params), origin=self.origin.value, edit=self.edit)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation gave, in the task's own units."""

    status: Status
    values: tuple[float, ...] = ()
    """One finite number per objective when complete, else empty."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    """Why the evaluation did not complete."""

    def __post_init__(self) -> None:
        if (self.status is Status.COMPLETE) != bool(self.values):
            raise ValueError(f"an outcome has values exactly when it is complete: {self.status}, {self.values}")
        if not all(math.isfinite(v) for v in self.values):
            raise ValueError(f"objective values must be finite: {self.values}")

    @property
    def cause(self) -> str:
        """The last line of the error, where the cause stands; empty without an error."""
        return (self.error.strip().splitlines() or [""])[-1]

    def __repr__(self) -> str:
        why = self.cause[:ERROR_CHARS]
        return brief("Outcome", status=self.status.value, values=self.values, metrics=dict(self.metrics), error=why)


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluated configuration: `params` are those that were run, after every rounding and repair."""

    id: int
    params: Params
    outcome: Outcome
    origin: Origin
    token: int | None = None
    note: Mapping[str, Json] = field(default_factory=dict)
    seconds: float = 0.0
    """Wall seconds of the evaluation, as the supervisor measured them."""
    edit: Edit | None = None

    def __repr__(self) -> str:
        params = dict(self.params)
        return brief("Trial", id=self.id, params=params, outcome=self.outcome, origin=self.origin.value, edit=self.edit)

    @property
    def complete(self) -> bool:
        """Whether the trial has objective values."""
        return self.outcome.status is Status.COMPLETE

    @property
    def values(self) -> tuple[float, ...]:
        """The objective values; empty unless complete."""
        return self.outcome.values

    @property
    def value(self) -> float:
        """The first objective's value; infinity unless complete. For minimised trials, as optimizers are told."""
        return self.outcome.values[0] if self.complete else math.inf


def brief(name: str, **parts: object) -> str:
    """Returns what a `repr` says: the parts that are there, without notes, handles and whole files."""
    return f"{name}({', '.join(f'{key}={part!r}' for key, part in parts.items() if part not in (None, '', (), {}))})"


def suggestion_to_json(suggestion: Suggestion) -> dict[str, Json]:
    """Returns the suggestion as the journal writes it."""
    record: dict[str, Json] = {"params": dict(suggestion.params), "origin": suggestion.origin.value}
    if suggestion.token is not None:
        record["token"] = suggestion.token
    if suggestion.note:
        record["note"] = dict(suggestion.note)
    if suggestion.edit is not None:
        record["edit"] = edit_to_json(suggestion.edit)
    return record


def suggestion_from_json(record: Mapping[str, Json]) -> Suggestion:
    """Returns the suggestion that `suggestion_to_json` wrote; repeats had other origins once."""
    edit = edit_from_json(record["edit"]) if "edit" in record else None
    return Suggestion(
        params=record["params"],
        origin=Origin.REPEAT if edit is not None and edit.replicate else Origin(record["origin"]),
        token=record.get("token"),
        note=record.get("note", {}),
        edit=edit,
    )


def edit_to_json(edit: Edit) -> dict[str, Json]:
    """Returns the edit as journals and executors write it."""
    return {"text": edit.text, "parent": edit.parent, "summary": edit.summary, "replicate": edit.replicate}


def edit_from_json(record: Mapping[str, Json]) -> Edit:
    """Returns the edit that `edit_to_json` wrote."""
    return Edit(record["text"], record["parent"], record["summary"], record["replicate"])


def outcome_to_json(outcome: Outcome) -> dict[str, Json]:
    """Returns the outcome as journals and executors write it."""
    record: dict[str, Json] = {"status": outcome.status.value}
    if outcome.values:
        record["values"] = list(outcome.values)
    if outcome.metrics:
        record["metrics"] = dict(outcome.metrics)
    if outcome.error:
        record["error"] = outcome.error
    return record


def outcome_from_json(record: Mapping[str, Json]) -> Outcome:
    """Returns the outcome that `outcome_to_json` wrote."""
    return Outcome(
        status=Status(record["status"]),
        values=tuple(record.get("values", ())),
        metrics=record.get("metrics", {}),
        error=record.get("error", ""),
    )


def first_value(trial: Trial) -> float:
    """Returns the value of a trial: its loss where there is one objective, and it is minimised."""
    return trial.value


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Returns the incumbent of minimised trials: the first complete one with the lowest first value."""
    complete = [trial for trial in trials if trial.complete]
    return min(complete, key=lambda trial: trial.value) if complete else None
