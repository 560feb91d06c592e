"""Samplers: what an LLM method asks for configurations, be it a language model or its model-free stand-in.

A method decides when to ask and what to do with the answer; a sampler only proposes. Every LLM method thereby has its
controls: the same schedule with the model replaced by a stated classical step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np

from agentopt.errors import ModelUnavailable
from agentopt.llm.gateway import Gateway
from agentopt.llm.reply import Form, configuration_schema, read_configuration
from agentopt.optimizers.local import incumbent_step
from agentopt.prompts import render
from agentopt.protocols import Problem
from agentopt.space import Cube, SearchSpace
from agentopt.trial import Json, Params, Trial, Value, best_trial

Duplicates: TypeAlias = Literal["fallback", "run"]
T = TypeVar("T")
HISTORY_CHARS = 8000
BEST_CHARS = 2000
"""The most characters that a prompt spends on recent and on best trials."""
_NEIGHBOURS = 3
SamplerName: TypeAlias = Literal["llm", "incumbent", "uniform", "advisor"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a sampler proposes: a configuration, or none and the reason."""

    params: dict[str, Value] | None
    reason: str = ""
    note: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """The trials that a search has been told, and what they say."""

    space: SearchSpace
    trials: list[Trial] = field(default_factory=list)
    _keys: set[tuple[Value, ...]] = field(default_factory=set)
    _points: list[Cube] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        """Takes a finished trial, in minimised values."""
        self.trials.append(trial)
        self._keys.add(self.space.key(trial.params))

    def refuse(self, proposal: Proposal, *, duplicates: Duplicates, fallback: str) -> str:
        """Returns why a proposal is not to be run, or nothing: then it counts as a trial, not to be repeated.

        Raises ModelUnavailable for a reply that could not be read where `fallback` is `stop`.
        """
        if proposal.params is None:
            if fallback == "stop":
                raise ModelUnavailable(f"The model's reply could not be used ({proposal.reason}), and fallback=stop.")
            return proposal.reason
        key = self.space.key(self.space.repair(proposal.params))
        if duplicates == "fallback" and key in self._keys:
            return "duplicate"
        self._keys.add(key)
        return ""

    def neighbourhood(self, params: Params) -> float:
        """Returns how the three trials nearest to a configuration rank among all, on average: from 0, best, to 1.

        Near is what has a small distance after Gower (Biometrics 27, 1971): the sum of the differences in the unit
        cube, 1 for choices that are not the same. Failed trials rank last together; without trials it is a half.
        """
        if not self.trials:
            return 0.5
        self._points += [self.space.encode(trial.params) for trial in self.trials[len(self._points) :]]
        apart = np.abs(np.array(self._points) - self.space.encode(params))
        choices = self.space.choice_mask
        apart[:, choices] = apart[:, choices] > 0
        nearest = np.argsort(apart.sum(axis=1), kind="stable")[:_NEIGHBOURS]
        losses = np.array([trial.value if trial.complete else np.inf for trial in self.trials])
        ranks = [(np.sum(losses < losses[i]) + np.sum(losses <= losses[i]) + 1) / 2 for i in nearest]
        return float(np.mean(ranks)) / (len(losses) + 1)

    @property
    def incumbent(self) -> Trial | None:
        """The best trial so far."""
        return best_trial(self.trials)


class Sampler(Protocol):
    """Proposes configurations."""

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns `n` proposals; `state` is the optimizer's, `advice` the configuration it would run itself."""


class IncumbentSampler:
    """A Gaussian step around the best trial: the step of the method `local`."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns steps around the incumbent, or the advice where there is none yet."""
        best = seen.incumbent
        centre = advice if best is None else best.params
        return [Proposal(incumbent_step(self._space, centre, self._rng)) for _ in range(n)]


class UniformSampler:
    """Uniform draws from the unit cube."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns independent draws."""
        return [Proposal(self._space.sample(self._rng)) for _ in range(n)]


