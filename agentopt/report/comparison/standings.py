"""One line for each method of a comparison: how it did and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agentopt.report.comparison.curves import normalised_regrets
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.statistics import Ranking


@dataclass(frozen=True, slots=True)
class Standing:
    """One method's line: how it did and what it cost, over all of its runs."""

    label: str
    finished: int
    median_best: float | None
    """The median over seeds of the best value, in the task's units; only where there is one task."""
    normalised_regret: float | None
    average_rank: float | None
    trials: int
    failed_share: float | None
    oom_share: float | None
    llm_share: float | None
    """The share of trials that a language model proposed."""
    fallback_share: float | None
    """The share of trials that a classical proposal took from a language model."""
    seconds: dict[str, float]
    tokens: dict[str, int]


def standings(comparison: Comparison, ranks: Ranking) -> list[Standing]:
    """Returns each method's line."""
    place = dict(zip(ranks.labels, ranks.average, strict=True))
    regrets = normalised_regrets(comparison)
    return [
        _standing(comparison, i, regrets[i], finite(place.get(label, math.nan)))
        for i, label in enumerate(comparison.labels)
    ]


def _standing(comparison: Comparison, i: int, regret: float | None, rank: float | None) -> Standing:
    cells = comparison.of(comparison.labels[i])
    trials = sum(sum(cell.counts.values()) for cell in cells)

    def share(count: int) -> float | None:
        return count / trials if trials else None

    best = None
    if len(comparison.tasks) == 1:
        finals = comparison.finals[0, i][~np.isnan(comparison.finals[0, i])]
        best = finite(float(np.median(finals)) if finals.size else math.nan)
        best = None if best is None else comparison.tasks[0].objective.loss(best)
    kinds = ("total", "llm", "evaluate", "overhead")
    return Standing(
        label=comparison.labels[i],
        finished=sum(cell.finished for cell in cells),
        median_best=best,
        normalised_regret=regret,
        average_rank=rank,
        trials=trials,
        failed_share=share(trials - sum(cell.counts["complete"] for cell in cells)),
        oom_share=share(sum(cell.counts["oom"] for cell in cells)),
        llm_share=share(sum(cell.origins.get("llm", 0) for cell in cells)),
        fallback_share=share(sum(cell.origins.get("fallback", 0) for cell in cells)),
        seconds={kind: math.fsum(getattr(cell.seconds, kind) for cell in cells) for kind in kinds},
        tokens={kind: sum(cell.tokens[kind] for cell in cells) for kind in ("prompt", "completion")},
    )


def finite(value: float) -> float | None:
    """Returns the number, or None where it is none or infinite."""
    return value if math.isfinite(value) else None
