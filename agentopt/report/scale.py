"""The axis on which the values of a run can be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentopt.protocols import Objective
from agentopt.report.load import RunReport
from agentopt.trial import Trial

_DECADES = 100.0
_MOST = 0.9
"""The share of the values that the axis shows in any case."""
_FAR = 4.0
"""The axis is cut where the worst value is this many times as far from the best as the worst of those."""
_MARGIN = 0.04
HUGE = 1e150
"""Reports count values beyond as this: plotting and statistics compute squares and margins, which would be infinite."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis on which the good values can be told apart."""

    log: bool = False
    limits: tuple[float, float] | None = None
    """Where the axis ends; None: where the values do."""
    beyond: int = 0
    """How many values lie beyond."""

    def shown(self, value: float) -> float:
        """Returns where a value is drawn: one off the scale stands at its edge."""
        low, high = self.limits or (-math.inf, math.inf)
        return bounded(min(high, max(low, value)))


def bounded(value: float) -> float:
    """Returns a value, or the nearest one that is not huge."""
    return value if math.isnan(value) else min(HUGE, max(-HUGE, value))


def value_scale(report: RunReport) -> Scale:
    """Returns the axis for the first objective's values."""
    return scale_of([trial.values[0] for trial in report.trials if trial.complete], report.objectives[0])


def scale_of(observed: Sequence[float], objective: Objective) -> Scale:
    """Returns the axis for values of an objective.

    It is logarithmic where the values are positive and spread over more than two decades; else, where a few bad values
    are far away from all others, it ends before them.
    """
    values = [bounded(value) for value in sorted(observed, key=objective.loss)]
    if not values:
        return Scale()
    if min(values) > 1 / HUGE and max(values) / _DECADES > min(values):
        return Scale(log=True)
    best, bad, worst = values[0], values[int(_MOST * (len(values) - 1))], values[-1]
    if abs(worst - best) <= _FAR * abs(bad - best) or bad == best:
        return Scale()
    margin = 0.08 * (bad - best)
    low, high = sorted((best - margin, bad + margin))
    beyond = sum(abs(value - best) > abs(bad + margin - best) for value in values)
    return Scale(limits=(low, high), beyond=beyond)


def forecast_scale(observed: Sequence[float], predicted: Sequence[float], objective: Objective) -> Scale:
    """Returns one axis for values that were observed and those that were predicted; neither may be empty.

    It holds the observed values as `scale_of` does and, where predictions lie outside of them, up to as much again on
    either side: however wild a prediction is, observed values stay apart. `beyond` counts predictions off the scale.
    """
    own = scale_of(observed, objective)
    ends = own.limits or (bounded(min(observed)), bounded(max(observed)))

    def place(value: float) -> float:
        if not own.log:
            return bounded(value)
        return math.log10(bounded(value)) if value > 0 else -math.inf

    low, high = map(place, ends)
    room, guesses = (high - low) or abs(high) or 1.0, [place(value) for value in predicted]
    low, high = max(min(low, *guesses), low - room), min(max(high, *guesses), high + room)
    margin = _MARGIN * ((high - low) or room)
    beyond = sum(not low <= guess <= high for guess in guesses)
    if not own.log:
        return Scale(limits=(low - margin, high + margin), beyond=beyond)
    most = math.log10(HUGE)
    low, high = (10 ** min(most, max(-most, end)) for end in (low - margin, high + margin))
    return Scale(log=True, limits=(low, high), beyond=beyond)


def heights(report: RunReport, trials: Sequence[Trial]) -> list[float]:
    """Returns the trials' first values as charts draw them."""
    scale = value_scale(report)
    return [scale.shown(trial.values[0]) for trial in trials]
