"""Prints what share of a front's hypervolume methods find, beside what others measured; NSGA-II beside random draws.

Run as `python bench/nsga2_agreement.py [--tasks T ...] [--methods M ...] [--seeds N]`, or with `--gpt` on hwgpt-s, for
which its data file is needed (see tasks/hwgpt/README.md). A figure is the median over seeds of the hypervolume of all
trials so far, as a share of the true front's, from the task's reference point, at each checkpoint; behind it stand the
lowest and the highest of all seeds at the last one. On hwgpt-s the share is that of the box of 24 x 1020 above the
reference.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

import numpy as np

from agentopt.compare.design import contender
from agentopt.optimizers import load_method
from agentopt.pareto import hypervolume
from agentopt.protocols import Problem, minimised
from agentopt.task import FunctionTask, load_task
from agentopt.trial import Trial

CHECKPOINTS = (50, 100, 200)
ELSEWHERE = {
    "random": {
        "zdt1": (0.443, 0.478, 0.494),
        "zdt2": (0.374, 0.392, 0.404),
        "zdt3": (0.488, 0.528, 0.539),
        "dtlz2": (0.759, 0.815, 0.857),
    },
    "nsga2[population_size=20]": {
        "zdt1": (0.440, 0.535, 0.642),
        "zdt2": (0.391, 0.425, 0.561),
        "zdt3": (0.471, 0.545, 0.633),
        "dtlz2": (0.709, 0.794, 0.900),
    },
    "nsga2[population_size=50]": {
        "zdt1": (0.448, 0.483, 0.511),
        "zdt2": (0.404, 0.432, 0.478),
        "zdt3": (0.505, 0.523, 0.566),
        "dtlz2": (0.759, 0.806, 0.871),
    },
    "tpe[multivariate=false]": {
        "zdt1": (0.530, 0.590, 0.627),
        "zdt2": (0.431, 0.488, 0.508),
        "zdt3": (0.564, 0.638, 0.679),
        "dtlz2": (0.872, 0.915, 0.969),
    },
}
"""An independent baseline: numpy and Optuna 5.0.0 alone, medians of 5 seeds (TPE 3), measured with other scripts.

Optuna's TPE takes one density per parameter where there are several objectives and nothing else is asked for.
"""
METHODS = (*ELSEWHERE, "tpe[multivariate=true]")
GPT, GPT_TRIALS, GPT_BOX = "hwgpt-s", (200, 1000), 24.0 * 1020.0
GPT_ELSEWHERE = {"random": (0.634, 0.651), "nsga2[population_size=20]": (0.637, 0.678)}
"""Measured with other scripts: random draws, and a genetic search that changes one layer at a time."""
MARGIN = 0.015
"""By how much NSGA-II is to be above random draws on hwgpt-s."""


def points(task: FunctionTask, method: str, seed: int, trials: int) -> list[list[float]]:
    """Returns the minimised values of each trial of a run that does not evaluate the default configuration first."""
    chosen = contender(method)
    cls = load_method(chosen.method)
    problem = Problem(task.space, task.objectives, trials=trials)
    optimizer = cls(problem, cls.Options(**chosen.options), np.random.default_rng([seed, 1]))
    found = []
    for number in range(trials):
        (suggestion,) = optimizer.ask(1)
        params = task.repair(suggestion.params)
        outcome = task.evaluate(params, seed=seed)
        trial = minimised(Trial(number, params, outcome, suggestion.origin, suggestion.token), task.objectives)
        optimizer.tell(trial)
        found.append(list(trial.values))
    return found


def shares(
    task: FunctionTask, found: Sequence[Sequence[float]], checkpoints: Sequence[int], whole: float
) -> list[float]:
    """Returns the hypervolume at each checkpoint, as a share of `whole`."""
    references = [objective.loss(float(objective.reference or 0.0)) for objective in task.objectives]
    return [hypervolume(found[:at], references) / whole for at in checkpoints]


def measure(name: str, method: str, seeds: int, checkpoints: Sequence[int], whole: float | None = None) -> np.ndarray:
    """Returns the shares by seed and checkpoint."""
    task = load_task(name)
    assert isinstance(task, FunctionTask)
    total = whole or task.optimum
    assert total is not None
    runs = [points(task, method, seed, checkpoints[-1]) for seed in range(seeds)]
    return np.array([shares(task, run, checkpoints, total) for run in runs])


def show(label: Sequence[str], found: np.ndarray, elsewhere: Sequence[float] | None, seconds: float) -> None:
    """Prints a row of the table."""
    ours = "/".join(f"{value:.3f}" for value in np.median(found, axis=0))
    theirs = "/".join(f"{value:.3f}" for value in elsewhere or ())
    last = found[:, -1]
    cells = [*label, ours, f"{last.min():.3f} to {last.max():.3f}", theirs, f"{seconds:.0f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def functions(tasks: Sequence[str], methods: Sequence[str], seeds: int) -> None:
    """Prints the table of the test functions."""
    print(f"| task | method | ours at {'/'.join(map(str, CHECKPOINTS))} | all seeds, last | elsewhere | s |")
    print("|---|---|---|---|---|---|")
    for task in tasks:
        for method in methods:
            began = time.process_time()
            found = measure(task, method, seeds, CHECKPOINTS)
            show((task, method), found, ELSEWHERE.get(method, {}).get(task), time.process_time() - began)


def architectures(seeds: int) -> bool:
    """Prints NSGA-II beside random draws on hwgpt-s; returns whether it is above them by the margin, on every seed."""
    print(f"| method | ours at {'/'.join(map(str, GPT_TRIALS))} | all seeds, last | elsewhere | s |")
    print("|---|---|---|---|---|")
    last = {}
    for method, elsewhere in GPT_ELSEWHERE.items():
        began = time.process_time()
        found = measure(GPT, method, seeds, GPT_TRIALS, GPT_BOX)
        show((method,), found, elsewhere, time.process_time() - began)
        last[method] = found[:, -1]
    gaps = last["nsga2[population_size=20]"] - last["random"]
    print(f"gap by seed: {', '.join(f'{gap:.3f}' for gap in gaps)}; at least {MARGIN} is asked for")
    return bool((gaps >= MARGIN).all())


def main() -> int:
    """Prints what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(ELSEWHERE["random"]))
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, help="5, or 3 with --gpt")
    parser.add_argument("--gpt", action="store_true")
    given = parser.parse_args()
    if given.gpt:
        return 0 if architectures(given.seeds or 3) else 1
    functions(given.tasks, given.methods, given.seeds or 5)
    return 0


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    raise SystemExit(main())
