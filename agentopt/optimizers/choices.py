"""What a CMA-ES does with categorical parameters: one probability vector each, moved towards what ranked well.

Population-based incremental learning (Baluja, CMU-CS-94-163): after each generation every probability moves by a share
`RATE` towards the frequency of its choice in the better half, and none falls below `FLOOR / (number of choices)`: what
those that would are short of is taken from the others in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from agentopt.space import Choice, SearchSpace
from agentopt.trial import Params, Value

RATE = 0.2
FLOOR = 0.2
Rule: TypeAlias = Literal["adaptive", "uniform"]
Weights: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def floored(weights: Weights, least: float) -> Weights:
    """Returns the distribution nearest to `weights`, in relative entropy, in which no probability is below `least`.

    Its others are in the proportions of `weights`, which sum to about 1; `least` is below the mean.
    """
    low = np.zeros(len(weights), dtype=bool)
    while True:
        scaled = weights / (weights[~low].sum() / (1.0 - least * low.sum()))
        found: Weights = np.where(low, least, scaled)
        below = found < least
        if not below.any():
            return found
        low |= below


class Choices:
    """The distribution of a space's categorical parameters."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator, rule: Rule) -> None:
        """`uniform` never learns: every choice is drawn with the same probability, always."""
        self._rng, self._rule = rng, rule
        self._parameters = [p for p in space.parameters if isinstance(p, Choice)]
        self._weights = {p.name: np.full(p.levels, 1.0 / p.levels) for p in self._parameters}

    def draw(self) -> dict[str, Value]:
        """Returns a value for each categorical parameter."""
        return {p.name: p.choices[self._rng.choice(p.levels, p=self._weights[p.name])] for p in self._parameters}

    def learn(self, ranked: Sequence[Params]) -> None:
        """Moves towards the better half of a generation's configurations, best first, failures left out."""
        if self._rule == "uniform" or not ranked:
            return
        half = ranked[: max(1, len(ranked) // 2)]
        for p in self._parameters:
            share = np.bincount([p.index(params[p.name]) for params in half], minlength=p.levels) / len(half)
            self._weights[p.name] = floored((1 - RATE) * self._weights[p.name] + RATE * share, FLOOR / p.levels)

    def explain(self) -> Mapping[str, Mapping[str, float]]:
        """Returns the probability of each choice of each parameter."""
        return {
            p.name: {str(c): round(float(w), 3) for c, w in zip(p.choices, self._weights[p.name], strict=True)}
            for p in self._parameters
        }
