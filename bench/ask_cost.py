"""Prints what an ask costs after so many trials: milliseconds of gp and auto beside optuna-gp, smac and tpe.

Run as `python bench/ask_cost.py [--trials 100 1000 10000] [--asks 10] [--methods M ...]`, with OMP_NUM_THREADS=1. The
trials before are uniform draws on hartmann6 and the surrogate of a training run; a method whose median ask takes longer
than a second is not asked after more trials.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np

from agentopt.optimizers import load_method
from agentopt.protocols import Optimizer, Problem, Task
from agentopt.task import load_task
from agentopt.trial import Origin, Params, Trial

TASKS = ("hartmann6", "autoresearch-surrogate")
SLOW = 1000.0
"""Milliseconds of an ask after which a method is left alone."""


def told(task: Task, optimizer: Optimizer, number: int, params: Params, token: int | None) -> None:
    """Evaluates a configuration and tells it."""
    params = task.repair(params)
    optimizer.tell(Trial(number, params, task.evaluate(params, seed=number), Origin.USER, token))


def costs(name: str, method: str, counts: Sequence[int], asks: int) -> Iterator[str]:
    """Yields the median milliseconds of an ask after each number of trials."""
    task = load_task(name)
    cls = load_method(method)
    rng = np.random.default_rng(0)
    optimizer = cls(Problem(task.space, task.objectives), cls.Options(), np.random.default_rng(1))
    number, last = 0, 0.0
    for count in counts:
        if last > SLOW:
            yield "-"
            continue
        while number < count:
            told(task, optimizer, number, task.space.sample(rng), None)
            number += 1
        taken = []
        for _ in range(asks + 3):
            start = time.perf_counter()
            (suggestion,) = optimizer.ask(1)
            taken.append(1000 * (time.perf_counter() - start))
            told(task, optimizer, number, suggestion.params, suggestion.token)
            number += 1
        last = statistics.median(taken[3:])
        yield f"{last:.3g}"


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--asks", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=["gp", "auto", "optuna-gp", "smac", "tpe"])
    given = parser.parse_args()
    print(f"| task | method | {' | '.join(f'ms after {n} trials' for n in given.trials)} |")
    print(f"|---|---|{'---|' * len(given.trials)}")
    for name in TASKS:
        for method in given.methods:
            print(f"| {name} | {method} | {' | '.join(costs(name, method, given.trials, given.asks))} |", flush=True)


if __name__ == "__main__":
    main()
