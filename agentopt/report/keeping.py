"""What a run has found: of code that is kept or discarded the versions that were kept, else every complete trial.

Whoever names the best of a run, or draws how it came about, asks here. A version is worth the mean of all runs that it
had, and counts from the trial that decided to keep it: a lucky second run finds nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentopt.code.keeper import Keeper, KeepRule
from agentopt.protocols import Objective
from agentopt.trial import Json, Origin, Trial

METHODS = ("autoresearch",)
"""The methods that keep or discard what they try."""


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration, or a version of code, that counts as found."""

    trial: int
    """Its trial; of a version the first run."""
    since: int
    """The trial from which on it counts."""
    value: float
    """Its first value, in the task's units; of a version the mean of all its runs."""
    runs: int = 1


@dataclass(frozen=True)
class Standing:
    """What was found in a run of one objective, oldest first; values are in the task's units."""

    objective: Objective
    found: tuple[Found, ...]
    default: Found | None
    """The default configuration, or the first version; None where it has no value."""
    keeper: Keeper | None
    """Who decided what counts; None where every complete trial does."""

    @property
    def best(self) -> Found | None:
        """The first with the best value."""
        return self.best_of({found.trial for found in self.found})

    @property
    def gain(self) -> float | None:
        """How much better the best is than the default; None where one of them is missing."""
        if self.best is None or self.default is None:
            return None
        return self.objective.loss(self.default.value) - self.objective.loss(self.best.value)

    @property
    def noise(self) -> float | None:
        """How much two runs of one version differ; None where that is not known."""
        return self.keeper.noise if self.keeper is not None and self.keeper.noise_known else None

    @property
    def curve_name(self) -> str:
        """What `curve` is called."""
        return "best so far" if self.keeper is None else "best kept so far"

    def best_of(self, trials: set[int]) -> Found | None:
        """Returns the best of what these trials found."""
        own = (found for found in self.found if found.trial in trials)
        return min(own, key=lambda found: self.objective.loss(found.value), default=None)

    def curve(self, trials: Sequence[Trial]) -> tuple[float, ...]:
        """Returns the best value that was found after each trial; nan before there is one."""
        new: dict[int, list[float]] = defaultdict(list)
        for found in self.found:
            new[found.since].append(self.objective.loss(found.value))
        curve, best = [], math.inf
        for trial in trials:
            best = min([best, *new[trial.id]])
            curve.append(self.objective.loss(best) if math.isfinite(best) else math.nan)
        return tuple(curve)


def new_keeper(header: Mapping[str, Json]) -> Keeper | None:
    """Returns the fold of a run before its first trial; None for a run that keeps or discards nothing."""
    code = header.get("code")
    if code is None or header["method"] not in METHODS:
        return None
    rule = {name: value for name, value in header["options"].items() if name in KeepRule.model_fields}
    return Keeper(KeepRule.model_validate(rule), code["text"])


def standing_of(trials: Sequence[Trial], objective: Objective, keeper: Keeper | None) -> Standing:
    """Returns what trials in the task's units have found; the keeper, where there is one, was told them."""
    if keeper is None:
        complete = {trial.id: Found(trial.id, trial.id, trial.values[0]) for trial in trials if trial.complete}
        base = next((trial.id for trial in trials if trial.origin is Origin.BASELINE), None)
        return Standing(objective, tuple(complete.values()), None if base is None else complete.get(base), None)
    kept = {}
    for number in keeper.kept:
        if (since := keeper.since.get(number)) is not None:
            version = keeper.versions[number]
            first = since if number is None else number
            kept[number] = Found(first, since, objective.loss(version.mean), len(version.values))
    return Standing(objective, tuple(kept.values()), kept.get(None), keeper)
