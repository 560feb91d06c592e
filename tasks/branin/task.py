"""The Branin function: two dimensions, three equal minima."""

from __future__ import annotations

import math
from collections.abc import Mapping

from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask, sampled_median


def branin(params: Mapping[str, float]) -> float:
    """Returns (x2 - 5.1 x1^2 / (4 pi^2) + 5 x1 / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos(x1) + 10."""
    x1, x2 = params["x1"], params["x2"]
    valley = x2 - 5.1 * x1**2 / (4 * math.pi**2) + 5 * x1 / math.pi - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10


def make() -> FunctionTask:
    """Returns the function on its usual box."""
    space = SearchSpace((Float("x1", -5.0, 10.0), Float("x2", 0.0, 15.0)))
    return FunctionTask(
        name="branin",
        space=space,
        function=branin,
        description="A smooth blackbox function of 2 real numbers with three equal minima.",
        optimum=10 / (8 * math.pi),
        median=sampled_median(space, branin),
        best_params={"x1": math.pi, "x2": 2.275},
        facts={
            "median": "of 1001 uniform points",
            "formula": "(x2 - 5.1 x1^2 / (4 pi^2) + 5 x1 / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos(x1) + 10",
            "minima": "(-pi, 12.275), (pi, 2.275), (3 pi, 2.475)",
            "source": "Dixon and Szegö 1978",
        },
    )
