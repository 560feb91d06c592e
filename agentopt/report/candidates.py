"""What became of the candidates that a model was asked for, and how the predictions of their values did."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentopt.protocols import Objective
from agentopt.report.load import RunReport
from agentopt.report.scale import bounded
from agentopt.trial import Json, Origin, Trial

KINDS = ("asked", "accepted", "outside", "duplicate", "missing")
"""What a turn's pool counts; `outside` of their cell, `duplicate` is there twice or known."""
FEWEST = 5
"""Of fewer complete trials with a prediction, neither a correlation nor an area is told."""
BEST_SHARE = 0.2
"""What a predicted probability is about: being among this share of the trials, the best."""
PROBABILITY = "probability of being among the best fifth"
_PROPOSED = (Origin.LLM, Origin.CONTROL)
_PREDICTORS = {"reply": "the model", "llm": "the model", "labels": "the model", "neighbours": "the nearest trials"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A complete trial, with what was predicted of it and the value of the objective that was observed."""

    trial: Trial
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """How the predictions of one objective did; values are in the task's units."""

    objective: Objective
    pairs: tuple[Pair, ...]
    correlation: float | str
    """Spearman's rank correlation of predicted and observed values, or why there is none."""
    error: float | None
    """The median of how far predictions were off, in ranges of the values of all complete trials.

    It is the median, for one absurd number must not decide. None of too few, or where all values are the same.
    """
    optimism: float | None
    """The median of how much better the predicted values were than the observed ones, in the same unit."""


@dataclass(frozen=True, slots=True)
class Chances:
    """How predicted probabilities of being among the best fifth did."""

    objective: Objective
    pairs: tuple[Pair, ...]
    """A probability, and the value that was observed."""
    edge: float
    """The worst value of the best fifth of all complete trials, in the task's units."""
    area: float | str
    """The area under the ROC curve: how often, of a trial of the best fifth and another one, the first had the higher
    probability, a tie counted half; or why there is none."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of a run. Turns whose first trial has not ended are left out of the counts."""

    counts: Mapping[str, int]
    """How many there are of each of `KINDS`."""
    run: int
    """How many became trials that have ended."""
    predictor: str
    """Who predicted, in words."""
    forecasts: tuple[Forecast, ...]
    """One for each objective; none where no complete trial has a prediction."""
    chances: Chances | None
    """None where no complete trial has a probability."""

    @property
    def share(self) -> float | None:
        """The share accepted of those asked for; None where none were."""
        return self.counts["accepted"] / self.counts["asked"] if self.counts["asked"] else None

    @property
    def correlation(self) -> float | None:
        """The rank correlation; of several objectives the mean of those known. None where none is known."""
        known = [f.correlation for f in self.forecasts if not isinstance(f.correlation, str)]
        return math.fsum(known) / len(known) if known else None


def candidates_of(report: RunReport) -> Candidates | None:
    """Returns what became of a run's candidates; None for a method that asks for none."""
    pools = [(trial.note.get("turn"), pool) for trial in report.trials if (pool := _pool(trial)) is not None]
    if not pools:
        return None
    turns = {turn for turn, _ in pools if isinstance(turn, int)}
    ran = [t.note.get("turn") for t in report.trials if t.origin in _PROPOSED]
    complete = [trial for trial in report.trials if trial.complete]
    count = len(report.objectives)
    predicted = [(trial, values) for trial in complete if (values := _numbers(trial.note.get("predicted"), count))]
    options: Mapping[str, Json] = report.header.get("options", {})
    return Candidates(
        counts={kind: sum(pool[kind] for _, pool in pools) for kind in KINDS},
        run=sum(isinstance(turn, int) and turn in turns for turn in ran),
        predictor=_PREDICTORS.get(str(options.get("surrogate")), "the method"),
        forecasts=tuple(
            _forecast(o, [Pair(t, values[i], t.values[i]) for t, values in predicted], [t.values[i] for t in complete])
            for i, o in enumerate(report.objectives)
            if predicted
        ),
        chances=_chances(complete, report.objectives[0]),
    )


def _pool(trial: Trial) -> dict[str, int] | None:
    """Returns the counts of a turn that its first trial notes; None for other trials."""
    found: Any = trial.note.get("pool")
    if not isinstance(found, Mapping) or "asked" not in found:
        return None
    return {kind: count if isinstance(count := found.get(kind, 0), int) else 0 for kind in KINDS}


def _numbers(noted: Json, count: int) -> tuple[float, ...]:
    """Returns so many finite numbers as a note has them; none where it has anything else."""
    values = noted if isinstance(noted, list | tuple) else [noted]
    if len(values) != count or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return ()
    try:
        found = tuple(map(float, values))
    except OverflowError:
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _forecast(objective: Objective, pairs: Sequence[Pair], values: Sequence[float]) -> Forecast:
    """Returns how predictions did; `values` are those of all complete trials."""
    spread = bounded(max(values)) - bounded(min(values))
    error = optimism = None
    if len(pairs) >= FEWEST and spread > 0:
        losses = [[objective.loss(bounded(v)) for v in (pair.observed, pair.predicted)] for pair in pairs]
        better = np.array([observed - predicted for observed, predicted in losses]) / spread
        error, optimism = float(np.median(np.abs(better))), float(np.median(better))
    return Forecast(objective, tuple(pairs), _told(pairs, _correlation), error, optimism)


def _chances(complete: Sequence[Trial], objective: Objective) -> Chances | None:
    pairs = [Pair(t, found[0], t.values[0]) for t in complete if (found := _numbers(t.note.get("probability"), 1))]
    if not pairs:
        return None
    # As in the prompts for labels: the fifth is counted among complete trials, and rounded down.
    edge = float(np.quantile([objective.loss(t.values[0]) for t in complete], BEST_SHARE, method="lower"))
    best = {pair.trial.id for pair in pairs if objective.loss(pair.observed) <= edge}
    area = _told(pairs, lambda found: _area(found, best))
    return Chances(objective, tuple(pairs), objective.loss(edge), area)


def _told(pairs: Sequence[Pair], score: Callable[[Sequence[Pair]], float | str]) -> float | str:
    """Returns a score, or why there is none."""
    if len(pairs) < FEWEST:
        have = f"only {len(pairs)} complete trial{'s have' if len(pairs) > 1 else ' has'} one"
        return f"{have}, too few to tell ({FEWEST} are needed)"
    if _alike(pair.predicted for pair in pairs):
        return f"all of the {len(pairs)} are the same, so they tell no trial from another"
    return score(pairs)


def _correlation(pairs: Sequence[Pair]) -> float | str:
    if _alike(pair.observed for pair in pairs):
        return f"all of the {len(pairs)} observed values are the same, so there was nothing to predict"
    predicted, observed = (_ranks(values) for values in zip(*((p.predicted, p.observed) for p in pairs), strict=True))
    return float(np.corrcoef(predicted, observed)[0, 1])


def _area(pairs: Sequence[Pair], best: set[int]) -> float | str:
    among = np.array([pair.trial.id in best for pair in pairs])
    hits = int(among.sum())
    if hits in {0, len(pairs)}:
        which = "none" if hits == 0 else "all"
        return f"{which} of the {len(pairs)} trials that have one are among the best fifth"
    ranks = _ranks([pair.predicted for pair in pairs])
    return float((ranks[among].sum() - hits * (hits + 1) / 2) / (hits * (len(pairs) - hits)))


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _alike(values: Iterable[float]) -> bool:
    return len(set(values)) == 1


def pool_text(found: Candidates) -> str:
    """Returns what became of the candidates that were asked for."""
    counts, share = found.counts, "" if found.share is None else f" ({100 * found.share:.3g} %)"
    text = f"Candidates: {counts['asked']} asked for, {counts['accepted']} accepted{share}, {found.run} of these run"
    kinds = {"outside": "outside of their cell", "duplicate": "known or there twice", "missing": "missing"}
    lost = [f"{counts[kind]} {words}" for kind, words in kinds.items() if counts[kind]]
    return f"{text}; {', '.join(lost)}." if lost else f"{text}."


def forecast_texts(found: Candidates) -> list[str]:
    """Returns how predictions did, one line for each objective; nothing where nothing was predicted."""
    lines, by = [], f"by {found.predictor}"
    for f in found.forecasts:
        told, off = f.correlation, ""
        if f.error is not None and f.optimism is not None:
            side = f", {100 * abs(f.optimism):.2g} % too {'optimistic' if f.optimism > 0 else 'pessimistic'}"
            off = f"; median error {100 * f.error:.2g} % of the observed range{side if f.optimism else ''}"
        if not isinstance(told, str):
            told = f"rank correlation {told:.2f} with what was observed ({len(f.pairs)} trials)"
        lines.append(f"Predictions of {f.objective.name} {by}: {told}{off}.")
    if (c := found.chances) is not None:
        told = c.area if isinstance(c.area, str) else f"area under the ROC curve {c.area:.2f} ({len(c.pairs)} trials)"
        chance = "" if isinstance(c.area, str) else "; 0.5 is chance"
        lines.append(f"Probabilities of being among the best fifth {by}: {told}{chance}.")
    return lines
