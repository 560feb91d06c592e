"""How good a surrogate is on trials that it has not seen: repeated cross-validation with groups kept together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.stats import spearmanr

from agentopt.space import SearchSpace
from agentopt.surrogate.fit import Boosting, fit_surrogate
from agentopt.surrogate.model import Surrogate
from agentopt.surrogate.rows import Row, Source
from agentopt.surrogate.trees import Array

Grouping: TypeAlias = Literal["identical", "regions"]
"""What a fold keeps together: repeats of one configuration, or whole clusters of similar configurations."""

_REGIONS = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean of a figure over the folds, and its standard deviation."""

    mean: float
    std: float
    folds: int


def cross_validate(
    source: Source,
    *,
    space: SearchSpace | None = None,
    derived: Mapping[str, str] | None = None,
    failure_features: Sequence[str] | None = None,
    grouping: Grouping = "identical",
    below: float | None = None,
    folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
    boosting: Boosting | None = None,
) -> dict[str, Figure]:
    """Returns each figure of `scores` over `folds` x `repeats` held-out parts."""
    known = space or source.space
    if known is None:
        raise ValueError("a file of trials needs a space")
    found: dict[str, list[float]] = defaultdict(list)
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        groups = _identical(source.rows) if grouping == "identical" else _regions(source.rows, known, rng)
        for number, held in enumerate(_parts(groups, folds, rng)):
            train = tuple(row for row, out in zip(source.rows, held, strict=True) if not out)
            test = [row for row, out in zip(source.rows, held, strict=True) if out]
            model = fit_surrogate(
                replace(source, rows=train),
                space=known,
                derived=derived,
                failure_features=failure_features,
                seed=seed + 1000 * repeat + 100 * number,
                boosting=boosting,
            )
            for name, score in scores(model, test, below).items():
                if np.isfinite(score):
                    found[name].append(score)
    return {name: Figure(float(np.mean(s)), float(np.std(s)), len(s)) for name, s in found.items()}


def scores(model: Surrogate, rows: Sequence[Row], below: float | None = None) -> dict[str, float]:
    """Returns how well a model predicts trials.

    `accuracy`: the share whose success or failure is right. Of the trials that succeeded: `spearman`, the rank
    correlation of the value; `error`, the median absolute error; the same two of those under `below`.
    `seconds_error` and `failed_seconds_error`: the median relative error of durations of successes and failures.
    """
    many = model.predict_many([row.params for row in rows])
    complete = np.array([row.complete for row in rows], dtype=bool)
    value = np.array([np.nan if row.value is None else row.value for row in rows])
    out = {"accuracy": float((many.failed == ~complete).mean())}
    parts = {"": complete}
    if below is not None:
        parts["_below"] = complete & (value < below)
    for suffix, part in parts.items():
        out[f"spearman{suffix}"] = _rank_correlation(many.value[part], value[part])
        out[f"error{suffix}"] = float(np.median(np.abs(many.value[part] - value[part]))) if part.any() else np.nan
    seconds = np.array([np.nan if row.seconds is None else row.seconds for row in rows])
    relative = np.abs(many.seconds / seconds - 1)
    for prefix, part in (("", complete & ~many.failed), ("failed_", ~complete & many.failed)):
        timed = relative[part & np.isfinite(relative)]
        out[f"{prefix}seconds_error"] = float(np.median(timed)) if len(timed) else np.nan
    return out


def _rank_correlation(a: Array, b: Array) -> float:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b)[0])


def _identical(rows: Sequence[Row]) -> Array:
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(tuple(sorted(row.params.items())), len(numbers)) for row in rows])


def _regions(rows: Sequence[Row], space: SearchSpace, rng: np.random.Generator) -> Array:
    from scipy.cluster.vq import kmeans2

    points = np.array([space.encode(space.complete(row.params)) for row in rows])
    points[:, space.choice_mask] *= 0.5
    _, region = kmeans2(points, min(_REGIONS, len(rows) // 10 or 1), minit="++", rng=rng)
    return np.asarray(region)


def _parts(groups: Array, folds: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yields, per fold, which rows are held out; each group goes, in random order, to the smallest fold so far."""
    names, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    fold_of, filled = np.zeros(len(names), np.int64), np.zeros(folds, np.int64)
    for group in rng.permutation(len(names)):
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    for fold in range(folds):
        yield fold_of[index] == fold
