"""A support vector machine with an RBF kernel on scikit-learn's breast cancer data: 4 parameters, no noise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from agentopt.errors import UsageError
from agentopt.space import Choice, Float, SearchSpace
from agentopt.task import FunctionTask

BEST_KNOWN = 0.06149404971500331
"""The lowest of 2,000 evaluations (CMA-ES and TPE); bench/best_known.py finds it again."""
MEDIAN = 0.4717280969979993
"""Of 1001 uniform points, by the same script."""
DESCRIPTION = (
    "Hyperparameters of a support vector classifier (scikit-learn's SVC, RBF kernel) on the Wisconsin breast cancer"
    " data: 569 rows, 30 standardised features, 2 classes. The value is the mean hinge loss over 5 folds."
)
SPACE = SearchSpace(
    (
        Float("C", 1e-3, 1e4, log=True, default=1.0),
        Float("gamma", 1e-6, 10.0, log=True, default=1 / 30),
        Choice("class_weight", ("none", "balanced"), default="none"),
        Float("tol", 1e-5, 1e-1, log=True, default=1e-3),
    )
)
"""The defaults are scikit-learn's: gamma="scale" is 1 / 30 on 30 standardised features."""


@cache
def folds() -> list[tuple[Any, Any, Any, Any]]:
    """Returns each fold's training rows and labels, and its held-out ones, standardised by the training rows."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    x, y = load_breast_cancer(return_X_y=True)
    out = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
        scaler = StandardScaler().fit(x[train])
        out.append((scaler.transform(x[train]), y[train], scaler.transform(x[test]), y[test]))
    return out


def hinge(params: Mapping[str, Any]) -> dict[str, float]:
    """Returns the mean hinge loss and the mean accuracy on the held-out folds."""
    from sklearn.metrics import hinge_loss
    from sklearn.svm import SVC

    losses, hits = [], []
    weight = None if params["class_weight"] == "none" else "balanced"
    for x_train, y_train, x_test, y_test in folds():
        model = SVC(C=params["C"], gamma=params["gamma"], class_weight=weight, tol=params["tol"])
        margins = model.fit(x_train, y_train).decision_function(x_test)
        losses.append(hinge_loss(y_test, margins))
        hits.append(((margins > 0) == y_test).mean())
    return {"value": sum(losses) / len(losses), "accuracy": sum(hits) / len(hits)}


def make() -> FunctionTask:
    """Returns the task, if scikit-learn is there."""
    if find_spec("sklearn") is None:
        raise UsageError("Task svm-breast-cancer needs scikit-learn: pip install 'agentopt[tasks]'")
    return FunctionTask(
        name="svm-breast-cancer",
        space=SPACE,
        function=hinge,
        description=DESCRIPTION,
        isolation="process",
        timeout=60.0,
        best_known=BEST_KNOWN,
        median=MEDIAN,
        facts={
            "best known": "the lowest of 2,000 evaluations by CMA-ES and TPE (bench/best_known.py)",
            "median": "of 1001 uniform points",
            "data": "sklearn.datasets.load_breast_cancer, 569 x 30, comes with scikit-learn (CC BY 4.0)",
        },
    )
