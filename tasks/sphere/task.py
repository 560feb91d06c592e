"""The sphere function in any dimension: the sum of squared distances to a shifted minimum."""

from __future__ import annotations

from collections.abc import Sequence

from agentopt.shifted import shifted_task
from agentopt.task import FunctionTask

VARIANTS = ("2", "5", "14", "30")


def make(variant: str = "") -> FunctionTask:
    """Returns the function in `variant` dimensions, 5 if none is given."""
    return shifted_task(
        "sphere",
        variant,
        sphere,
        half=5.0,
        description="A smooth blackbox function of {d} real numbers with one minimum, which is inside the box.",
        formula="sum (x_i - s_i)^2",
    )


def sphere(z: Sequence[float]) -> float:
    """Returns the squared distance to the minimum."""
    return sum(a**2 for a in z)
