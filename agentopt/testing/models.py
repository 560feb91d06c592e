"""Scripted models of known quality, to try methods on: `--model scripted:agentopt.testing.models:uniform`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from agentopt.code.literals import read_literals, write_literals
from agentopt.errors import UsageError
from agentopt.pareto import choose_batch, estimated_reference, front_ranks
from agentopt.partition import Cell
from agentopt.partition.tree import Floats
from agentopt.protocols import Objective, Task, stated_reference
from agentopt.space import Choice, SearchSpace
from agentopt.task import load_task
from agentopt.trial import Params

Reply: TypeAlias = dict[str, Any]


def uniform(_prompt: str, view: Mapping[str, Any]) -> Reply:
    """Proposes uniform random configurations and predicts random values: a model that knows nothing."""
    rng = np.random.default_rng(view["seed"])
    if "cell" in view or "predict" in view:
        return _of_cells(view, rng, view["cell"].sample(rng, view["wanted"]) if "cell" in view else (), noise=None)
    space: SearchSpace = view["space"]
    return {"values": space.sample(rng)}


def adversarial(_prompt: str, view: Mapping[str, Any]) -> Reply:
    """Proposes configurations far from the best trial, and predicts the worst to be best: wrong on purpose."""
    space: SearchSpace = view["space"]
    rng = np.random.default_rng(view["seed"])
    best = view.get("best")
    if "cell" in view or "predict" in view:
        drawn = view["cell"].sample(rng, 4 * view["wanted"]) if "cell" in view else []
        if best is not None:
            centre = space.encode(best.params)
            drawn.sort(key=lambda params: -float(np.abs(space.encode(params) - centre).sum()))
        return _of_cells(view, rng, drawn[: view.get("wanted", 0)], noise=0.0, sign=-1.0)
    centre = space.encode(view["advice"] if best is None else best.params)
    edge = rng.uniform(0.0, 0.1, len(space))
    return {"values": space.repair(space.decode(np.where(centre > 0.5, edge, 1.0 - edge)))}


def _of_cells(
    view: Mapping[str, Any],
    rng: np.random.Generator,
    drawn: Sequence[Params],
    *,
    noise: float | None,
    sign: float = 1.0,
) -> Reply:
    """Returns candidates with predictions, or predictions alone where those are asked for.

    A prediction is the true value, off by N(0, `noise`) ranges of what was observed; None: it is drawn from that range.
    """
    objectives = view["objectives"]
    told = np.array([trial.values for trial in view["trials"] if trial.complete]).reshape(-1, len(objectives))
    low, high = (
        (told.min(axis=0), told.max(axis=0)) if len(told) else (np.zeros(len(objectives)), np.ones(len(objectives)))
    )

    def predicted(params: Params) -> Any:
        if noise is None:
            losses = low + (high - low) * rng.random(len(low))
        else:
            outcome = _task(view["task"]).evaluate(params)
            values = outcome.values or [objective.loss(x) for objective, x in zip(objectives, high, strict=True)]
            losses = np.array([o.loss(v) for o, v in zip(objectives, values, strict=True)])
            losses = sign * losses + noise * (high - low) * rng.standard_normal(len(low))
        values = [o.loss(float(x)) for o, x in zip(objectives, losses, strict=True)]
        return values[0] if len(values) == 1 else values

    if "predict" in view:
        return {"predicted": [predicted(params) for params in view["predict"]]}
    return {"candidates": [{"values": dict(params), "predicted": predicted(params)} for params in drawn]}


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


def make_oracle(noise: float = 0.1) -> Callable[[str, Mapping[str, Any]], Reply]:
    """Returns a script that proposes the task's optimum with an error: a model that knows the answer that well.

    Numbers are off by N(0, `noise`) in the unit cube. A choice of n is another one, uniformly, as often as such an
    error would leave a cell of width 1 / n from its middle. Asked about a cell of the space, it proposes the place in
    the cell that is nearest to the optimum, off by N(0, `noise`) of the cell's sides, and predicts true values, off by
    N(0, `noise`) ranges of what was observed: its error is relative to what it is asked about. `oracle` is the script
    with an error of 0.1, `vague` with one of 0.3; others are made in a file of one's own, for
    `--model scripted:my.py:sharp`:

        from agentopt.testing.models import make_oracle

        sharp = make_oracle(0.02)

    The task must be one that `load_task` knows and that states its `best_params`.
    """

    def script(_prompt: str, view: Mapping[str, Any]) -> Reply:
        space: SearchSpace = view["space"]
        rng = np.random.default_rng(view["seed"])
        if "cell" in view or "predict" in view:
            drawn = [_near(view, rng, noise) for _ in range(view.get("wanted", 0))] if "cell" in view else []
            return _of_cells(view, rng, drawn, noise=noise)
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
vague = make_oracle(0.3)
"""The same, off by 0.3: `--model scripted:agentopt.testing.models:vague`."""


def make_seer(looks: int = 64, noise: float = 0.1) -> Callable[[str, Mapping[str, Any]], Reply]:
    """Returns a script that sees true values, but in few places: the best of `looks` draws for each five candidates.

    Asked about a cell of the space, or about all of it, it draws uniformly there and proposes the draws with the lowest
    value, of several objectives those that add the most hypervolume to what was observed; it predicts true values, off
    by N(0, `noise`) ranges of what was observed. It knows nothing of where the optimum is. `seer` looks at 64.
    """

    def script(_prompt: str, view: Mapping[str, Any]) -> Reply:
        rng, objectives = np.random.default_rng(view["seed"]), view["objectives"]
        if "cell" not in view:
            return _of_cells(view, rng, (), noise=noise)
        wanted: int = view["wanted"]
        drawn = view["cell"].sample(rng, max(1, looks * wanted // 5))
        outcomes = [_task(view["task"]).evaluate(params) for params in drawn]
        drawn = [params for params, outcome in zip(drawn, outcomes, strict=True) if outcome.values]
        values = [outcome.values for outcome in outcomes if outcome.values]
        losses = np.array([[o.loss(v) for o, v in zip(objectives, row, strict=True)] for row in values])
        if not len(losses):
            return _of_cells(view, rng, (), noise=noise)
        told = np.array([t.values for t in view["trials"] if t.complete]).reshape(-1, len(objectives))
        return _of_cells(view, rng, [drawn[i] for i in _best(losses, told, objectives, wanted)], noise=noise)

    return script


def _best(losses: Floats, told: Floats, objectives: Sequence[Objective], wanted: int) -> list[int]:
    if losses.shape[1] == 1:
        return [int(i) for i in np.argsort(losses[:, 0], kind="stable")[:wanted]]
    stated = stated_reference(objectives)
    reference = estimated_reference(np.vstack([told, losses])) if stated is None else np.array(stated)
    # The draws of the lowest fronts are enough to choose from, and many hypervolumes cheaper.
    first = np.argsort(front_ranks(losses), kind="stable")[: 4 * wanted]
    return [int(first[i]) for i in choose_batch(losses[first], told, reference, wanted)]


seer = make_seer()
"""Proposes the best of 64 uniform draws: `--model scripted:agentopt.testing.models:seer`."""


def _near(view: Mapping[str, Any], rng: np.random.Generator, noise: float) -> Params:
    """Returns a configuration near the place in a cell that is nearest to the optimum."""
    cell: Cell = view["cell"]
    space: SearchSpace = view["space"]
    best, found = _best_params(view["task"]), dict[str, Any]()
    for axis, parameter in enumerate(space.parameters):
        low, high = float(cell.lower[axis]), float(cell.upper[axis])
        target = cell.encoding.coordinate(parameter, best[parameter.name])
        aim = min(high, max(low, target)) + noise * (high - low) * float(rng.standard_normal())
        aim = min(high - 1e-9 * (high - low) if high < 1.0 else 1.0, max(low, aim))
        found[parameter.name] = cell.value_at(axis, aim)
    return space.repair(found)


@cache
def _task(name: str) -> Task:
    return load_task(name)


@cache
def _best_params(task: str) -> Params:
    """Returns a configuration that has the task's optimum."""
    found: Params | None = getattr(_task(task), "best_params", None) if task else None
    if found is None:
        raise UsageError(f"The oracle needs a task that states where its optimum is, not {task or 'an unnamed one'}.")
    return found
