"""Prints the largest hypervolumes that are known of tasks with several objectives whose front has no formula.

Run as `python bench/known_fronts.py [TASK]...`; needs pymoo, and for hwgpt-* the data file (see tasks/hwgpt/README.md).
`pymoo-clutch` is enumerated, and of `pymoo-truss2d` the points are measured that pymoo gives of the true front. All
others are searched by pymoo's NSGA-II in the unit cube, a population of 400 for 250 generations or more, with seeds
that no comparison reports; on hwgpt-* every architecture of the front is then changed in each single place, as long as
that improves the front. What counts is the front of all that was evaluated.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import moocore
import numpy as np

from agentopt.problems.crash import car_side_impact, vehicle_safety
from agentopt.problems.designs import DESIGNS, evaluate_rows, pymoo_problem
from agentopt.problems.hwgpt import SCALES
from agentopt.problems.hwgpt_nets import WEIGHTS, data_file, load_nets
from agentopt.problems.penicillin import penicillin
from agentopt.task import FunctionTask, load_task

SEEDS = (1000, 1001)
POPULATION, GENERATIONS = 400, {"pymoo-welded-beam": 1000}
"""Of every search; generations where they are not 250."""
ROUNDS = 100
FORMULAS = {"vehicle-safety": vehicle_safety, "car-side-impact": car_side_impact, "penicillin": penicillin}
TASKS = (*(f"pymoo-{variant}" for variant in DESIGNS), *(f"hwgpt-{letter}" for letter in SCALES), *FORMULAS)

Array: TypeAlias = Any
Evaluate: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""From points of the unit cube, shape (n, d), to minimised values and the excess over limits: (n, m) and (n, c)."""


def front(values: Array) -> Array:
    """Returns the different points that no other one dominates."""
    values = np.unique(values, axis=0)
    return values[moocore.is_nondominated(values)]


def search(task: FunctionTask, evaluate: Evaluate, c: int, seed: int) -> Array:
    """Returns the feasible points of NSGA-II under c constraints: shape (n, d + m), each with its values."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    found, d, m = [], len(task.space), len(task.objectives)

    class Cube(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=d, n_obj=m, n_ieq_constr=c, xl=0.0, xu=1.0)

        def _evaluate(self, x: Array, out: Any, *_: Any, **__: Any) -> None:
            out["F"], out["G"] = evaluate(x)
            found.append(np.hstack([x, out["F"]])[(out["G"] <= 0).all(axis=1)])

    minimize(Cube(), NSGA2(pop_size=POPULATION), ("n_gen", GENERATIONS.get(task.name, 250)), seed=seed)
    return np.vstack(found)


def search_formula(task: FunctionTask, evaluate: Evaluate, constraints: int) -> Array:
    """Returns the front of the searches of a task of numbers."""
    d = len(task.space)
    return front(np.vstack([search(task, evaluate, constraints, seed)[:, d:] for seed in SEEDS]))


def design(task: FunctionTask, variant: str) -> Array:
    """Returns the front of one of pymoo's designs."""
    chosen, problem = DESIGNS[variant], pymoo_problem(DESIGNS[variant])
    if variant == "truss2d":
        return problem.pareto_front()
    if variant == "clutch":
        axes = [np.arange(most + 1) for most in problem.xu]
        rows, kept = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)), []
        for part in np.array_split(rows, 50):
            values, excess = evaluate_rows(problem, part)
            kept.append(front(values[(excess <= 0).all(axis=1)]))
        print(f"  {len(rows)} designs")
        return front(np.vstack(kept))

    def evaluate(cube: Array) -> tuple[Array, Array]:
        return evaluate_rows(problem, problem.xl + cube * (problem.xu - problem.xl))

    return search_formula(task, evaluate, len(chosen.constraints))


def architectures(task: FunctionTask, letter: str) -> Array:
    """Returns the front of a scale of HW-GPT-Bench."""
    scale = SCALES[letter]
    nets = load_nets(data_file(task.name, WEIGHTS), letter, scale.embeddings, scale.most)
    d, levels = len(task.space), np.array([3] * (2 + 2 * scale.most) + [2])

    def values(rows: Array) -> Array:
        rows = rows.copy()
        absent = np.arange(scale.most) >= np.array(scale.layers)[rows[:, 1]][:, np.newaxis]
        rows[:, 2:-1][np.hstack([absent, absent])] = -1
        return np.column_stack([nets(objective.name, rows) for objective in task.objectives])

    def to_rows(cube: Array) -> Array:
        return np.minimum((cube * levels).astype(int), levels - 1)

    def evaluate(cube: Array) -> tuple[Array, Array]:
        return values(to_rows(cube)), np.zeros((len(cube), 0))

    found = np.vstack([search(task, evaluate, 0, seed) for seed in SEEDS])
    return improve(to_rows(found[:, :d]), found[:, d:], values, levels)


def improve(rows: Array, points: Array, values: Callable[[Array], Array], levels: Array) -> Array:
    """Returns the front after every architecture in it was changed in each place, until that improves nothing."""
    tried = np.zeros(len(rows), dtype=bool)
    for _ in range(ROUNDS):
        places = np.unique(points, axis=0, return_index=True)[1]
        places = places[moocore.is_nondominated(points[places])]
        rows, points, tried = rows[places], points[places], tried[places]
        if tried.all():
            break
        new, tried = rows[~tried], np.ones(len(rows), dtype=bool)
        changed = np.vstack([_changed(new, place, step, levels) for place in range(len(levels)) for step in (1, 2)])
        rows, points = np.vstack([rows, changed]), np.vstack([points, values(changed)])
        tried = np.append(tried, np.zeros(len(changed), dtype=bool))
    return points


def _changed(rows: Array, place: int, step: int, levels: Array) -> Array:
    """Returns the rows with another value in one place."""
    rows = rows.copy()
    rows[:, place] = (rows[:, place] + step) % levels[place]
    return rows


def formula(task: FunctionTask) -> Array:
    """Returns the front of the searches of a task that is evaluated point by point."""
    names = task.space.names

    def evaluate(cube: Array) -> tuple[Array, Array]:
        found = [
            FORMULAS[task.name]([task.space[n].decode(u) for n, u in zip(names, point, strict=True)]) for point in cube
        ]
        signs = [objective.loss(1.0) for objective in task.objectives]
        return np.array(found) * signs, np.zeros((len(cube), 0))

    return search_formula(task, evaluate, 0)


def main() -> None:
    """Prints what is found of each task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=TASKS)
    for name in parser.parse_args().tasks:
        task, began = load_task(name), time.perf_counter()
        assert isinstance(task, FunctionTask)
        family, _, variant = name.partition("-")
        if family == "pymoo":
            points = design(task, variant)
        else:
            points = architectures(task, variant) if family == "hwgpt" else formula(task)
        references = [objective.loss(float(objective.reference or 0.0)) for objective in task.objectives]
        found = moocore.hypervolume(points, ref=references)
        known = task.best_known if task.optimum is None else task.optimum
        nadir, ideal = points.max(axis=0).tolist(), points.min(axis=0).tolist()
        print(f"{name}: {found!r} (known: {known}), {len(points)} points, {ideal} to {nadir}", flush=True)
        print(f"  {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()
