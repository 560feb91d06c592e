"""Engineering designs of the package pymoo, with constraints."""

from __future__ import annotations

from agentopt.problems.designs import DESIGNS, design_task
from agentopt.task import FunctionTask

VARIANTS = tuple(DESIGNS)


def make(variant: str = "") -> FunctionTask:
    """Returns the task of a design."""
    return design_task(variant)
