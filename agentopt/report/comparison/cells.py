"""The parts of a comparison: its methods, its tasks and its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentopt.protocols import Objective
from agentopt.report.load import Seconds
from agentopt.trial import Json

Array: TypeAlias = NDArray[np.float64]
Axis: TypeAlias = Literal["trials", "evaluate", "total"]
"""What a cost is counted in: trials, seconds of evaluation, or all seconds with the language model's among them."""
AXES: Mapping[Axis, str] = {
    "trials": "trials",
    "evaluate": "seconds of evaluation",
    "total": "seconds in all, the language model's among them",
}
"""What an axis of each cost is called."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method with its options."""

    label: str
    method: str
    options: Mapping[str, Json]
    control_of: str | None = None
    """The label of the LLM method whose model-free twin this is."""
    asks: bool = False
    """Whether it asks a language model."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of a task. Losses are minimised: a maximised objective's values with their sign turned."""

    name: str
    objective: Objective
    optimum: float | None = None
    """The loss of the optimum, where it is known."""
    best_known: float | None = None
    """The lowest loss that a stated search has found, where the optimum is not known."""
    median: float | None = None
    """The loss of the median configuration, where it is known."""
    objectives: int = 1

    @property
    def reference(self) -> float | None:
        """The loss that regrets count from: the optimum's, else the best known one; None where neither is known."""
        return self.best_known if self.optimum is None else self.optimum

    @property
    def normalised(self) -> bool:
        """Whether a regret can be put between 0, the reference, and 1, the median configuration."""
        return self.reference is not None and self.median is not None and self.median > self.reference


@dataclass(frozen=True)
class Cell:
    """One run of one method on one task with one seed."""

    label: str
    task: str
    seed: int
    run: Path
    status: str
    losses: tuple[float, ...]
    """The best loss after each trial; infinite before the first complete one."""
    evaluated: tuple[float, ...]
    """The seconds of evaluation up to the end of each trial, all workers together."""
    elapsed: tuple[float, ...]
    """The run's clock at the end of each trial, the language model's time among it."""
    counts: Mapping[str, int]
    origins: Mapping[str, int]
    tokens: Mapping[str, int]
    seconds: Seconds

    @property
    def finished(self) -> bool:
        """Whether the run has spent its budget: only such runs are compared."""
        return self.status == "done"

    @property
    def final(self) -> float:
        """The best loss of the run; infinite where no trial completed."""
        return self.losses[-1] if self.losses else math.inf

    def costs(self, axis: Axis) -> Array:
        """Returns the cost at the end of each trial; it never falls."""
        if axis == "trials":
            return np.arange(1, len(self.losses) + 1, dtype=np.float64)
        costs = np.asarray(self.evaluated if axis == "evaluate" else self.elapsed, dtype=float)
        return np.maximum.accumulate(costs) if costs.size else costs

    def at(self, costs: Array, axis: Axis) -> Array:
        """Returns the best loss that was found by each cost."""
        known = np.array([math.inf, *self.losses])
        return known[np.searchsorted(self.costs(axis), costs, side="right")]
