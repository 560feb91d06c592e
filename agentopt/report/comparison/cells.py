"""The parts of a comparison: its methods, its tasks and its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentopt.protocols import Objective
from agentopt.report.fronts import Reference
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
class FrontFacts:
    """What all runs of a task with several objectives share."""

    objectives: tuple[Objective, ...]
    reference: Reference
    """What the hypervolumes of all runs count from."""
    together: float
    """The hypervolume of the fronts of all runs together."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of a task. Losses are minimised: a maximised objective's values with their sign turned.

    Of several objectives the hypervolume is compared, as an objective of its own.
    """

    name: str
    objective: Objective
    optimum: float | None = None
    """The loss of the optimum, where it is known."""
    best_known: float | None = None
    """The lowest loss that a stated search has found, where the optimum is not known."""
    median: float | None = None
    """The loss that counts as a regret of 1: the median configuration's, where it is known; 0 of a hypervolume."""
    front: FrontFacts | None = None
    """Of several objectives: what hypervolumes count from; None of one, or where no run has a front."""

    @property
    def reference(self) -> float | None:
        """The loss that regrets count from: the optimum's, else the best known one; None where neither is known.

        Of several objectives it is at the worst that of the fronts of all runs together.
        """
        known = self.best_known if self.optimum is None else self.optimum
        return -self.front.together if known is None and self.front is not None else known

    @property
    def reference_is(self) -> str:
        """What `reference` is; where it is None, regrets count from the best of the runs."""
        if self.optimum is not None:
            return "optimum"
        if self.best_known is not None:
            return "best known"
        return "best of these runs" if self.front is None else "these runs together"

    @property
    def normalised(self) -> bool:
        """Whether a regret can be put between 0, the reference, and 1, `median`."""
        return self.reference is not None and self.median is not None and self.median > self.reference


class Measure(StrEnum):
    """What the loss of a run is, where evaluations are noisy; only runs of one measure are like each other."""

    OWN = "the best of single values, each with a seed of its own"
    SHARED = "the best of single values, all with one seed"
    KEPT = "the mean of the version that it kept"


@dataclass(frozen=True)
class Cell:
    """One run of one method on one task with one seed."""

    label: str
    task: str
    seed: int
    run: Path
    status: str
    losses: tuple[float, ...]
    """The best loss after each trial; before the first complete one infinite, of a hypervolume 0."""
    evaluated: tuple[float, ...]
    """The seconds of evaluation up to the end of each trial, all workers together."""
    elapsed: tuple[float, ...]
    """The run's clock at the end of each trial, the language model's time among it."""
    counts: Mapping[str, int]
    origins: Mapping[str, int]
    tokens: Mapping[str, int]
    seconds: Seconds
    measure: Measure = Measure.OWN
    front: Array | None = None
    """Of several objectives: the values of the front, to be minimised, shape (trials, objectives)."""
    accepted: float | None = None
    """The share accepted of the candidates that were asked for; None for a method that asks for none."""
    correlation: float | None = None
    """The rank correlation of predicted and observed values (`agentopt.report.candidates`), where it is known."""

    @property
    def nothing(self) -> float:
        """The loss before the first trial: infinite, or no hypervolume."""
        return math.inf if self.front is None else 0.0

    @property
    def finished(self) -> bool:
        """Whether the run has spent its budget: only such runs are compared."""
        return self.status == "done"

    @property
    def final(self) -> float:
        """The best loss of the run; infinite where no trial completed, but 0 of a hypervolume."""
        return self.losses[-1] if self.losses else self.nothing

    def costs(self, axis: Axis) -> Array:
        """Returns the cost at the end of each trial; it never falls."""
        if axis == "trials":
            return np.arange(1, len(self.losses) + 1, dtype=np.float64)
        costs = np.asarray(self.evaluated if axis == "evaluate" else self.elapsed, dtype=float)
        return np.maximum.accumulate(costs) if costs.size else costs

    def at(self, costs: Array, axis: Axis) -> Array:
        """Returns the best loss that was found by each cost."""
        known = np.array([self.nothing, *self.losses])
        return known[np.searchsorted(self.costs(axis), costs, side="right")]
