"""Prints how recorded answers of a model rank among uniform draws: one alone, and what several of them agree on.

Run as `PRIORS=replies.jsonl python bench/prior_quality.py [--answers 8 16]`; see `recorded_priors.py` for the file. A
figure is the share of 600 uniform draws that are better, 0 is best; the mean over all answers, and over 60 draws of so
many.
"""

from __future__ import annotations

import argparse

import numpy as np
from recorded_priors import recorded

from agentopt.optimizers.gp.belief import consensus
from agentopt.optimizers.gp.rows import RowSpace
from agentopt.protocols import Task
from agentopt.task import load_task
from agentopt.trial import Params

DRAWS, REPEATS = 600, 60


def loss(task: Task, params: Params) -> float:
    """Returns the loss of a configuration; infinity where it fails."""
    outcome = task.evaluate(task.repair(params), 0)
    return task.objectives[0].loss(outcome.values[0]) if outcome.values else np.inf


def main() -> None:
    """Parses the command line and prints a row for each task of the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, nargs="+", default=[8, 16])
    counts = parser.parse_args().answers
    print(f"| task | one answer | {' | '.join(f'agreement of {count}' for count in counts)} |")
    print(f"|---|---|{'---|' * len(counts)}")
    for name, answers in recorded().items():
        task, rng = load_task(name), np.random.default_rng(0)
        uniform = np.sort([loss(task, task.space.sample(rng)) for _ in range(DRAWS)])
        space = RowSpace(task.space)
        rows = space.rows(answers)

        def rank(params: Params, task: Task = task, uniform: np.ndarray = uniform) -> float:
            value = loss(task, params)
            return (np.searchsorted(uniform, value) + np.searchsorted(uniform, value, "right")) / 2 / DRAWS

        alone = np.mean([rank(params) for params in answers])
        agreed = [
            np.mean(
                [rank(space.params(consensus(space, rows[rng.permutation(len(rows))[:n]]))) for _ in range(REPEATS)]
            )
            for n in counts
        ]
        print(f"| {name} | {alone:.2f} | {' | '.join(f'{value:.2f}' for value in agreed)} |", flush=True)


if __name__ == "__main__":
    main()
