"""What follows from a comparison: its tests, ranks, curves and caveats, each computed once for all that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from agentopt.report.comparison.caveats import Caveat, attributions, caveats
from agentopt.report.comparison.cells import AXES, Axis
from agentopt.report.comparison.curves import (
    Curve,
    RankCurves,
    Reached,
    anytime,
    checkpoints,
    rank_curves,
    targets_reached,
)
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.fronts import Surfaces, surfaces
from agentopt.report.comparison.standings import Standing, standings
from agentopt.report.comparison.statistics import Duel, PairTest, Ranking, duels, pair_tests, ranking, task_tests


@dataclass(frozen=True)
class Analysis:
    """A comparison, and everything that is said of it; each part is computed when it is first asked for."""

    comparison: Comparison

    @cached_property
    def tests(self) -> list[PairTest]:
        """The test of each pair of methods of the family over all tasks."""
        return pair_tests(self.comparison)

    @cached_property
    def task_tests(self) -> list[PairTest]:
        """The test of each pair of methods of the family on each task."""
        return task_tests(self.comparison)

    @cached_property
    def duels(self) -> list[Duel]:
        """How every two methods did against each other."""
        return duels(self.comparison)

    @cached_property
    def ranking(self) -> Ranking:
        """The average ranks at the end."""
        return ranking(self.comparison)

    @cached_property
    def standings(self) -> list[Standing]:
        """Each method's line."""
        return standings(self.comparison, self.ranking)

    @cached_property
    def caveats(self) -> list[Caveat]:
        """What a reader must be told, the grave things first."""
        return caveats(self.comparison, self.tests, self.duels)

    @cached_property
    def attributions(self) -> list[str]:
        """What the tests against its controls say of each method that asks a language model."""
        return attributions(self.comparison, self.tests)

    @cached_property
    def checkpoints(self) -> list[Curve]:
        """The regrets after some shares of the trials."""
        return checkpoints(self.comparison)

    @cached_property
    def anytime(self) -> Mapping[Axis, list[Curve]]:
        """The regrets over each kind of cost."""
        return {axis: anytime(self.comparison, axis) for axis in AXES}

    @cached_property
    def surfaces(self) -> list[Surfaces]:
        """The attainment surfaces on the tasks with two objectives."""
        two = [t.name for t in self.comparison.tasks if t.front is not None and len(t.front.objectives) == 2]
        return [found for task in two for found in surfaces(self.comparison.cells, self.comparison.labels, task)]

    @cached_property
    def ranks(self) -> RankCurves:
        """The average ranks over the trials."""
        return rank_curves(self.comparison)

    @cached_property
    def targets(self) -> Mapping[Axis, list[Reached]]:
        """The share of targets reached over each kind of cost."""
        return {axis: targets_reached(self.comparison, axis) for axis in AXES}
