"""DTLZ2: a front that is the part of the unit sphere with no negative coordinate, in two to four dimensions.

Deb, Thiele, Laumanns and Zitzler, "Scalable test problems for evolutionary multiobjective optimization" (TIK report
112, ETH Zurich, 2001), DTLZ2. With M objectives and n variables in [0, 1],
f_m = (1 + g) cos(pi/2 x_1) ... cos(pi/2 x_{M-m}) sin(pi/2 x_{M-m+1}), without the sine for m = 1, and
g = sum of (x_i - 0.5)^2 for i = M, ..., n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentopt.problems.formula import formula_task, unit_box, whole
from agentopt.protocols import Objective
from agentopt.task import FunctionTask

REFERENCE = 2.5
"""Of every objective."""
MOST_OBJECTIVES = 4
LARGEST = 1000


def dtlz2_task(n_variables: int = 12, n_objectives: int = 3) -> FunctionTask:
    """Returns the task with `n_variables` parameters and `n_objectives` objectives, 2 to 4."""
    count = whole("dtlz2", "n_objectives", n_objectives, 2, MOST_OBJECTIVES)
    space = unit_box(whole("dtlz2", "n_variables", n_variables, count, LARGEST))
    return formula_task(
        "dtlz2",
        space,
        lambda x: dtlz2(x, count),
        [Objective(f"f{i}", reference=REFERENCE) for i in range(1, count + 1)],
        description=(
            f"{count} functions of {len(space)} real numbers, all to be minimised, that cannot all be at their lowest."
            " The best trade-offs form a part of a sphere."
        ),
        optimum=hypervolume(count),
        front=lambda: front(count),
        facts={
            "formula": "the coordinates of a point on a sphere of radius 1 + g, g = sum of (x_i - 0.5)^2 over the last"
            f" {len(space) - count + 1} variables",
            "front": "the unit sphere where no coordinate is negative; its hypervolume is exact",
            "source": "Deb, Thiele, Laumanns and Zitzler, TIK report 112 (2001), DTLZ2",
        },
    )


def dtlz2(x: Sequence[float], n_objectives: int) -> list[float]:
    """Returns the objectives at x: shape (n,) to (n_objectives,)."""
    angles, others = x[: n_objectives - 1], x[n_objectives - 1 :]
    return _on_sphere([math.pi / 2 * angle for angle in angles], 1 + sum((value - 0.5) ** 2 for value in others))


def hypervolume(n_objectives: int) -> float:
    """Returns that of the front: the box up to the references, less the ball's part in it."""
    ball: float = math.pi ** (n_objectives / 2) / math.gamma(n_objectives / 2 + 1)
    return float(REFERENCE**n_objectives - ball / 2**n_objectives)


def front(n_objectives: int, divisions: int = 12) -> list[list[float]]:
    """Returns points of the front: those whose coordinates, divided by their sum, are multiples of 1 / `divisions`."""
    points = []
    for shares in _shares(n_objectives, divisions):
        length = math.sqrt(sum(share**2 for share in shares))
        points.append([share / length for share in shares])
    return points


def _on_sphere(angles: Sequence[float], radius: float) -> list[float]:
    """Returns the Cartesian coordinates of a point, first the one that all cosines are in."""
    found, product = [], radius
    for angle in angles:
        found.append(product * math.sin(angle))
        product *= math.cos(angle)
    return [product, *reversed(found)]


def _shares(parts: int, total: int) -> list[tuple[int, ...]]:
    """Returns all tuples of `parts` integers, 0 or more, whose sum is `total`."""
    if parts == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _shares(parts - 1, total - first)]
