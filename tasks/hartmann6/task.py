"""The six-dimensional Hartmann function: four overlapping Gaussian wells, six local minima."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask, sampled_median

ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
A = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
MINIMUM = (0.201689511007, 0.150010691823, 0.476873974222, 0.275332430494, 0.3116516166, 0.657300534066)


def hartmann6(params: Mapping[str, float]) -> float:
    """Returns -sum_i alpha_i exp(-sum_j A_ij (x_j - P_ij)^2)."""
    x = np.array([params[f"x{i}"] for i in range(1, 7)])
    return -float(ALPHA @ np.exp(-np.sum(A * (x - P) ** 2, axis=1)))


def make() -> FunctionTask:
    """Returns the function on the unit cube."""
    space = SearchSpace(tuple(Float(f"x{i}", 0.0, 1.0) for i in range(1, 7)))
    return FunctionTask(
        name="hartmann6",
        space=space,
        function=hartmann6,
        description="A smooth blackbox function of 6 real numbers with a few local minima.",
        optimum=-3.322368011415515,
        median=sampled_median(space, hartmann6),
        best_params={f"x{i}": x for i, x in enumerate(MINIMUM, 1)},
        facts={
            "formula": "-sum_i alpha_i exp(-sum_j A_ij (x_j - P_ij)^2)",
            "source": "Dixon and Szegö 1978",
            "median": "of 1001 uniform points",
        },
    )
