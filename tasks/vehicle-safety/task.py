"""VehicleSafety: the frontal structure of a car, three objectives."""

from __future__ import annotations

from agentopt.problems.crash import vehicle_safety_task
from agentopt.task import FunctionTask


def make() -> FunctionTask:
    """Returns the task."""
    return vehicle_safety_task()
