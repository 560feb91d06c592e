"""HOLLM: the space is cut into cells, a score picks some, and the model samples inside them (arXiv 2505.21372)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cell_search import CellSearch
from agentopt.optimizers.ranking import by_mean
from agentopt.optimizers.scored_cells import PartitionOptions, cell_parts
from agentopt.partition.scores import Terms, single_terms
from agentopt.partition.tree import Floats, Leaves
from agentopt.protocols import Problem

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {"rule": "mean", "unknown": "count", "growth": 0.0, "names": "anonymous", "floor": 0.0},
    "code": {"rule": "midpoint", "unknown": "budget", "growth": 0.0, "names": "anonymous", "floor": 0.0},
}


class HollmOptions(PartitionOptions):
    """The options of HOLLM."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    best: int = Field(5, ge=1, description="Best trials shown, the best last.")
    preset: Literal["default", "paper", "code"] = Field(
        "default",
        description="paper: cuts at the mean, uncertainty against the count of trials; code: what the released code"
        " does, cuts in the midpoint, uncertainty against the budget; both without names in the prompt and without a"
        " floor. Sets the options above that are not given.",
    )


class Hollm(CellSearch):
    """Cells by their best trial, their size and what is not known of them; candidates by their predicted value."""

    summary: ClassVar[str] = (
        "Cells chosen by a bandit's score, a language model samples inside them (arXiv 2505.21372)."
    )
    single_objective: ClassVar[bool] = True
    Options = HollmOptions

    def __init__(
        self, problem: Problem, options: HollmOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        def terms(leaves: Leaves, losses: Floats, total: int) -> Terms:
            return single_terms(leaves, losses[:, 0], total=total, form=options.unknown, constant=options.constant)

        super().__init__(problem, options, rng, cell_parts(problem, options, rng, gateway, terms=terms, rank=by_mean))
