"""Fits a surrogate on past trials: boosted trees for failures, values and durations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from agentopt.errors import UsageError, unknown
from agentopt.space import SearchSpace
from agentopt.surrogate.features import Features, Matrix
from agentopt.surrogate.model import Curve, Surrogate
from agentopt.surrogate.rows import Row, Source
from agentopt.surrogate.trees import Array, Forest, Tree
from agentopt.trial import Json, Status

FEWEST = 20
"""How many complete trials a fit needs."""
_POINTS = 513
"""How many points describe the distribution of a quantity at most."""


@dataclass(frozen=True, slots=True)
class Boosting:
    """The settings of the boosted trees of the value; failures and durations use fewer and smaller ones."""

    trees: int = 400
    depth: int = 6
    learning_rate: float = 0.05
    subsample: float = 0.5
    """The share of the trials that each tree sees."""
    features: float = 0.3
    """The share of the features that each split looks at."""
    leaf: int = 4
    """The fewest trials in a leaf."""
    members: int = 2
    """How many such models, of different seeds, are averaged."""


def fit_surrogate(
    source: Source,
    *,
    space: SearchSpace | None = None,
    derived: Mapping[str, str] | None = None,
    failure_features: Sequence[str] | None = None,
    seed: int = 0,
    boosting: Boosting | None = None,
    facts: Mapping[str, Json] | None = None,
) -> Surrogate:
    """Returns a surrogate of the trials of `source`, over its own space or the given one.

    `derived` are formulas of further features (see `Features`). `failure_features` names the features that failures may
    depend on, where that is known; by default all.
    """
    if find_spec("sklearn") is None:
        raise UsageError("Fitting a surrogate needs scikit-learn: pip install 'agentopt[tasks]'")
    space = space or source.space
    if space is None:
        raise UsageError("A file of trials does not say what the parameters are: give the space.")
    boosting = boosting or Boosting()
    rows = [_checked(row, space, i) for i, row in enumerate(source.rows)]
    complete = np.array([row.complete for row in rows], dtype=bool)
    if complete.sum() < FEWEST:
        raise UsageError(f"A surrogate needs {FEWEST} complete trials or more, not {complete.sum()}.")
    features = Features(space, dict(derived or {}))
    x = features.matrix(features.columns([row.params for row in rows]))
    y = np.array([row.value for row in rows if row.value is not None])
    how = {"boosting": asdict(boosting), "seed": seed, "trials": len(rows), "complete": int(complete.sum())}
    return Surrogate(
        features=features,
        objective=source.objective,
        direction=source.direction,
        value=_fit_curve(x[complete], y, boosting, seed),
        failure=_fit_failure(x, ~complete, _positions(features.names, failure_features), seed),
        seconds=_fit_seconds(x, rows, complete, seed),
        failed_seconds=_fit_seconds(x, rows, ~complete, seed),
        failure_status=_usual_failure(rows),
        facts={**(facts or {}), "fit": how},
    )


def _checked(row: Row, space: SearchSpace, number: int) -> Row:
    try:
        return Row(space.complete(row.params), row.status, row.value, row.seconds)
    except UsageError as error:
        raise UsageError(f"Trial {number}: {error}") from error


def _usual_failure(rows: Sequence[Row]) -> Status:
    counts = Counter(row.status for row in rows if not row.complete)
    return counts.most_common(1)[0][0] if counts else Status.FAILED


def _fit_curve(x: Matrix, y: Array, boosting: Boosting, seed: int) -> Curve:
    """Fits the normal scores of the ranks of y: a heavy tail weighs no more than the region near the optimum."""
    from sklearn.ensemble import GradientBoostingRegressor

    score = norm.ppf((rankdata(y) - 0.5) / len(y))
    trees: list[Tree] = []
    for member in range(boosting.members):
        model = GradientBoostingRegressor(
            n_estimators=boosting.trees,
            max_depth=boosting.depth,
            learning_rate=boosting.learning_rate,
            subsample=boosting.subsample,
            max_features=boosting.features,
            min_samples_leaf=boosting.leaf,
            init="zero",
            random_state=seed + member,
        ).fit(x, score)
        trees.extend(exported_trees(model))
    points, index = np.unique(score, return_index=True)
    if len(points) > _POINTS:
        kept = np.unique(np.linspace(0, len(points) - 1, _POINTS).round().astype(int))
        points, index = points[kept], index[kept]
    return Curve(Forest.of(trees, boosting.learning_rate / boosting.members), points, y[index])


def _positions(names: Sequence[str], chosen: Sequence[str] | None) -> Array:
    for name in chosen or ():
        if name not in names:
            raise unknown("feature", name, names)
    return np.array([i for i, name in enumerate(names) if chosen is None or name in chosen], dtype=np.int64)


def _fit_failure(x: Matrix, failed: Array, used: Array, seed: int) -> Forest | None:
    from sklearn.ensemble import GradientBoostingClassifier

    if not failed.any():
        return None
    rate = 0.1
    model = GradientBoostingClassifier(
        n_estimators=200,
        max_depth=4,
        learning_rate=rate,
        subsample=0.7,
        max_features=0.5,
        min_samples_leaf=3,
        init="zero",
        random_state=seed,
    ).fit(x[:, used], failed)
    trees = [replace(tree, feature=np.where(tree.left < 0, 0, used[tree.feature])) for tree in exported_trees(model)]
    return Forest.of(trees, rate)


def _fit_seconds(x: Matrix, rows: Sequence[Row], chosen: Array, seed: int) -> Curve | None:
    """Fits the durations of the chosen trials; None where fewer than `FEWEST` of them have one."""
    timed = np.array([row.seconds is not None for row in rows], dtype=bool) & chosen
    if timed.sum() < FEWEST:
        return None
    seconds = np.array([row.seconds for row, use in zip(rows, timed, strict=True) if use], dtype=np.float64)
    small = Boosting(trees=100, depth=4, learning_rate=0.1, leaf=10, members=1)
    return _fit_curve(x[timed], seconds, small, seed)


def exported_trees(model: Any) -> list[Tree]:
    """Returns the trees of a fitted scikit-learn gradient boosting model, in order."""
    trees = []
    for stage in model.estimators_:
        tree = stage[0].tree_
        left, right = tree.children_left, tree.children_right
        trees.append(Tree(tree.feature, tree.threshold, left, right, tree.value[:, 0, 0]))
    return trees
