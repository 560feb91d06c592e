"""Scripted models of known quality, to try methods on: `--model scripted:agentopt.testing.models:uniform`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from agentopt.code.literals import read_literals, write_literals
from agentopt.errors import UsageError
from agentopt.space import Choice, SearchSpace
from agentopt.task import load_task
from agentopt.trial import Params


def uniform(_prompt: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Proposes uniform random configurations: a model that knows nothing."""
    space: SearchSpace = view["space"]
    return {"values": space.sample(np.random.default_rng(view["seed"]))}


def adversarial(_prompt: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Proposes configurations far from the best trial: a model that is wrong on purpose."""
    space: SearchSpace = view["space"]
    rng = np.random.default_rng(view["seed"])
    best = view["best"]
    centre = space.encode(view["advice"] if best is None else best.params)
    edge = rng.uniform(0.0, 0.1, len(space))
    return {"values": space.repair(space.decode(np.where(centre > 0.5, edge, 1.0 - edge)))}


def editor(prompt: str, view: Mapping[str, Any]) -> object:
    """Edits a program by changing one of its numbers: a model that can write an edit and knows nothing.

    Where it is asked for a configuration, it proposes a uniform one.
    """
    if "text" not in view:
        return uniform(prompt, view)
    rng = np.random.default_rng(view["seed"])
    values = read_literals(view["text"]).values
    found = {name: value for name, value in values.items() if isinstance(value, float) and value}
    name = sorted(found)[rng.integers(len(found))]
    changed = write_literals(view["text"], {name: float(found[name] * np.exp(rng.normal()))})
    pairs = zip(view["text"].splitlines(), changed.splitlines(), strict=True)
    old, new = next((before, after) for before, after in pairs if before != after)
    return f"Another {name}.\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


def make_oracle(noise: float = 0.1) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    """Returns a script that proposes the task's optimum with an error: a model that knows the answer that well.

    Numbers are off by N(0, `noise`) in the unit cube. A choice of n is another one, uniformly, as often as such an
    error would leave a cell of width 1 / n from its middle. `oracle` is the script with an error of 0.1; others are
    made in a file of one's own, for `--model scripted:my.py:sharp`:

        from agentopt.testing.models import make_oracle

        sharp = make_oracle(0.02)

    The task must be one that `load_task` knows and that states its `best_params`.
    """

    def script(_prompt: str, view: Mapping[str, Any]) -> dict[str, Any]:
        space: SearchSpace = view["space"]
        rng = np.random.default_rng(view["seed"])
        best, values = _best_params(view["task"]), dict[str, Any]()
        for parameter, error in zip(space.parameters, noise * rng.standard_normal(len(space)), strict=True):
            value = best[parameter.name]
            if not isinstance(parameter, Choice):
                value = parameter.decode(parameter.encode(value) + float(error))
            elif abs(error) > 0.5 / parameter.levels:
                others = [i for i in range(parameter.levels) if i != parameter.index(value)]
                value = parameter.choices[others[rng.integers(len(others))]]
            values[parameter.name] = value
        return {"values": space.repair(values)}

    return script


oracle = make_oracle()
"""Proposes the task's optimum, off by 0.1 in the unit cube: `--model scripted:agentopt.testing.models:oracle`."""


@cache
def _best_params(task: str) -> Params:
    """Returns a configuration that has the task's optimum."""
    found: Params | None = getattr(load_task(task), "best_params", None) if task else None
    if found is None:
        raise UsageError(f"The oracle needs a task that states where its optimum is, not {task or 'an unnamed one'}.")
    return found
