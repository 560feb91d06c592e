"""The axis on which the values of a run can be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentopt.report.load import RunReport
from agentopt.trial import Trial

_DECADES = 100.0
_MOST = 0.9
"""The share of the values that the axis shows in any case."""
_FAR = 4.0
"""The axis is cut where the worst value is this many times as far from the best as the worst of those."""
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
    """Returns the axis for the first objective's values.

    It is logarithmic where the values are positive and spread over more than two decades; else, where a few bad values
    are far away from all others, it ends before them.
    """
    values = sorted((trial.values[0] for trial in report.trials if trial.complete), key=report.objectives[0].loss)
    values = [bounded(value) for value in values]
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


def heights(report: RunReport, trials: Sequence[Trial]) -> list[float]:
    """Returns the trials' first values as charts draw them."""
    scale = value_scale(report)
    return [scale.shown(trial.values[0]) for trial in trials]
