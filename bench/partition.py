"""Prints how long it takes to cut a space of 14 parameters into cells and to score them, beside SciPy's k-d tree.

Run as `OMP_NUM_THREADS=1 python bench/partition.py`. Each line is the median of several repeats on uniform points.
The ratio is to `scipy.spatial.KDTree` with the same leaf size, which is compiled, cuts as the rule `midpoint` does, and
does not know the boxes of its leaves. The last lines are of configurations of a mixed space, as methods have them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import get_args

import numpy as np
from scipy.spatial import KDTree

from agentopt.partition import partition
from agentopt.partition.scores import choose, probabilities, single_terms
from agentopt.partition.tree import Rule, grow
from agentopt.task import load_task

DIMENSION = 14
CAPACITY = 7
SIZES = {10_000: 7, 100_000: 3}
"""How often each number of points is repeated."""


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Returns the median seconds of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Prints one line for each number of points and rule."""
    rng = np.random.default_rng(0)
    print(f"{DIMENSION} parameters, {CAPACITY} trials in a cell at most")
    for count, repeats in SIZES.items():
        points, losses = rng.random((count, DIMENSION)), rng.normal(size=count)

        def scored(rule: Rule, points: np.ndarray = points, losses: np.ndarray = losses) -> None:
            terms = single_terms(grow(points, CAPACITY, rule), losses, total=2 * len(losses))
            choose(probabilities(terms.score(0.5)), 5, rng)

        theirs = seconds(lambda p=points: KDTree(p, leafsize=CAPACITY, balanced_tree=False), repeats)
        print(f"{count:7d} points: SciPy {1000 * theirs:7.1f} ms")
        for rule in get_args(Rule):
            cells = len(grow(points, CAPACITY, rule))
            tree = seconds(lambda p=points, r=rule: grow(p, CAPACITY, r), repeats)
            whole = seconds(lambda r=rule, s=scored: s(r), repeats)
            print(
                f"{count:7d} points, {rule:8s} {cells:6d} cells: tree {1000 * tree:6.1f} ms"
                f" ({tree / theirs:4.1f} x SciPy), tree, scores and choice {1000 * whole:6.1f} ms"
            )
    space = load_task("autoresearch-surrogate").space
    observed = [space.sample(rng) for _ in range(10_000)]
    own = rng.normal(size=len(observed)).tolist()
    whole = seconds(lambda: partition(space, observed, own, CAPACITY), 3)
    print(f"{len(observed):7d} configurations of {len(space)} mixed parameters: encoded and cut {1000 * whole:6.1f} ms")
    cell = partition(space, observed, own, CAPACITY).cell(0)
    asked = seconds(lambda: [cell.contains(params) for params in observed], 3)
    print(f"{len(observed):7d} configurations asked whether they lie in a cell {1000 * asked:6.1f} ms")


if __name__ == "__main__":
    main()
