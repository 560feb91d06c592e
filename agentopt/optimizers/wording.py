"""How prompts put a search into words: its parameters, its trials, its state, every number already written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agentopt.llm.reply import Form
from agentopt.optimizers.seen import Seen
from agentopt.protocols import Objective, Problem
from agentopt.space import SearchSpace
from agentopt.trial import Json, Params, Trial, Value

T = TypeVar("T")
HISTORY_CHARS = 8000
BEST_CHARS = 2000
"""The most characters that a prompt spends on recent and on best trials."""


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """What of the search a prompt shows."""

    template: str
    """The prompt file."""
    form: Form
    recent: int
    """Trials in the recent history."""
    best: int
    stable: bool = True
    """Shows up to twice as many recent trials, their first one moving only every `recent` trials: consecutive prompts
    then share most of their text, and the server can reuse its work on it."""
    failures: bool = True
    """Shows failed trials too."""
    anonymous: bool = False
    """Says x1, x2, ... and f1, f2, ... for the names, and nothing of what is tuned; with arrays alone."""


def prompt_variables(
    problem: Problem, style: PromptStyle, seen: Seen, state: Mapping[str, Json], advice: Params
) -> dict[str, Any]:
    """Returns what a prompt file may use, every number already written out."""
    space, objectives = problem.space, problem.objectives
    names = parameter_names(space, style)

    def row(params: Params) -> str:
        return row_of(space, style, params)

    width = len(row(advice)) + 30
    complete = seen.ranked()
    shown = [trial for trial in seen.trials if trial.complete or style.failures]
    return {
        "description": "" if style.anonymous else problem.description,
        "parameters": [{"name": name, "range": p.describe()} for name, p in zip(names, space.parameters, strict=True)],
        "constraints": [] if style.anonymous else [repair.describe() for repair in space.repairs],
        "objective": ", ".join(objective_names(problem, style)),
        "goal": "lowest" if objectives[0].direction == "minimize" else "highest",
        "better": _better(objective_names(problem, style), objectives),
        "names": ", ".join(names),
        "form": style.form,
        "count": len(seen.trials),
        "budget": problem.trials,
        "recent": trial_lines(problem, style, _window(shown, style, width)),
        "best": trial_lines(problem, style, list(reversed(complete[: _at_most(style.best, width, BEST_CHARS)]))),
        "failures": _failures(shown),
        "advice": row(advice),
        "state": state,
        "mean": row(state["mean"] | _choice_modes(space, state)) if "mean" in state else "",
        "expected": row(state["expected_best"]["params"]) if "expected_best" in state else "",
        "unexplored": [row(params) for params in state.get("unexplored", ())],
        "spread": {name: f"{show(low)} to {show(high)}" for name, (low, high) in state.get("spread", {}).items()},
    }


def row_of(space: SearchSpace, style: PromptStyle, params: Params) -> str:
    """Returns a configuration as the prompt writes it."""
    shown = {p.name: show(params[p.name], exact=p.levels is not None) for p in space.parameters}
    if style.form == "object":
        return "{" + ", ".join(f'"{name}": {text}' for name, text in shown.items()) + "}"
    return "[" + ", ".join(shown.values()) + "]"


def trial_lines(problem: Problem, style: PromptStyle, trials: Sequence[Trial]) -> list[dict[str, str]]:
    """Returns trials as the prompt writes them: `id`, `params`, `result` and `origin` of each."""
    lines = []
    for trial in trials:
        values = [o.loss(v) for o, v in zip(problem.objectives, trial.values, strict=True)] if trial.complete else []
        result = ", ".join(f"{value:.6g}" for value in values) or trial.outcome.status.value.upper()
        row = row_of(problem.space, style, trial.params)
        lines.append({"id": str(trial.id), "params": row, "result": result, "origin": trial.origin.value})
    return lines


def parameter_names(space: SearchSpace, style: PromptStyle) -> list[str]:
    """Returns the names of the parameters as the prompt has them."""
    return [f"x{i + 1}" if style.anonymous else name for i, name in enumerate(space.names)]


def objective_names(problem: Problem, style: PromptStyle) -> list[str]:
    """Returns the names of the objectives as the prompt has them."""
    return [f"f{i + 1}" if style.anonymous else o.name for i, o in enumerate(problem.objectives)]


def _better(names: Sequence[str], objectives: Sequence[Objective]) -> str:
    """Returns which values are better: `lower`, or for several that do not agree: `lower loss, higher speed`."""
    words = ["lower" if objective.direction == "minimize" else "higher" for objective in objectives]
    if len(set(words)) == 1:
        return words[0]
    return ", ".join(f"{word} {name}" for word, name in zip(words, names, strict=True))


def _choice_modes(space: SearchSpace, state: Mapping[str, Json]) -> dict[str, Value]:
    """Returns the most probable choice of each categorical parameter."""
    modes: dict[str, Value] = {}
    for name, weights in state.get("choices", {}).items():
        top = max(weights, key=weights.get)
        modes[name] = next(c for c in getattr(space[name], "choices", ()) if str(c) == top)
    return modes


def stable_window(rows: Sequence[T], recent: int) -> Sequence[T]:
    """Returns the last rows, from `recent` to twice as many: the first of them moves only every `recent` rows."""
    if recent == 0:
        return ()
    return rows[max(0, (len(rows) // recent - 1) * recent) :]


def _window(trials: Sequence[Trial], style: PromptStyle, width: int) -> Sequence[Trial]:
    """Returns the trials that the history shows, where one takes `width` characters."""
    if not style.stable:
        return trials[-_at_most(style.recent, width, HISTORY_CHARS) :]
    return stable_window(trials, _at_most(style.recent, width, HISTORY_CHARS // 2))


def _at_most(rows: int, width: int, characters: int) -> int:
    """Returns how many rows fit: wide spaces get shorter lists, so that a prompt stays within a model's context."""
    return max(1, min(rows, characters // width))


def _failures(trials: Sequence[Trial]) -> list[dict[str, str]]:
    """Returns who proposed how many trials and how many of them failed."""
    rows = []
    for origin in dict.fromkeys(trial.origin for trial in trials):
        own = [trial for trial in trials if trial.origin is origin]
        failed = sum(not trial.complete for trial in own)
        rows.append({"origin": origin.value, "trials": str(len(own)), "failed": str(failed)})
    return rows


def show(value: Json, *, exact: bool = False) -> str:
    """Returns a value as prompts write it: JSON, floats with four digits, or with all that they have where `exact`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if exact else f"{value:.4g}"
    return f'"{value}"' if isinstance(value, str) else str(value)
