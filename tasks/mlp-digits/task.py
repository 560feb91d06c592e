"""A small neural network on scikit-learn's digits: 7 parameters of every kind, noisy by its initial weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from agentopt.errors import UsageError
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.task import FunctionTask

BEST_KNOWN = 0.0432972454488004
"""The lowest of 2,000 evaluations (CMA-ES and TPE); bench/best_known.py finds it again."""
MEDIAN = 0.32881979133130723
"""Of 1001 uniform points, by the same script."""
EPOCHS = 20
DESCRIPTION = (
    "Hyperparameters of a multi-layer perceptron (scikit-learn's MLPClassifier, Adam) that learns 8x8 images of"
    f" handwritten digits for {EPOCHS} epochs: 1347 rows, 64 features, 10 classes. The value is the log loss on 450"
    " held-out rows."
)
SPACE = SearchSpace(
    (
        Int("layers", 1, 3, default=1),
        Int("width", 8, 128, log=True, default=100),
        Choice("activation", ("relu", "tanh", "logistic"), default="relu"),
        Float("learning_rate", 1e-4, 1e-1, log=True, default=1e-3),
        Int("batch_size", 32, 512, log=True, default=200),
        Float("alpha", 1e-7, 1e-1, log=True, default=1e-4),
        Float("beta1", 0.5, 0.99, default=0.9),
    )
)
"""The defaults are scikit-learn's."""


@cache
def data() -> tuple[Any, Any, Any, Any]:
    """Returns the rows to learn from, the rows held out, and the labels of both."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x / 16.0, y, test_size=450, stratify=y, random_state=0)
    return x_train, x_test, y_train, y_test


def log_loss(params: Mapping[str, Any], seed: int = 0) -> dict[str, float]:
    """Returns the held-out log loss and accuracy; `seed` sets the initial weights and the order of the batches."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import log_loss as score
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    x_train, x_test, y_train, y_test = data()
    model = MLPClassifier(
        hidden_layer_sizes=(params["width"],) * params["layers"],
        activation=params["activation"],
        learning_rate_init=params["learning_rate"],
        batch_size=params["batch_size"],
        alpha=params["alpha"],
        beta_1=params["beta1"],
        max_iter=EPOCHS,
        random_state=seed,
    )
    # One thread: sums are taken in the same order on every machine, and small matrices are faster that way.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        shares = model.fit(x_train, y_train).predict_proba(x_test)
    return {"value": score(y_test, shares), "accuracy": float((shares.argmax(axis=1) == y_test).mean())}


def make() -> FunctionTask:
    """Returns the task, if scikit-learn is there."""
    if find_spec("sklearn") is None:
        raise UsageError("Task mlp-digits needs scikit-learn: pip install 'agentopt[tasks]'")
    return FunctionTask(
        name="mlp-digits",
        space=SPACE,
        function=log_loss,
        description=DESCRIPTION,
        isolation="process",
        timeout=120.0,
        best_known=BEST_KNOWN,
        median=MEDIAN,
        facts={
            "best known": "the lowest of 2,000 evaluations by CMA-ES and TPE (bench/best_known.py)",
            "median": "of 1001 uniform points",
            "data": "sklearn.datasets.load_digits, 1797 x 64, comes with scikit-learn (CC BY 4.0)",
        },
    )
