"""Prints how far classical methods get on the suites of tasks whose optimum is known.

Run as `python bench/suites.py [SUITE|TASK]... [--methods M [M ...]] [--seeds N] [--trials N] [--jobs N]`. Every number
is the median over seeds of the normalised regret x 1000 (0: the optimum, 1000: the median configuration), and of a
suite the mean over its tasks, at a quarter, at half and at all of the trials.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from agentopt.compare.design import contender
from agentopt.optimizers import load_method
from agentopt.protocols import Problem
from agentopt.suites import PREFIX, expand_tasks
from agentopt.task import FunctionTask, load_task
from agentopt.trial import Trial

DEFAULT = [PREFIX + name for name in ("hpolib", "hpobench", "nb201")]


def losses(task: FunctionTask, method: str, seed: int, trials: int) -> list[float]:
    """Returns the loss of each trial of a run of `tpe` or `tpe[multivariate=false]`; the default is not run first."""
    chosen = contender(method)
    cls = load_method(chosen.method)
    problem = Problem(task.space, task.objectives, trials=trials)
    optimizer = cls(problem, cls.Options(**chosen.options), np.random.default_rng([seed, 1]))
    found = []
    for number in range(trials):
        (suggestion,) = optimizer.ask(1)
        outcome = task.evaluate(suggestion.params, seed=seed)
        optimizer.tell(Trial(number, suggestion.params, outcome, suggestion.origin, suggestion.token))
        found.append(outcome.values[0])
    return found


def regrets(task: FunctionTask, values: Sequence[float]) -> list[float]:
    """Returns the normalised regret of the best trial so far after each trial, from the losses of all trials."""
    assert task.optimum is not None
    assert task.median is not None
    best = np.minimum.accumulate(values)
    found: list[float] = ((best - task.optimum) / (task.median - task.optimum)).tolist()
    return found


def median_regrets(name: str, methods: Sequence[str], seeds: int, trials: int) -> list[list[float]]:
    """Returns per method the median over seeds at a quarter, at half and at all of the trials."""
    task = load_task(name)
    assert isinstance(task, FunctionTask)
    rows = []
    for method in methods:
        runs = [regrets(task, losses(task, method, seed, trials)) for seed in range(seeds)]
        rows.append([statistics.median(run[at - 1] for run in runs) for at in checkpoints(trials)])
    return rows


def checkpoints(trials: int) -> list[int]:
    """Returns the numbers of trials that are looked at."""
    return [max(1, trials // 4), max(1, trials // 2), trials]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=DEFAULT)
    parser.add_argument("--methods", nargs="+", default=["random", "local", "tpe", "cmaes"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    methods, began = given.methods, time.perf_counter()
    measure = partial(median_regrets, methods=methods, seeds=given.seeds, trials=given.trials)
    marks = "/".join(map(str, checkpoints(given.trials)))
    print(f"normalised regret x 1000 at {marks} trials, {given.seeds} seeds")
    print(f"{'':28s}" + "".join(f"{method:>24s}" for method in methods))
    with ProcessPoolExecutor(given.jobs) as pool:
        for group in given.tasks:
            names = expand_tasks([group])
            rows = dict(zip(names, pool.map(measure, names), strict=True))
            for name, row in rows.items():
                print(_line(name, row), flush=True)
            if len(names) > 1:
                print(_line(f"{group}, mean", np.mean(list(rows.values()), axis=0).tolist()), flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


def _line(name: str, row: list[list[float]]) -> str:
    cells = ["/".join(f"{1000 * value:.1f}" for value in values) for values in row]
    return f"{name:28s}" + "".join(f"{cell:>24s}" for cell in cells)


if __name__ == "__main__":
    main()
