"""Prints methods beside the libraries that they stand on, driven without their code here, and whether the two differ.

Run as `python bench/baselines.py [--suites S ...] [--methods M ...] [--seeds N] [--jobs N]`; suites: hpolib, hpobench,
nb201, bbob. The default configuration of a task is not run first. A seed of the one side has nothing to do with the
same seed of the other. On bbob (5 dimensions) a seed is an instance as well: seed 0 is instance 1, on both sides.

A row is a task: the medians of the regret of the best trial so far at each checkpoint, with the 95 % bootstrap
interval of the last one; A12, how often a run of ours ends lower than one of the library's (ties half); Mann-Whitney's
p, corrected by Holm for all tasks of the method. Regrets are normalised and times 1000 on tables, and plain on bbob.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import cast

import cma
import numpy as np
import optuna
from scipy import stats
from suites import losses

from agentopt.report.comparison.cells import Array
from agentopt.report.comparison.curves import interval
from agentopt.report.comparison.signed_rank import ALPHA, holm, superiority
from agentopt.space import Choice, Float, Parameter
from agentopt.suites import SUITES
from agentopt.task import FunctionTask, load_task
from agentopt.trial import Params, Value

SIGMA = 0.2
"""CMA-ES's first step size, in units of the box, on both sides."""
POPULATION, SAMPLE = 20, 5
"""Of aging evolution, on both sides."""
FUNCTIONS = (1, 8, 10, 15, 20)
RESAMPLES = 2000


@dataclass(frozen=True)
class Suite:
    """Tasks that are looked at together."""

    tasks: tuple[str, ...]
    """Names; `{instance}` in one stands for the seed + 1."""
    checkpoints: tuple[int, ...]
    scaled: bool
    """Whether regrets are normalised, and times 1000."""


TABLES = {name: Suite(SUITES[name], (25, 50, 100), scaled=True) for name in ("hpolib", "hpobench", "nb201")}
BBOB = Suite(tuple(f"bbob-f{f}-d5-i{{instance}}" for f in FUNCTIONS), (50, 100, 200), scaled=False)
ALL = TABLES | {"bbob": BBOB}


def draw_uniformly(task: FunctionTask, seed: int, trials: int) -> list[float]:
    """Returns the losses of uniform draws by numpy."""
    rng = np.random.default_rng(seed)
    return [_loss(task, _uniform(task, rng)) for _ in range(trials)]


def evolve(task: FunctionTask, seed: int, trials: int) -> list[float]:
    """Returns the losses of aging evolution (Real et al., arXiv 1802.01548, Algorithm 1), written anew."""
    rng = np.random.default_rng(seed)
    found: list[tuple[float, Params]] = []
    while len(found) < trials:
        child = _uniform(task, rng)
        if len(found) >= POPULATION:
            living = found[-POPULATION:]
            parent = min((living[i] for i in rng.integers(POPULATION, size=SAMPLE)), key=lambda member: member[0])[1]
            name = task.space.names[rng.integers(len(child))]
            while child[name] == parent[name]:
                child = _uniform(task, rng)
            child = {**parent, name: child[name]}
        found.append((_loss(task, child), child))
    return [loss for loss, _ in found]


def drive_optuna(task: FunctionTask, trials: int, sampler: optuna.samplers.BaseSampler) -> list[float]:
    """Returns the losses of Optuna's own loop; listed numbers are suggested by their position."""

    def value(trial: optuna.Trial, parameter: Parameter) -> Value:
        if isinstance(parameter, Choice):
            return cast("Value", trial.suggest_categorical(parameter.name, parameter.choices))
        if parameter.grid is None:
            return float(trial.suggest_float(parameter.name, parameter.low, parameter.high))
        return parameter.grid[trial.suggest_int(parameter.name, 0, len(parameter.grid) - 1)]

    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: _loss(task, {p.name: value(trial, p) for p in task.space.parameters}), trials)
    return [float(trial.values[0]) for trial in study.trials]


