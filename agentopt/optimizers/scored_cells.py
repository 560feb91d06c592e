"""Chooses the cells of a turn: the space is cut along all trials anew, and cells are drawn by their score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cell_sampler import make_cell_sampler
from agentopt.optimizers.cell_search import CellOptions, Chooser, Chosen, Parts, Ranking, WholeSpace, surrogate_of
from agentopt.optimizers.seen import Seen
from agentopt.partition import partition, whole_space
from agentopt.partition.scores import (
    Terms,
    UnknownForm,
    annealed,
    capacity,
    choose,
    long_run,
    probabilities,
    worth,
)
from agentopt.partition.tree import Floats, Leaves, Rule
from agentopt.protocols import Problem
from agentopt.trial import Json

HORIZON = 100
"""The budget of trials that the schedule assumes where the run has none."""
_MOST = 1e6
"""The largest weight that makes sense: sums and products of such weights are numbers."""
LONG_RUN = 200
"""Beyond so many trials the cells grow with the number of trials, unless told otherwise."""
Scoring: TypeAlias = Callable[[Leaves, Floats, int], Terms]
"""Takes the leaves, the losses of all trials (trials, objectives), NaN for failures, and the budget of trials."""


class PartitionOptions(CellOptions):
    """The options of the methods that cut the space."""

    partition: Literal["tree", "none"] = Field(
        "tree", description="none: the model is asked about the whole space, for as many candidates in one reply."
    )
    rule: Rule = Field(
        "median",
        description="Where a cell is cut: at the median or the mean of the axis of the largest variance, or in the"
        " midpoint of the axis of the largest extent.",
    )
    capacity: int | None = Field(
        None, ge=1, description="Trials that a cell may hold; unset: half the number of parameters, at least 2."
    )
    growth: Annotated[float, Field(ge=0, le=_MOST)] | Literal["auto"] = Field(
        "auto",
        description="How the capacity grows: by this times ln(1 + trials), rounded up; auto: not up to 200 trials, then"
        " with half their square root.",
    )
    cells: int = Field(5, ge=1, description="Cells that the model is asked about in a turn.")
    candidates: int = Field(5, ge=1, description="Candidates in each of them.")
    batch: int = Field(4, ge=1, description="How many of all candidates of a turn are run: the best by prediction.")
    alpha_max: float = Field(1.0, ge=0, le=_MOST, description="Weight of exploration at the start.")
    alpha_min: float = Field(
        0.01, ge=0, le=_MOST, description="Weight of exploration at the end of the budget; a cosine between."
    )
    beta_volume: float = Field(0.5, ge=0, le=_MOST, description="The share of a cell's volume in exploration.")
    beta_unknown: float = Field(0.5, ge=0, le=_MOST, description="The share of its uncertainty.")
    unknown: UnknownForm = Field(
        "budget",
        description="What the uncertainty compares a cell's trials with: the budget of the run, or the count of trials"
        " so far, which leaves nothing to cells of average occupancy.",
    )
    constant: float = Field(1.0, ge=0, le=_MOST, description="The constant c of the uncertainty (UCB-V).")
    floor: float = Field(
        0.01, ge=0, lt=1, description="The share of the choice that is uniform over the cells, so that none starves."
    )
    prompt: str = Field("hollm/propose", description="The prompt file under prompts/, without its ending.")

    @property
    def wanted(self) -> int:
        """The candidates in one reply: without a partition as many as all cells together have."""
        return self.candidates if self.partition == "tree" else self.cells * self.candidates


class ScoredCells:
    """Cuts the space along the trials and draws cells by their score."""

    def __init__(self, problem: Problem, options: PartitionOptions, rng: np.random.Generator, terms: Scoring) -> None:
        self._problem, self._options, self._rng, self._terms = problem, options, rng, terms
        self._state: dict[str, Json] = {}

    def choose(self, seen: Seen) -> Chosen:
        """Returns the cells of a turn, those with the highest score first."""
        options, problem, trials = self._options, self._problem, seen.trials
        losses = self._losses(seen)
        # Choices are put in order by how good the trials with them are, on average over the objectives.
        order = -np.mean([worth(column) for column in losses.T], axis=0)
        held = self._capacity(len(trials))
        parts = partition(problem.space, [t.params for t in trials], order.tolist(), held, options.rule)
        total = problem.trials or HORIZON
        terms = self._terms(parts.leaves, losses, total)
        alpha = annealed(len(trials), total, options.alpha_max, options.alpha_min)
        score = terms.score(alpha, (options.beta_volume, options.beta_unknown))
        chances = probabilities(score, options.floor)
        chosen = choose(chances, options.cells, self._rng)
        chosen = chosen[np.argsort(-score[chosen], kind="stable")]
        counts = parts.leaves.counts
        notes = [
            {
                "cell": int(k),
                "score": round(float(score[k]), 6),
                "chance": round(float(chances[k]), 6),
                "held": int(counts[k]),
            }
            for k in chosen
        ]
        self._state = {"cells": len(counts), "capacity": held, "alpha": round(alpha, 6), "chosen": notes}
        return Chosen(tuple(parts.cell(int(k)) for k in chosen), tuple(notes))

    def explain(self) -> Mapping[str, Json]:
        """Returns the cells of the last turn."""
        return self._state

    def _capacity(self, t: int) -> int:
        options = self._options
        m0 = options.capacity or max(2, math.ceil(len(self._problem.space) / 2))
        if options.growth != "auto":
            return capacity(m0, options.growth, t)
        return long_run(m0, t) if t > LONG_RUN else m0

    def _losses(self, seen: Seen) -> Floats:
        """Returns the losses of all trials, shape (trials, objectives), NaN for failures."""
        count = len(self._problem.objectives)
        rows = [trial.values if trial.complete else (math.nan,) * count for trial in seen.trials]
        return np.array(rows, dtype=float).reshape(len(rows), count)


def cell_parts(
    problem: Problem,
    options: PartitionOptions,
    rng: np.random.Generator,
    gateway: Gateway | None,
    *,
    terms: Scoring,
    rank: Ranking,
) -> Parts:
    """Returns what a method that scores cells by `terms` and candidates by `rank` is made of."""
    own = rng.spawn(3)
    chooser: Chooser = WholeSpace(whole_space(problem.space))
    if options.partition == "tree":
        chooser = ScoredCells(problem, options, own[2], terms)
    style, predict = options.style(options.prompt), options.surrogate == "reply"
    return Parts(
        chooser,
        make_cell_sampler(options.sampler, problem, own[0], gateway, style, predict=predict),
        surrogate_of(options, problem, own[1], gateway),
        rank,
        wanted=options.wanted,
        batch=options.batch,
    )