class AdvisorSampler:
    """The optimizer's own candidate: what it would have run without a sampler."""

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns the advice."""
        return [Proposal(dict(advice)) for _ in range(n)]


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


class LlmSampler:
    """Asks a language model."""

    def __init__(self, problem: Problem, gateway: Gateway, style: PromptStyle) -> None:
        self._problem, self._gateway, self._style = problem, gateway, style
        self._schema = configuration_schema(problem.space, style.form)

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns the model's configurations; a reply that stays unreadable after its repair gives none."""
        prompt = self.prompt(seen, state, advice)
        view = {
            "task": self._problem.task,
            "space": self._problem.space,
            "objectives": self._problem.objectives,
            "trials": tuple(seen.trials),
            "best": seen.incumbent,
            "state": state,
            "advice": advice,
        }
        replies = self._gateway.ask(
            prompt, lambda text: read_configuration(text, self._problem.space), schema=self._schema, n=n, view=view
        )
        return [Proposal(reply.value, reply.reason, _note(reply.calls, reply.issues)) for reply in replies]

    def prompt(self, seen: Seen, state: Mapping[str, Json], advice: Params) -> str:
        """Returns the text that the model is sent."""
        return render(self._style.template, prompt_variables(self._problem, self._style, seen, state, advice))


def _note(calls: Sequence[int], issues: Sequence[str]) -> dict[str, Json]:
    note: dict[str, Json] = {"calls": list(calls)}
    if issues:
        note["issues"] = list(issues)
    return note


def make_sampler(
    name: SamplerName, problem: Problem, rng: np.random.Generator, gateway: Gateway | None, style: PromptStyle
) -> Sampler:
    """Returns the sampler of a name."""
    if name == "llm":
        assert gateway is not None
        return LlmSampler(problem, gateway, style)
    if name == "incumbent":
        return IncumbentSampler(problem, rng)
    return UniformSampler(problem, rng) if name == "uniform" else AdvisorSampler()


def prompt_variables(
    problem: Problem, style: PromptStyle, seen: Seen, state: Mapping[str, Json], advice: Params
) -> dict[str, Any]:
    """Returns what a prompt file may use, every number already written out."""
    space, objective = problem.space, problem.objectives[0]

    def row(params: Params) -> str:
        shown = {p.name: show(params[p.name], exact=p.levels is not None) for p in space.parameters}
        if style.form == "object":
            return "{" + ", ".join(f'"{name}": {text}' for name, text in shown.items()) + "}"
        return "[" + ", ".join(shown.values()) + "]"

    def line(trial: Trial) -> dict[str, str]:
        values = [o.loss(v) for o, v in zip(problem.objectives, trial.values, strict=True)] if trial.complete else []
        result = ", ".join(f"{value:.6g}" for value in values) or trial.outcome.status.value.upper()
        return {"id": str(trial.id), "params": row(trial.params), "result": result, "origin": trial.origin.value}

    width = len(row(advice)) + 30
    complete = sorted((t for t in seen.trials if t.complete), key=lambda t: (t.value, t.id))
    return {
        "description": problem.description,
        "parameters": [{"name": p.name, "range": p.describe()} for p in space.parameters],
        "constraints": [repair.describe() for repair in space.repairs],
        "objective": objective.name,
        "goal": "lowest" if objective.direction == "minimize" else "highest",
        "better": "lower" if objective.direction == "minimize" else "higher",
        "names": ", ".join(space.names),
        "form": style.form,
        "count": len(seen.trials),
        "budget": problem.trials,
        "recent": [line(trial) for trial in _window(seen.trials, style, width)],
        "best": [line(trial) for trial in reversed(complete[: _at_most(style.best, width, BEST_CHARS)])],
        "failures": _failures(seen.trials),
        "advice": row(advice),
        "state": state,
        "mean": row(state["mean"] | _choice_modes(space, state)) if "mean" in state else "",
        "spread": {name: f"{show(low)} to {show(high)}" for name, (low, high) in state.get("spread", {}).items()},
    }


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
