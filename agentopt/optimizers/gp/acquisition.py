"""How much a row promises: log expected improvement, averaged over the members of a process."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import log_ndtr, logsumexp

from agentopt.optimizers.gp.kernel import Vector
from agentopt.optimizers.gp.process import Prediction

_FAR = -30.0
"""Standard deviations below which the asymptotic form of log EI is used (Ament et al., arXiv 2310.20708).

The two forms differ by 2e-5 here; nearer to 0 the asymptotic one is too large, and farther away the density underflows.
"""


def log_improvement(mean: Vector, std: Vector, best: float) -> Vector:
    """Returns the log of the expected improvement below `best` of normal distributions, shape (m,)."""
    u = (best - mean) / std
    near = np.maximum(u, _FAR)
    density = -0.5 * u * u - 0.5 * math.log(2 * math.pi)
    direct = np.log(
        np.maximum(near * np.exp(log_ndtr(near)) + np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi), 1e-300)
    )
    away = np.minimum(u, _FAR)
    far = density - 2 * np.log(-away) + np.log1p(-3 / away**2)
    logs: Vector = np.where(u > _FAR, direct, far) + np.log(std)
    return logs


def expected_improvement(predictions: Sequence[Prediction]) -> Vector:
    """Returns the log of the members' expected improvements averaged by their weights, shape (m,)."""
    logs = [log_improvement(p.mean, p.std, p.best) + math.log(p.weight) for p in predictions]
    found: Vector = logsumexp(logs, axis=0)
    return found
