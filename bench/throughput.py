"""Prints the trials per second of CMA-ES with a durable journal, side by side with Optuna's CMA-ES and its journal.

Run as `make bench`, or `python bench/throughput.py [TRIALS]`. Both minimise a 14-dimensional sphere, whose evaluation
costs nothing, in this process, in alternating blocks, and write every trial to a file under the same folder.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna

from agentopt.executors.inline import InlineExecutor
from agentopt.journal import Journal
from agentopt.optimizers import load_method
from agentopt.protocols import Problem
from agentopt.study import Study
from agentopt.task import load_task

DIMENSION = 14
REPEATS = 3


def ours(folder: Path, trials: int, seed: int) -> float:
    """Returns the seconds of one run."""
    task = load_task(f"sphere-{DIMENSION}")
    method = load_method("cmaes")
    problem = Problem(task.space, task.objectives, trials=trials)
    start = time.perf_counter()
    optimizer = method(problem, method.Options(), np.random.default_rng([seed, 1]))
    with Journal(folder / f"ours-{seed}", {"method": "cmaes", "budget": {"trials": trials}}) as journal:
        Study(task, optimizer, InlineExecutor(task), journal, seed=seed).run()
    return time.perf_counter() - start


def optunas(folder: Path, trials: int, seed: int) -> float:
    """Returns the seconds of one run."""
    space = load_task(f"sphere-{DIMENSION}").space

    def objective(trial: optuna.Trial) -> float:
        return sum((trial.suggest_float(p.name, p.low, p.high) - 1.0) ** 2 for p in space.parameters)

    backend = optuna.storages.journal.JournalFileBackend(str(folder / f"optuna-{seed}.log"))
    start = time.perf_counter()
    study = optuna.create_study(
        sampler=optuna.samplers.CmaEsSampler(seed=seed), storage=optuna.storages.JournalStorage(backend)
    )
    study.optimize(objective, n_trials=trials)
    return time.perf_counter() - start


def main() -> None:
    """Prints the comparison."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        ours(Path(folder), 50, 999)
        for seed in range(REPEATS):
            rows.append((ours(Path(folder), trials, seed), optunas(Path(folder), trials, seed)))
            mine, theirs = (trials / seconds for seconds in rows[-1])
            print(f"repeat {seed}: agentopt {mine:8.1f} trials/s, Optuna {theirs:8.1f} trials/s")
    ratios = [theirs / mine for mine, theirs in rows]
    print(f"agentopt / Optuna {optuna.__version__}, {trials} trials on sphere-{DIMENSION}, cmaes, durable journal:")
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"ratio median {middle:.1f}, min {low:.1f}, max {high:.1f} over {REPEATS} pairs")


if __name__ == "__main__":
    main()
