"""ZDT1 to ZDT3: two objectives, and a front that is convex, concave or in five pieces.

Zitzler, Deb and Thiele, "Comparison of multiobjective evolutionary algorithms: empirical results" (Evolutionary
Computation 8, 2000), section 4, T1 to T3: f1 = x1, f2 = g h(f1 / g), g = 1 + 9 (x2 + ... + xn) / (n - 1), with x in
[0, 1]^n. The front is that of g = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentopt.problems.formula import formula_task, unit_box, whole
from agentopt.protocols import Objective
from agentopt.task import FunctionTask

VARIABLES = 30
"""As published."""
LARGEST = 1000


@dataclass(frozen=True)
class Zdt:
    """One of the three."""

    h: Callable[[float, float], float]
    """The second objective where g = 1, as a function of f1 / g and f1."""
    formula: str
    references: tuple[float, float]
    hypervolume: float
    """Of the front, from the references: 1.1 r less the integral of its lower edge over [0, 1.1]."""
    shape: str


PROBLEMS: Mapping[str, Zdt] = {
    "zdt1": Zdt(
        lambda r, _: 1 - math.sqrt(r),
        "1 - sqrt(f1 / g)",
        (1.1, 6.0),
        1.1 * 6 - 1 + 2 / 3,
        "convex",
    ),
    "zdt2": Zdt(
        lambda r, _: 1 - r**2,
        "1 - (f1 / g)^2",
        (1.1, 7.0),
        1.1 * 7 - 1 + 1 / 3,
        "concave",
    ),
    "zdt3": Zdt(
        lambda r, f1: 1 - math.sqrt(r) - r * math.sin(10 * math.pi * f1),
        "1 - sqrt(f1 / g) - (f1 / g) sin(10 pi f1)",
        (1.1, 6.5),
        7.271762908657,
        "in five separate pieces",
    ),
}


def zdt_task(name: str, n_variables: int = VARIABLES) -> FunctionTask:
    """Returns the task of `zdt1`, `zdt2` or `zdt3`."""
    problem, count = PROBLEMS[name], whole(name, "n_variables", n_variables, 2, LARGEST)
    return formula_task(
        name,
        unit_box(count),
        lambda x: _evaluate(problem, x),
        [Objective(f"f{i}", reference=reference) for i, reference in enumerate(problem.references, 1)],
        description=(
            f"Two functions of {count} real numbers, both to be minimised, that cannot both be at their lowest. The"
            f" best trade-offs form a curve that is {problem.shape}."
        ),
        optimum=problem.hypervolume,
        front=lambda: front(name),
        facts={
            "formula": f"f1 = x1, f2 = g h, g = 1 + 9 (x2 + ... + xn) / (n - 1), h = {problem.formula}",
            "front": "x2 = ... = xn = 0, those of 0 <= x1 <= 1 that are not dominated; its hypervolume is exact",
            "source": "Zitzler, Deb and Thiele, Evolutionary Computation 8 (2000)",
        },
    )


def front(name: str, count: int = 1001) -> list[tuple[float, float]]:
    """Returns those of `count` evenly spread x1 whose points, at g = 1, no other point dominates."""
    points, lowest = [], math.inf
    for f1 in np.linspace(0.0, 1.0, count).tolist():
        f2 = PROBLEMS[name].h(f1, f1)
        if f2 < lowest:
            points.append((f1, f2))
            lowest = f2
    return points


def _evaluate(problem: Zdt, x: Sequence[float]) -> tuple[float, float]:
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return x[0], g * problem.h(x[0] / g, x[0])
