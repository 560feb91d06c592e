"""Which of the candidates with a prediction are run: by their mean, or by the improvement that they promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agentopt.optimizers.seen import Seen
from agentopt.optimizers.surrogates import LEAST_SPREAD, Prediction


def by_mean(predictions: Sequence[Prediction], _seen: Seen, count: int) -> list[int]:
    """Returns the positions of the `count` lowest means of the one objective."""
    means = np.array([prediction.mean[0] for prediction in predictions])
    return [int(i) for i in np.argsort(means, kind="stable")[:count]]


def by_improvement(predictions: Sequence[Prediction], seen: Seen, count: int) -> list[int]:
    """Returns the positions of the `count` highest expected improvements over the incumbent, in ties the lowest means.

    EI = (b - m) F(z) + s f(z) with z = (b - m) / s for the best loss b, mean m and spread s (Jones et al., J. Global
    Optimization 13, 1998, equation 15); a spread is at least 1e-5, as in LLAMBO's code.
    """
    best = seen.incumbent
    if best is None:
        return by_mean(predictions, seen, count)
    improvements = [_improvement(best.value - p.mean[0], max(p.spread[0], LEAST_SPREAD)) for p in predictions]
    order = np.lexsort(([p.mean[0] for p in predictions], [-value for value in improvements]))
    return [int(i) for i in order[:count]]


def _improvement(gain: float, spread: float) -> float:
    z = gain / spread
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return gain * 0.5 * math.erfc(-z / math.sqrt(2)) + spread * density
