"""Levy's function in any dimension, with its minimum shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentopt.shifted import shifted_task
from agentopt.task import FunctionTask

VARIANTS = ("2", "5", "10")


def make(variant: str = "") -> FunctionTask:
    """Returns the function in `variant` dimensions, 5 if none is given."""
    return shifted_task(
        "levy",
        variant,
        levy,
        half=10.0,
        description="A blackbox function of {d} real numbers: waves on a bowl, steeper in the last direction.",
        formula="sin^2(pi w_1) + sum (w_i - 1)^2 (1 + 10 sin^2(pi w_i + 1)) + (w_d - 1)^2 (1 + sin^2(2 pi w_d)),"
        " w = 1 + z / 4, z = x - s",
    )


def levy(z: Sequence[float]) -> float:
    """Returns the function whose minimum is moved from (1, ..., 1) to the origin."""
    w = [1.0 + a / 4.0 for a in z]
    waves = sum((a - 1.0) ** 2 * (1.0 + 10.0 * math.sin(math.pi * a + 1.0) ** 2) for a in w[:-1])
    last = (w[-1] - 1.0) ** 2 * (1.0 + math.sin(2.0 * math.pi * w[-1]) ** 2)
    return math.sin(math.pi * w[0]) ** 2 + waves + last
