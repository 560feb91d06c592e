"""CarSideImpact: the side of a car, four objectives."""

from __future__ import annotations

from agentopt.problems.crash import car_side_impact_task
from agentopt.task import FunctionTask


def make() -> FunctionTask:
    """Returns the task."""
    return car_side_impact_task()
