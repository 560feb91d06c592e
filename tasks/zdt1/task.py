"""ZDT1: two objectives, a front that is convex."""

from __future__ import annotations

from agentopt.problems.zdt import VARIABLES, zdt_task
from agentopt.task import FunctionTask


def make(*, n_variables: int = VARIABLES) -> FunctionTask:
    """Returns the task with `n_variables` parameters."""
    return zdt_task("zdt1", n_variables)
