"""DTLZ2: two to four objectives, a front that is a part of the unit sphere."""

from __future__ import annotations

from agentopt.problems.dtlz import dtlz2_task
from agentopt.task import FunctionTask


def make(*, n_variables: int = 12, n_objectives: int = 3) -> FunctionTask:
    """Returns the task with `n_variables` parameters and `n_objectives` objectives."""
    return dtlz2_task(n_variables, n_objectives)
