"""MOHOLLM: HOLLM for several objectives, by the hypervolume of cells and candidates (arXiv 2601.13892)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cell_search import CellSearch
from agentopt.optimizers.scored_cells import PartitionOptions, cell_parts
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.surrogates import Prediction, SurrogateName
from agentopt.pareto import choose_batch, contributions, hypervolume, improvements
from agentopt.partition.scores import Norm, Terms, cell_contributions, hypervolume_terms
from agentopt.partition.tree import Floats, Leaves
from agentopt.protocols import Problem, stated_reference

BEYOND = 0.1
"""How far beyond the worst value the reference point lies where the task states none, in units of the range."""
FAR = 3.0
"""How far from what was observed a prediction may lie, in units of the range."""
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {
        "rule": "median",
        "contribution": "front",
        "capacity": 5,
        "growth": 0.0,
        "floor": 0.0,
        "surrogate": "llm",
    },
    "code": {
        "rule": "midpoint",
        "contribution": "all",
        "norm": "softmax",
        "batch_by": "one",
        "capacity": 5,
        "growth": 0.0,
        "floor": 0.0,
        "surrogate": "llm",
    },
}


class MohollmOptions(PartitionOptions):
    """The options of MOHOLLM; those of HOLLM are among them."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    preset: Literal["default", "paper", "code"] = Field(
        "default",
        description="paper: cuts at the median, the front's loss without a cell, five trials in a cell; code: what the"
        " released code does, cuts in the midpoint, the loss of all points, terms as a softmax, candidates taken one by"
        " one. Both ask for predictions in calls of their own. Sets the options below that are not given.",
    )
    contribution: Literal["front", "all"] = Field(
        "front",
        description="What a cell is worth: the hypervolume that the front loses without its trials, or that all trials"
        " lose, where dominated ones take the place of others.",
    )
    norm: Norm = Field(
        "minmax",
        description="How terms become comparable over the cells: minmax, or softmax, which is nearly uniform for terms"
        " in [0, 1] (released code).",
    )
    batch_by: Literal["together", "one"] = Field(
        "together",
        description="How candidates are taken: each by what it adds to those before it, or each alone, by which near"
        " copies are taken together (released code).",
    )
    surrogate: SurrogateName = Field(
        "reply", description="What predicts the objectives of candidates, see `agentopt show hollm`; labels cannot."
    )

    @model_validator(mode="after")
    def _check(self) -> MohollmOptions:
        if self.surrogate == "labels":
            raise ValueError("surrogate=labels predicts one objective only; take llm, reply, neighbours or none")
        return self


class Mohollm(CellSearch):
    """Cells by the hypervolume that their trials hold, candidates by the hypervolume that they promise together."""

    summary: ClassVar[str] = (
        "Cells by their share of the hypervolume, a language model samples inside them (arXiv 2601.13892)."
    )
    Options = MohollmOptions

    def __init__(
        self, problem: Problem, options: MohollmOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        stated = stated_reference(problem.objectives)
        known = None if stated is None else np.array(stated)

        def terms(leaves: Leaves, losses: Floats, total: int) -> Terms:
            scale = _Scale(losses, known)
            scaled = scale.apply(losses)
            gains = cell_contributions(leaves, scaled, scale.reference, hypervolume, options.contribution)
            each, finite = np.full(len(losses), np.nan), np.isfinite(scaled).all(axis=1)
            each[finite] = contributions(scaled[finite], scale.reference)
            return hypervolume_terms(
                leaves, gains, each, total=total, form=options.unknown, constant=options.constant, norm=options.norm
            )

        def rank(predictions: Sequence[Prediction], seen: Seen, count: int) -> list[int]:
            predicted = np.array([prediction.mean for prediction in predictions])
            told = np.array([t.values for t in seen.trials if t.complete], dtype=float).reshape(-1, predicted.shape[1])
            predicted = tamed(predicted, told)
            scale = _Scale(np.vstack([told, predicted]), known)
            rows, points = scale.apply(predicted), scale.apply(told)
            if options.batch_by == "one":
                gains = improvements(rows, points, scale.reference)
                return [int(i) for i in np.argsort(-gains, kind="stable")[:count]]
            return choose_batch(rows, points, scale.reference, count)

        super().__init__(problem, options, rng, cell_parts(problem, options, rng, gateway, terms=terms, rank=rank))


def tamed(predicted: Floats, told: Floats) -> Floats:
    """Returns predictions, those far off taken to be `FAR` ranges from what was observed.

    One wild number would make all others alike: the scale is that of observations and predictions together.
    """
    if not len(told):
        return predicted
    low, high = told.min(axis=0), told.max(axis=0)
    with np.errstate(over="ignore"):
        width = np.where(high > low, high - low, np.inf)
        near: Floats = np.clip(predicted, low - FAR * width, high + FAR * width)
    return near


class _Scale:
    """Losses in units of their range, from the best value to the reference point; without one, to the worst value."""

    def __init__(self, points: Floats, known: Floats | None) -> None:
        finite = points[np.isfinite(points).all(axis=1)]
        low = finite.min(axis=0) if len(finite) else np.zeros(points.shape[1])
        high = finite.max(axis=0) if len(finite) else np.ones(points.shape[1])
        if known is not None:
            high = np.where(known > low, known, high)
        # All of it in halves, for the difference of the largest numbers is no number.
        width = high / 2 - low / 2
        self._half, self._width = low / 2, np.where(width > 0, width, 0.5)
        beyond = np.full(points.shape[1], 1.0 + BEYOND)
        self.reference: Floats = beyond if known is None else self.apply(known)

    def apply(self, points: Floats) -> Floats:
        """Returns the points in these units."""
        scaled: Floats = (points / 2 - self._half) / self._width
        return scaled
