"""Prints the best known value and the median of the tasks of `suite:real`, as their `task.py` state them.

Run as `python bench/best_known.py [TASK]...`. The best known value is the lowest of all evaluations of searches that no
comparison reports: CMA-ES and TPE, seeds 1000 to 1003, 250 trials each. The median is that of 1001 uniform points.
"""

from __future__ import annotations

import argparse
import os
import time

from agentopt import minimize
from agentopt.suites import SUITES
from agentopt.task import FunctionTask, load_task, sampled_median
from agentopt.trial import Params

METHODS = ("cmaes", "tpe")
SEEDS = range(1000, 1004)
TRIALS = 250


def best_known(task: FunctionTask) -> float:
    """Returns the lowest value that a search of the task found, and prints what each found."""

    def value(params: Params, seed: int) -> float:
        return task.evaluate(params, seed).values[0]

    found = []
    for method in METHODS:
        for seed in SEEDS:
            result = minimize(value, task.space, method, trials=TRIALS, seed=seed)
            found.append(result.value)
            print(f"  {method}, seed {seed}: {result.value!r} at {result.params}", flush=True)
    return min(found)


def median(task: FunctionTask) -> float:
    """Returns the value of the median configuration."""
    return sampled_median(task.space, lambda params: task.evaluate(params).values[0])


def main() -> None:
    """Prints what is found of each task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=SUITES["real"])
    for name in parser.parse_args().tasks:
        task, began = load_task(name), time.perf_counter()
        assert isinstance(task, FunctionTask)
        print(f"{name}: median {median(task)!r}", flush=True)
        lowest, n = best_known(task), len(METHODS) * len(SEEDS) * TRIALS
        print(f"{name}: best known {lowest!r}, of {n} evaluations, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()
