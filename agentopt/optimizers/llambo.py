"""LLAMBO: Bayesian optimization by a language model, which starts it, proposes and predicts (arXiv 2402.03921)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cell_sampler import Candidate, CellSampler, Pool, make_cell_sampler
from agentopt.optimizers.cell_search import CellOptions, CellSearch, Parts, WholeSpace, surrogate_of
from agentopt.optimizers.ranking import by_improvement, by_mean
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.surrogates import SurrogateName
from agentopt.partition import Cell, whole_space
from agentopt.protocols import Problem
from agentopt.space import Choice
from agentopt.trial import Json, Value

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {"replies": 20, "candidates": 1, "samples": 10, "together": 1, "alpha": -0.1},
    "optuna": {
        "replies": 10,
        "candidates": 1,
        "surrogate": "labels",
        "samples": 1,
        "together": 1,
        "alpha": -0.2,
        "choices": "random",
        "failures": "hidden",
        "warmstart": "uniform",
        "initial": 2,
    },
}


class LlamboOptions(CellOptions):
    """The options of LLAMBO."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    preset: Literal["default", "paper", "optuna"] = Field(
        "default",
        description="paper: one candidate in each call and ten predictions of each candidate, over 200 calls for a"
        " trial; optuna: the port to OptunaHub (labels in place of values, choices drawn at random, failures hidden)."
        " Sets the options below that are not given. The default does what the paper does, in fewer calls.",
    )
    surrogate: SurrogateName = Field(
        "llm",
        description="What predicts: llm, values; labels, the probability of being among the best fifth; reply, in the"
        " call that proposes; or model-free: neighbours, none.",
    )
    samples: int = Field(5, ge=1, description="Predictions of each candidate, the examples in another order each time.")
    replies: int = Field(2, ge=1, description="Replies that are asked for at once.")
    candidates: int = Field(5, ge=1, description="Candidates in each reply.")
    batch: int = Field(1, ge=1, description="How many candidates of a turn are run.")
    alpha: float = Field(
        -0.1,
        description="The target of the proposals is best - alpha * (worst - best): below 0 inside what was observed.",
    )
    warmstart: Literal["llm", "uniform"] = Field(
        "llm", description="Who proposes the initial trials: the model, from the description alone, or uniform draws."
    )
    choices: Literal["model", "random"] = Field(
        "model", description="random: categorical values of candidates are drawn at random (the port to OptunaHub)."
    )
    recent: int = Field(40, ge=1, description="Recent trials shown.")
    prompt: str = Field("llambo/propose", description="The prompt file under prompts/, without its ending.")


class Llambo(CellSearch):
    """One cell, the whole space; the candidate with the highest expected improvement is run."""

    summary: ClassVar[str] = "A language model proposes, and predicts what its proposals give (arXiv 2402.03921)."
    single_objective: ClassVar[bool] = True
    Options = LlamboOptions

    def __init__(
        self, problem: Problem, options: LlamboOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        own, root = rng.spawn(4), whole_space(problem.space)
        one_call = options.sampler != "llm"
        style = options.style(options.prompt)
        sampler: CellSampler = make_cell_sampler(
            options.sampler,
            problem,
            own[0],
            gateway,
            style,
            replies=options.replies,
            predict=options.surrogate == "reply",
        )
        if options.choices == "random":
            sampler = _RandomChoices(sampler, problem, own[2])
        first = None
        if options.warmstart == "llm" and not one_call:
            starter = make_cell_sampler("llm", problem, own[3], gateway, replace(style, template="llambo/warmstart"))
            first = _warmstart(starter, root)
        parts = Parts(
            WholeSpace(root),
            sampler,
            surrogate_of(options, problem, own[1], gateway),
            by_mean if options.surrogate == "labels" else by_improvement,  # a probability has no incumbent
            wanted=options.replies * options.candidates if one_call else options.candidates,
            batch=options.batch,
            hints=lambda seen: {"target": _target(problem, seen, options.alpha)},
            first=first,
        )
        super().__init__(problem, options, rng, parts)


def _target(problem: Problem, seen: Seen, alpha: float) -> str:
    """Returns the value to aim at, in the task's units; in words while nothing is known."""
    losses = [trial.value for trial in seen.trials if trial.complete]
    if not losses:
        return "as good as can be"
    best, worst = min(losses), max(losses)
    return f"{problem.objectives[0].loss(best - alpha * (worst - best)):.6g}"


def _warmstart(starter: CellSampler, root: Cell) -> Callable[[int, Seen], Pool]:
    """Returns what asks for the initial trials: all of them in one reply."""
    return lambda count, seen: starter.candidates([root], count, seen, {})


class _RandomChoices:
    """Draws the choices of another sampler's candidates anew, uniformly."""

    def __init__(self, inner: CellSampler, problem: Problem, rng: np.random.Generator) -> None:
        self._inner, self._problem, self._rng = inner, problem, rng

    def candidates(self, cells: Sequence[Cell], count: int, seen: Seen, hints: Mapping[str, Json]) -> Pool:
        """Returns the candidates with other choices; those that are known by then are counted as duplicates."""
        pool, space = self._inner.candidates(cells, count, seen, hints), self._problem.space
        drawn: dict[tuple[Value, ...], Candidate] = {}
        for candidate in pool.candidates:
            params = dict(candidate.params)
            for parameter in space.parameters:
                if isinstance(parameter, Choice):
                    params[parameter.name] = parameter.choices[self._rng.integers(parameter.levels)]
            params = space.repair(params)
            if not seen.knows(params):
                drawn.setdefault(self._problem.key(params), replace(candidate, params=params))
        counts, lost = dict(pool.counts), len(pool.candidates) - len(drawn)
        if lost:
            counts |= {"accepted": len(drawn), "duplicate": counts.get("duplicate", 0) + lost}
        return replace(pool, candidates=tuple(drawn.values()), counts=counts)
