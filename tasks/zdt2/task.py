"""ZDT2: two objectives, a front that is concave."""

from __future__ import annotations

from agentopt.problems.zdt import VARIABLES, zdt_task
from agentopt.task import FunctionTask


def make(*, n_variables: int = VARIABLES) -> FunctionTask:
    """Returns the task with `n_variables` parameters."""
    return zdt_task("zdt2", n_variables)
