"""Prints how far the methods of a comparison came on each suite after 10, 25, 50 and more trials, beside one of them.

Run as `python bench/auto_study.py FOLDER [--beside METHOD] [--at 10 25 50 100]` on a folder of `agentopt compare`. A
figure is the mean over a suite's tasks of the median over seeds of the normalised regret x 1000 (0: the optimum, 1000:
the median configuration); for BBOB the geometric mean of the medians; for other tasks the median best value. In
brackets: in how many pairs of task and seed it is better / worse than the method beside it, and the p-value of their
signed-rank test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from agentopt.report.comparison.cells import Array
from agentopt.report.comparison.folder import Comparison, load_comparison
from agentopt.report.comparison.signed_rank import differences, signed_rank
from agentopt.suites import SUITES

GEOMETRIC = "bbob"
_LEAST = 1e-12


def groups(comparison: Comparison) -> dict[str, list[int]]:
    """Returns the places of the tasks of each suite in the comparison; a task of none stands alone."""
    found: dict[str, list[int]] = {}
    for place, task in enumerate(comparison.tasks):
        name = next((suite for suite, tasks in SUITES.items() if task.name in tasks and suite != "quick"), task.name)
        found.setdefault(name, []).append(place)
    return found


def regrets(comparison: Comparison, task: int, at: Sequence[int]) -> Array:
    """Returns the regrets of a task's runs by method, seed and number of trials; values where there is no optimum."""
    curves = comparison.curves[task][:, :, [count - 1 for count in at]]
    scale = comparison.scales[task]
    return curves if np.isnan(scale) else (curves - comparison.references[task]) / scale


def figure(name: str, found: Array) -> str:
    """Returns what a method came to on a suite, from regrets by task and seed."""
    medians = np.nanmedian(found, axis=1)
    if name.startswith(GEOMETRIC):
        return f"{np.exp(np.mean(np.log(np.maximum(medians, _LEAST)))):.4f}"
    return f"{1000 * medians.mean():.1f}" if name in SUITES else f"{medians.mean():.5g}"


def table(comparison: Comparison, beside: str, at: Sequence[int]) -> Iterator[str]:
    """Yields a row for each suite and method."""
    base = comparison.labels.index(beside)
    yield f"| suite | method | {' | '.join(map(str, at))} |"
    yield f"|---|---|{'---|' * len(at)}"
    for name, places in groups(comparison).items():
        found = np.stack([regrets(comparison, place, at) for place in places])
        for j, label in enumerate(comparison.labels):
            cells = []
            for i in range(len(at)):
                mine, its = found[:, j, :, i].ravel(), found[:, base, :, i].ravel()
                there = ~np.isnan(mine) & ~np.isnan(its)
                text = figure(name, found[:, j, :, i])
                if j != base:
                    apart = differences(mine[there], its[there])
                    p = signed_rank(mine[there], its[there])[0]
                    text += f" ({np.sum(apart < 0)}/{np.sum(apart > 0)}, {p:.1g})"
                cells.append(text)
            yield f"| {name} | {label} | {' | '.join(cells)} |"


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--beside")
    parser.add_argument("--at", type=int, nargs="+", default=[10, 25, 50, 100])
    given = parser.parse_args()
    comparison = load_comparison(given.folder)
    at = [count for count in given.at if count <= comparison.trials]
    print("\n".join(table(comparison, given.beside or comparison.labels[0], at)))


if __name__ == "__main__":
    main()
