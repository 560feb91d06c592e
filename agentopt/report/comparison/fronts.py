"""What is compared on tasks with several objectives: hypervolumes, from one reference point for all runs of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentopt.pareto import attainment
from agentopt.protocols import Objective
from agentopt.report.comparison.cells import Array, Cell, FrontFacts
from agentopt.report.fronts import front_of, joint_hypervolume, losses_of, shared_reference
from agentopt.report.load import RunReport

HYPERVOLUME = Objective("hypervolume", "maximize")
QUARTILES = (0.25, 0.5, 0.75)
"""The shares of the runs whose attainment surfaces are drawn."""


@dataclass(frozen=True)
class Surfaces:
    """How far the fronts of one method on a task with two objectives reach, as values to be minimised."""

    task: str
    label: str
    runs: int
    first: Array
    """Values of the first objective, in rising order."""
    second: Array
    """The values of the second one that each share of the runs attains there, by share; infinite where it does not."""


def front_facts(reports: Sequence[RunReport]) -> FrontFacts | None:
    """Returns what the runs of a task share where there are several objectives; None of one, or without a front."""
    objectives = reports[0].objectives
    reference = shared_reference([report.trials for report in reports], objectives) if len(objectives) > 1 else None
    if reference is None:
        return None
    fronts = [losses_of(report.front.trials, objectives) for report in reports]
    return FrontFacts(objectives, reference, joint_hypervolume(fronts, objectives, reference))


def front_losses(report: RunReport, facts: FrontFacts | None) -> tuple[tuple[float, ...], Array]:
    """Returns the loss after each trial, which is the hypervolume with its sign turned, and the front in losses.

    A run without a front has a hypervolume of 0.
    """
    objectives = report.objectives
    if facts is None:
        return (0.0,) * len(report.trials), np.empty((0, len(objectives)))
    front = front_of(report.trials, objectives, facts.reference)
    return tuple(0.0 - found for found in front.hypervolumes), losses_of(front.trials, objectives)


def surfaces(cells: Sequence[Cell], labels: Sequence[str], task: str) -> list[Surfaces]:
    """Returns the attainment surfaces of each method that finished runs on a task with two objectives."""
    found = []
    for label in labels:
        own = [cell for cell in cells if (cell.label, cell.task) == (label, task) and cell.finished]
        fronts = [cell.front for cell in own if cell.front is not None]
        if any(len(front) for front in fronts):
            first = np.unique(np.concatenate(fronts)[:, 0])
            second = np.stack([attainment(fronts, share, first) for share in QUARTILES])
            found.append(Surfaces(task, label, len(fronts), first, second))
    return found
