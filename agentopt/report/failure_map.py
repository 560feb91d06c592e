"""Where trials failed: the share of failures in each part of each parameter's range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentopt.report.text import shown
from agentopt.space import Parameter, SearchSpace
from agentopt.trial import Trial

CELLS = 12
"""The columns of a map: 1, 2, 3, 4 and 6 levels divide them evenly."""
_BINS = 6


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a parameter's range, and the trials there."""

    name: str
    failed: int
    trials: int

    @property
    def share(self) -> float | None:
        """The share of the trials that failed; None where there are none."""
        return self.failed / self.trials if self.trials else None


def failure_map(trials: Sequence[Trial], space: SearchSpace) -> dict[str, list[Part]]:
    """Returns the parts of each parameter's range, from its low end to its high end: `CELLS` of them or fewer."""
    return {parameter.name: _parts(trials, parameter) for parameter in space.parameters}


def columns(parts: Sequence[Part]) -> list[Part]:
    """Returns the part that each of the `CELLS` columns of a map belongs to."""
    return [parts[min(len(parts) - 1, int((column + 0.5) / CELLS * len(parts)))] for column in range(CELLS)]


def _parts(trials: Sequence[Trial], parameter: Parameter) -> list[Part]:
    bins = parameter.levels if parameter.levels is not None and parameter.levels <= CELLS else _BINS
    counts = [[0, 0] for _ in range(bins)]
    for trial in trials:
        at = min(bins - 1, int(parameter.encode(trial.params[parameter.name]) * bins))
        counts[at][0] += not trial.complete
        counts[at][1] += 1
    return [Part(_name(parameter, at, bins), *counts[at]) for at in range(bins)]


def _name(parameter: Parameter, at: int, bins: int) -> str:
    if parameter.levels is not None and parameter.levels == bins:
        return shown(parameter.decode((at + 0.5) / bins))
    low, high = parameter.decode(at / bins), parameter.decode((at + 1) / bins)
    return f"{shown(low)} to {shown(high)}"
