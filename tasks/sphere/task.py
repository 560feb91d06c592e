"""The sphere function in any dimension: the sum of squared distances to a shifted minimum."""

from __future__ import annotations

from collections.abc import Mapping

from agentopt.errors import UsageError
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask, sampled_median

VARIANTS = ("2", "5", "14", "30")
HALF = 5.0
"""Half the width of the box, which is centred at 0."""


def make(variant: str = "") -> FunctionTask:
    """Returns the function in `variant` dimensions, 5 if none is given."""
    d = dimension("sphere", variant or "5")
    minimum, names = shift(d), [f"x{i}" for i in range(1, d + 1)]

    def sphere(params: Mapping[str, float]) -> float:
        return sum((x - s) ** 2 for x, s in zip((params[name] for name in names), minimum, strict=True))

    space = SearchSpace(tuple(Float(name, -HALF, HALF) for name in names))
    return FunctionTask(
        name=f"sphere-{variant}" if variant else "sphere",
        space=space,
        function=sphere,
        description=f"A smooth blackbox function of {d} real numbers with one minimum, which is inside the box.",
        optimum=0.0,
        median=sampled_median(space, sphere),
        best_params=dict(zip(names, minimum, strict=True)),
        facts={
            "median": "of 1001 uniform points",
            "formula": "sum (x_i - s_i)^2",
            "shift s": ", ".join(f"{s:.3f}" for s in minimum),
        },
    )


def dimension(family: str, variant: str) -> int:
    """Returns the number of parameters that a variant names."""
    if not (variant.isascii() and variant.isdigit() and 1 <= int(variant) <= 1000):
        raise UsageError(f"Task {family}-{variant}: give the dimension, 1 to 1000, as in {family}-14.")
    return int(variant)


def shift(d: int) -> list[float]:
    """Returns where the minimum is: 20 to 60 percent of the way from the centre to alternating edges of the box.

    The share is 0.2 + 0.4 frac(i phi) with the golden ratio phi = 0.618..., i = 1..d, so no two are alike.
    """
    shares = [0.2 + 0.4 * (i * 0.6180339887498949 % 1.0) for i in range(1, d + 1)]
    return [HALF * share * (-1) ** i for i, share in enumerate(shares)]
