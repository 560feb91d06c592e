"""What a process has learned, in the user's units: which parameters matter, where the best lies, what failed."""

from __future__ import annotations

import math

import numpy as np

from agentopt.optimizers.gp.model import Model
from agentopt.optimizers.gp.process import mixed_mean
from agentopt.optimizers.gp.rows import Rows, RowSpace
from agentopt.protocols import Problem
from agentopt.trial import Json

CORNERS = 3
"""How many unexplored configurations are named."""
DRAWS = 300
"""Draws that they are among."""


def learned(problem: Problem, space: RowSpace, model: Model, trials: int) -> dict[str, Json]:
    """Returns the state of a fitted process, after so many trials.

    `matters`: the share of each parameter in how fast the objective changes over its whole range, the largest first;
    `noise`: the standard deviation of repeats, in that of the signal; `failing`: the share of trials that fail;
    `expected_best`: the configuration with the lowest mean among those that it was fitted to, and with one objective
    the value there with one standard deviation on both sides; `unexplored`: configurations that it knows least about.
    """
    process, rows = model.process, model.process.observed
    scales = sum(m.weight * m.h[: len(space.choices)] for m in process.members)
    pace = np.where(space.choices, np.exp(scales), np.exp(-np.asarray(scales)))
    order = np.argsort(-pace, kind="stable")
    noise = sum(m.weight * math.exp(m.h[-2] / 2) for m in process.members)
    predictions = process.predict(rows)
    best = int(np.argmin(mixed_mean(predictions)))
    found: dict[str, Json] = {
        "matters": {problem.space.names[j]: round(float(pace[j] / pace.sum()), 3) for j in order},
        "noise": round(float(noise), 4),
        "failing": None if model.failing is None else round(model.failing, 3),
    }
    state: dict[str, Json] = {"params": space.params(rows[best])}
    if len(problem.objectives) == 1:
        bounds = [
            sum(
                p.weight * float(p.warp.back(p.mean[best : best + 1] + side * p.std[best : best + 1])[0])
                for p in predictions
            )
            for side in (-1, 0, 1)
        ]
        low, middle, high = sorted(problem.objectives[0].loss(bound) for bound in bounds)
        state |= {"value": middle, "from": low, "to": high}
    corners = [space.params(row) for row in unexplored(space, model, trials)]
    return {**found, "expected_best": state, "unexplored": corners}


def unexplored(space: RowSpace, model: Model, trials: int) -> list[Rows]:
    """Returns `CORNERS` rows whose value is the most uncertain, far from each other.

    They are among draws that are the same for the same number of trials: asking for them changes nothing.
    """
    draws = space.draw(DRAWS, np.random.default_rng(trials))
    std = np.sum([p.weight * p.std for p in model.process.predict(draws)], axis=0)
    apart, found = np.ones(DRAWS), list[Rows]()
    for _ in range(CORNERS):
        corner = draws[int(np.argmax(std * apart))]
        found.append(corner)
        steps = np.where(space.choices, draws != corner, np.abs(draws - corner))
        apart = np.minimum(apart, steps.mean(axis=1))
    return found
