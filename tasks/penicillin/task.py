"""Penicillin: a simulated fermentation, three objectives."""

from __future__ import annotations

from agentopt.problems.penicillin import penicillin_task
from agentopt.task import FunctionTask


def make() -> FunctionTask:
    """Returns the task."""
    return penicillin_task()
