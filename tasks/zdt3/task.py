"""ZDT3: two objectives, a front that is in five pieces."""

from __future__ import annotations

from agentopt.problems.zdt import VARIABLES, zdt_task
from agentopt.task import FunctionTask


def make(*, n_variables: int = VARIABLES) -> FunctionTask:
    """Returns the task with `n_variables` parameters."""
    return zdt_task("zdt3", n_variables)
