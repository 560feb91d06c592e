"""Rosenbrock's valley in any dimension from 2, with its minimum shifted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from agentopt.shifted import shifted_task
from agentopt.task import FunctionTask

VARIANTS = ("2", "5", "14", "30")


def make(variant: str = "") -> FunctionTask:
    """Returns the function in `variant` dimensions, 5 if none is given."""
    return shifted_task(
        "rosenbrock",
        variant,
        rosenbrock,
        half=5.0,
        least=2,
        description="A smooth blackbox function of {d} real numbers; its minimum lies in a long curved valley.",
        formula="sum 100 (z_(i+1) - z_i^2)^2 + (1 - z_i)^2, z = x - s + 1",
    )


def rosenbrock(z: Sequence[float]) -> float:
    """Returns the function whose minimum is moved from (1, ..., 1) to the origin."""
    moved = [a + 1.0 for a in z]
    return sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(moved))
