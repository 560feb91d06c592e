"""Rastrigin's function in any dimension: a bowl with a regular grid of local minima, shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentopt.shifted import shifted_task
from agentopt.task import FunctionTask

VARIANTS = ("2", "5", "14", "30")


def make(variant: str = "") -> FunctionTask:
    """Returns the function in `variant` dimensions, 5 if none is given."""
    return shifted_task(
        "rastrigin",
        variant,
        rastrigin,
        half=5.12,
        description="A smooth blackbox function of {d} real numbers with a great many local minima.",
        formula="sum z_i^2 - 10 cos(2 pi z_i) + 10, z = x - s",
    )


def rastrigin(z: Sequence[float]) -> float:
    """Returns the function with its minimum of 0 at the origin."""
    return sum(a * a - 10.0 * math.cos(2.0 * math.pi * a) + 10.0 for a in z)
