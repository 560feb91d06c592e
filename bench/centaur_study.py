"""Prints how the methods of a comparison did beside one of them, and how the trials of their models and samplers did.

Run as `python bench/centaur_study.py FOLDER [--beside METHOD] [--from-seed N]` on a folder of `agentopt compare`. A
regret is counted from the optimum where it is known, else from the best value that any run of the comparison found.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agentopt.optimizers.share import score
from agentopt.protocols import Objective
from agentopt.report.comparison.cells import Cell
from agentopt.report.comparison.folder import Comparison, load_comparison, safe_name
from agentopt.report.comparison.signed_rank import differences, holm, signed_rank
from agentopt.report.load import load_run
from agentopt.trial import Origin, Trial

RECENT = 10
"""With how many of CMA-ES's last trials a trial of the model is compared."""


def beside(comparison: Comparison, other: str) -> Iterator[str]:
    """Yields a table row per task and method: median regrets, their ratio, pairs won and lost, p-values."""
    index = comparison.labels.index(other)
    rows, tests = [], []
    for k, task in enumerate(comparison.tasks):
        regrets = comparison.finals[k] - comparison.references[k]
        for j, label in enumerate(comparison.labels):
            if j == index:
                continue
            there = ~np.isnan(regrets[j]) & ~np.isnan(regrets[index])
            a, b = comparison.finals[k, j][there], comparison.finals[k, index][there]
            apart = differences(a, b)
            mine, its = np.median(regrets[j][there]), np.median(regrets[index][there])
            ratio = f"{mine / its:.3f}" if its > 0 else ("1.000" if mine == its else "-")
            rows.append(
                f"| {task.name} | {label} | {mine:.4g} | {its:.4g} | {ratio}"
                f" | {np.sum(apart < 0)} / {np.sum(apart == 0)} / {np.sum(apart > 0)}"
            )
            tests.append((label, signed_rank(a, b)[0]))
    corrected = _by_method(tests)
    yield f"| task | method | median regret | of {other} | ratio | better / same / worse | p | p (Holm over tasks) |"
    yield "|---|---|---|---|---|---|---|---|"
    for row, (_, p), adjusted in zip(rows, tests, corrected, strict=True):
        yield f"{row} | {p:.2g} | {adjusted:.2g} |"


def _by_method(tests: list[tuple[str, float]]) -> list[float]:
    """Returns the p-values, corrected for the number of tasks on which a method is tested."""
    found = dict.fromkeys(range(len(tests)), 1.0)
    for label in {label for label, _ in tests}:
        rows = [i for i, (name, _) in enumerate(tests) if name == label]
        found |= dict(zip(rows, holm([tests[i][1] for i in rows]), strict=True))
    return [found[i] for i in range(len(tests))]


def turns(trials: Sequence[Trial], objective: Objective) -> Iterator[tuple[float, bool, bool]]:
    """Yields of each trial of the model its score against CMA-ES's last ones, if it failed, if it was the best yet."""
    own: list[float | None] = []
    best = math.inf
    for trial in trials:
        loss = objective.loss(trial.value) if trial.complete else None
        if trial.origin in (Origin.LLM, Origin.CONTROL):
            yield score(loss, own[-RECENT:]), loss is None, loss is not None and loss < best
        elif trial.origin is not Origin.BASELINE:
            own.append(loss)
        best = min(best, math.inf if loss is None else loss)


def quality(comparison: Comparison) -> Iterator[str]:
    """Yields a table row per task and method with a sampler: how its turns went, the mean over runs of each figure."""
    yield "| task | method | runs | turns | mean score | failed | better than all before | fallbacks |"
    yield "|---|---|---|---|---|---|---|---|"
    for task in comparison.tasks:
        for label in comparison.labels:
            runs = [_turns_of(comparison, cell) for cell in comparison.of(label, task.name) if cell.finished]
            if not any(fallbacks or went for went, fallbacks in runs):
                continue
            asked = [went for went, _ in runs if went]
            means = [[np.mean([turn[i] for turn in went]) for i in range(3)] for went in asked]
            figures = " | ".join(f"{value:.3f}" for value in np.mean(means, axis=0)) if asked else "- | - | -"
            count, instead = np.mean([len(went) for went, _ in runs]), np.mean([n for _, n in runs])
            yield f"| {task.name} | {label} | {len(runs)} | {count:.1f} | {figures} | {instead:.1f} |"


def scores(comparison: Comparison) -> Iterator[str]:
    """Yields a table row per method with a sampler: its mean score over all tasks, tested against the first one's."""
    found = {label: _scores_of(comparison, label) for label in comparison.labels}
    asked = [(label, runs) for label, runs in found.items() if runs]
    if len(asked) < 2:
        return
    (first, base), *others = asked
    yield f"| method | mean score | beside {first} | pairs | better / worse | p | p (Holm) |"
    yield "|---|---|---|---|---|---|---|"
    rows: list[str] = []
    tests: list[float] = []
    for label, runs in others:
        keys = sorted(base.keys() & runs.keys())
        a, b = np.array([runs[key] for key in keys]), np.array([base[key] for key in keys])
        rows.append(f"| {label} | {a.mean():.3f} | {b.mean():.3f} | {len(a)} | {np.sum(a > b)} / {np.sum(a < b)}")
        tests.append(signed_rank(b, a)[0])
    for row, p, adjusted in zip(rows, tests, holm(tests), strict=True):
        yield f"{row} | {p:.2g} | {adjusted:.2g} |"


def _scores_of(comparison: Comparison, label: str) -> dict[tuple[str, int], float]:
    """Returns the mean score of the turns of a method's runs, by task and seed; runs without a turn are left out."""
    cells = [cell for cell in comparison.of(label) if cell.finished]
    runs = {(cell.task, cell.seed): _turns_of(comparison, cell)[0] for cell in cells}
    return {key: float(np.mean([turn[0] for turn in went])) for key, went in runs.items() if went}


def _turns_of(comparison: Comparison, cell: Cell) -> tuple[list[tuple[float, bool, bool]], int]:
    """Returns the turns of a cell, and the number of CMA-ES's candidates that ran instead of a turn."""
    report = load_run(comparison.folder / "cells" / safe_name(cell.task) / safe_name(cell.label) / f"s{cell.seed}")
    trials = sorted(report.trials, key=lambda trial: trial.id)
    return list(turns(trials, report.objectives[0])), sum(trial.origin is Origin.FALLBACK for trial in trials)


def main() -> None:
    """Parses the command line and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--beside", default="cmaes")
    parser.add_argument("--from-seed", type=int, default=0, help="leave out the seeds below it")
    given = parser.parse_args()
    whole = load_comparison(given.folder)
    comparison = replace(
        whole,
        seeds=tuple(seed for seed in whole.seeds if seed >= given.from_seed),
        cells=tuple(cell for cell in whole.cells if cell.seed >= given.from_seed),
    )
    print("\n".join(beside(comparison, given.beside)), end="\n\n")
    print("\n".join(quality(comparison)), end="\n\n")
    print("\n".join(scores(comparison)))


if __name__ == "__main__":
    main()
