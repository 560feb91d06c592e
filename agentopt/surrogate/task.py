"""A surrogate as a task: what it predicts is what an evaluation returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from agentopt.protocols import Objective
from agentopt.surrogate.model import Surrogate
from agentopt.task import FunctionTask
from agentopt.trial import Params, Status


def surrogate_task(
    model: Surrogate,
    name: str,
    *,
    noise: float = 0.0,
    description: str = "",
    failure: str = "the surrogate predicts a failure",
    metrics: Callable[[Mapping[str, float]], dict[str, float]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> FunctionTask:
    """Returns the task that a model stands in for.

    `noise` is the standard deviation of a Gaussian error of the value, which the evaluation's seed decides. `failure`
    is the error text of a predicted failure. `metrics` makes further numbers of the derived quantities.
    """

    def evaluate(params: Params, seed: int) -> dict[str, Any]:
        expected = model.predict(params)
        out: dict[str, Any] = {} if metrics is None else metrics(expected.derived)
        out["training_seconds"] = expected.seconds
        if expected.status is not Status.COMPLETE or expected.value is None:
            return {**out, "status": expected.status.value, "error": failure}
        error = np.random.default_rng(seed).normal(0.0, noise) if noise else 0.0
        return {**out, model.objective: expected.value + float(error)}

    return FunctionTask(
        name=name,
        space=model.features.space,
        function=evaluate,
        objectives=(Objective(model.objective, cast("Literal['minimize', 'maximize']", model.direction)),),
        description=description,
        facts=facts or {},
    )


def load_surrogate_task(path: Path, noise: float = 0.0) -> FunctionTask:
    """Returns the task of a model file that `agentopt surrogate fit` wrote."""
    model = Surrogate.load(path)
    about = f"A surrogate of measured trials: {model.direction} {model.objective}."
    return surrogate_task(model, str(path), noise=noise, description=str(model.facts.get("description", about)))
