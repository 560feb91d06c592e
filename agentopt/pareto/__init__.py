"""Several objectives, all minimised: fronts, hypervolume, and other measures of a front."""

from agentopt.pareto.fronts import front_mask, front_ranks
from agentopt.pareto.hypervolume import (
    Archive,
    choose_batch,
    contributions,
    hypervolume,
    hypervolume_curve,
    improvements,
)
from agentopt.pareto.quality import attainment, epsilon, estimated_reference, igd_plus

__all__ = [
    "Archive",
    "attainment",
    "choose_batch",
    "contributions",
    "epsilon",
    "estimated_reference",
    "front_mask",
    "front_ranks",
    "hypervolume",
    "hypervolume_curve",
    "igd_plus",
    "improvements",
]
