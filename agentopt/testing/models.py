"""Scripted models of known quality, to try methods on: `--model scripted:agentopt.testing.models:uniform`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentopt.space import SearchSpace


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