def drive_tpe(task: FunctionTask, seed: int, trials: int) -> list[float]:
    """Returns the losses of Optuna's TPE with its defaults."""
    return drive_optuna(task, trials, optuna.samplers.TPESampler(seed=seed))


def drive_univariate_tpe(task: FunctionTask, seed: int, trials: int) -> list[float]:
    """Returns the losses of Optuna's TPE with one density per parameter."""
    return drive_optuna(task, trials, optuna.samplers.TPESampler(seed=seed, multivariate=False))


def drive_optuna_cmaes(task: FunctionTask, seed: int, trials: int) -> list[float]:
    """Returns the losses of Optuna's CMA-ES with its defaults: from the centre, step size 1/6, choices uniform."""
    return drive_optuna(task, trials, optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False))


def drive_pycma(task: FunctionTask, seed: int, trials: int) -> list[float]:
    """Returns the losses of pycma with its own treatment of the box, from the centre; choices are drawn uniformly.

    The levels of a listed number are equal parts of its coordinate.
    """
    rng = np.random.default_rng(seed)
    ordered = [p for p in task.space.parameters if not isinstance(p, Choice)]
    options = {"bounds": [0, 1], "seed": seed + 1, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy([0.5] * len(ordered), SIGMA, options)
    found: list[float] = []
    while len(found) < trials:
        points = strategy.ask()
        values = []
        for point in points:
            at = {p.name: _at(p, float(u)) for p, u in zip(ordered, point, strict=True)}
            values.append(_loss(task, _uniform(task, rng) | at))
        strategy.tell(points, values)
        found += values
    return found[:trials]


Drive = Callable[[FunctionTask, int, int], list[float]]
LIBRARY: dict[str, Drive] = {
    "random": draw_uniformly,
    "tpe": drive_tpe,
    "tpe[multivariate=false]": drive_univariate_tpe,
    f"cmaes[start=centre,sigma0={SIGMA},choices=uniform]": drive_pycma,
    "optuna-cmaes": drive_optuna_cmaes,
    "regularized-evolution": evolve,
}
"""The other side of each of our methods."""


def _levels(parameter: Parameter) -> Sequence[Value] | None:
    return parameter.choices if isinstance(parameter, Choice) else parameter.grid


def _at(parameter: Parameter, u: float) -> Value:
    levels = _levels(parameter)
    if levels is not None:
        return levels[min(len(levels) - 1, int(u * len(levels)))]
    assert isinstance(parameter, Float)
    assert not parameter.log
    return parameter.low + u * (parameter.high - parameter.low)


def _uniform(task: FunctionTask, rng: np.random.Generator) -> dict[str, Value]:
    return {p.name: _at(p, rng.random()) for p in task.space.parameters}


def _loss(task: FunctionTask, params: Params) -> float:
    return task.evaluate(params).values[0]


@dataclass(frozen=True)
class Row:
    """One method on one task: regrets by run and checkpoint, ours and the library's."""

    method: str
    task: str
    ours: Array
    theirs: Array

    @property
    def a12(self) -> float:
        return superiority(self.ours[:, -1], self.theirs[:, -1])

    @property
    def p(self) -> float:
        if np.ptp(np.concatenate([self.ours[:, -1], self.theirs[:, -1]])) == 0:
            return 1.0
        return float(stats.mannwhitneyu(self.ours[:, -1], self.theirs[:, -1]).pvalue)


def measure(suite: Suite, task_name: str, method: str, seeds: int) -> Row:
    """Runs both sides."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    sides: tuple[list[Array], list[Array]] = ([], [])
    at, trials = np.array(suite.checkpoints) - 1, suite.checkpoints[-1]
    for seed in range(seeds):
        task = load_task(task_name.format(instance=seed + 1))
        assert isinstance(task, FunctionTask)
        assert task.optimum is not None
        assert task.median is not None
        scale = 1000 / (task.median - task.optimum) if suite.scaled else 1.0
        runs = (losses(task, method, seed, trials), LIBRARY[method](task, seed, trials))
        for side, run in zip(sides, runs, strict=True):
            side.append(scale * (np.minimum.accumulate(run)[at] - task.optimum))
    return Row(method, task_name.removesuffix("-i{instance}"), np.array(sides[0]), np.array(sides[1]))


def mean_interval(samples: Sequence[Array], of: Callable[[list[Array]], float]) -> tuple[float, float]:
    """Returns the 95 % interval of a figure of several samples, each of which is resampled."""
    rng = np.random.default_rng(0)
    drawn = [of([s[rng.integers(len(s), size=len(s))] for s in samples]) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def print_suite(name: str, rows: Sequence[Row], corrected: Sequence[float]) -> None:
    """Prints the rows of a method on a suite, and their mean on tables."""
    suite = ALL[name]
    marks = "/".join(map(str, suite.checkpoints))
    print(f"\n{rows[0].method} on {name}, {len(rows[0].ours)} seeds\n")
    print(f"| task | ours, {marks} trials | 95 % | library, {marks} trials | 95 % | A12 | p (Holm) |")
    print("|---|---|---|---|---|---|---|")
    for row, p in zip(rows, corrected, strict=True):
        sides = " | ".join(f"{_medians([side])} | {_ends(side)}" for side in (row.ours, row.theirs))
        print(f"| {row.task} | {sides} | {row.a12:.2f} | {p:.2g} |")
    if suite.scaled:
        both = []
        for side in ([row.ours for row in rows], [row.theirs for row in rows]):
            ends = mean_interval(side, lambda parts: float(np.mean([np.median(p[:, -1]) for p in parts])))
            both.append(f"{_medians(side)} | {_range(*ends)}")
        print(f"| mean | {' | '.join(both)} | | |")


def verdict(rows: Sequence[Row], corrected: Sequence[float]) -> str:
    """Returns a line on whether the two sides differ, over the tasks together and one by one."""

    def mean(parts: list[Array]) -> float:
        sides = zip(parts[: len(rows)], parts[len(rows) :], strict=True)
        return float(np.mean([superiority(a[:, -1], b[:, -1]) for a, b in sides]))

    both = [*(row.ours for row in rows), *(row.theirs for row in rows)]
    differ = [row.task for row, p in zip(rows, corrected, strict=True) if p <= ALPHA]
    ends = _range(*mean_interval(both, mean))
    return (
        f"{rows[0].method}: mean A12 {mean(both):.3f} ({ends}; 0.5: alike); least p {min(row.p for row in rows):.2g};"
        f" {len(differ)} of {len(rows)} tasks differ after Holm {differ or ''}".rstrip()
    )


def _medians(sides: Sequence[Array]) -> str:
    return "/".join(f"{value:.3g}" for value in np.mean([np.median(side, axis=0) for side in sides], axis=0))


def _ends(side: Array) -> str:
    low, high = interval(side[:, -1])
    return _range(float(low), float(high))


def _range(low: float, high: float) -> str:
    return f"{low:.3g} .. {high:.3g}"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", default=list(ALL), choices=ALL)
    parser.add_argument("--methods", nargs="+", default=list(LIBRARY), choices=LIBRARY)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    began = time.perf_counter()
    with ProcessPoolExecutor(given.jobs) as pool:
        for method in given.methods:
            waiting = {
                name: [pool.submit(measure, ALL[name], task, method, given.seeds) for task in ALL[name].tasks]
                for name in given.suites
                if name != "nb201" or "cmaes" not in method  # which has nothing to learn on choices alone
            }
            rows = {name: [future.result() for future in futures] for name, futures in waiting.items()}
            everything = [row for some in rows.values() for row in some]
            corrected = holm([row.p for row in everything])
            rest = iter(corrected)
            for name, some in rows.items():
                print_suite(name, some, [next(rest) for _ in some])
            if everything:
                print(f"\n{verdict(everything, corrected)}", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
