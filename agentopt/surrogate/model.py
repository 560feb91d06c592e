"""A fitted surrogate: arrays and formulas in one file without pickle, and what they predict."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agentopt.errors import AgentoptError, UsageError
from agentopt.space import SearchSpace
from agentopt.surrogate.features import Features, Matrix
from agentopt.surrogate.trees import Array, Forest
from agentopt.trial import Json, Params, Status

VERSION = 1
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError, zipfile.BadZipFile)
_FOREST = ("roots", "feature", "step", "number")


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity as trees predict it: their sum is a normal score, which the points (`score`, `number`) translate.

    Between the points the translation is linear; beyond them it is constant, so no prediction leaves the fitted range.
    """

    forest: Forest
    score: Array
    number: Array

    def __call__(self, features: Matrix) -> Array:
        """Returns the quantity of each row of features."""
        return np.interp(self.forest.sum(features), self.score, self.number)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the surrogate expects of one configuration."""

    status: Status
    value: float | None
    """The objective; None unless the status is complete."""
    seconds: float
    """How long the evaluation lasts; NaN where no durations were fitted."""
    failure: float
    """The probability that the evaluation fails."""
    derived: Mapping[str, float]
    """The derived quantities by name."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the surrogate expects of many configurations: one array per quantity."""

    failed: Array
    value: Array
    """The objective if the evaluation succeeds, whether or not it is expected to."""
    seconds: Array
    failure: Array
    derived: Mapping[str, Array]


@dataclass(frozen=True)
class Surrogate:
    """A model of a task: whether an evaluation fails, its value, and how long it takes."""

    features: Features
    objective: str
    direction: str
    value: Curve
    failure: Forest | None
    """The log odds of a failure; None where no trial had failed."""
    seconds: Curve | None
    """Durations of evaluations that succeed."""
    failed_seconds: Curve | None
    """Durations of evaluations that fail."""
    failure_status: Status = Status.FAILED
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Where the trials come from, how the model was fitted, and how good it is."""

    def predict(self, params: Params) -> Prediction:
        """Returns what is expected of a configuration of the space."""
        many = self.predict_many([params])
        failed = bool(many.failed[0])
        return Prediction(
            status=self.failure_status if failed else Status.COMPLETE,
            value=None if failed else float(many.value[0]),
            seconds=float(many.seconds[0]),
            failure=float(many.failure[0]),
            derived={name: float(column[0]) for name, column in many.derived.items()},
        )

    def predict_many(self, configurations: Sequence[Params]) -> Predictions:
        """Returns what is expected of each configuration."""
        columns = self.features.columns(configurations)
        x = self.features.matrix(columns)
        odds = np.full(len(x), -math.inf) if self.failure is None else self.failure.sum(x)
        failed = odds > 0
        seconds = np.full(len(x), math.nan)
        for curve, rows in ((self.seconds, ~failed), (self.failed_seconds, failed)):
            if curve is not None and rows.any():
                seconds[rows] = curve(x[rows])
        derived = {name: columns[name] for name in self.features.derived}
        with np.errstate(over="ignore"):
            failure = 1 / (1 + np.exp(-odds))
        return Predictions(failed, self.value(x), seconds, failure, derived)

    def save(self, path: Path) -> None:
        """Writes the model to one `.npz` file; the same model gives the same bytes."""
        about = {
            "version": VERSION,
            "space": self.features.space.to_json(),
            "derived": dict(self.features.derived),
            "objective": self.objective,
            "direction": self.direction,
            "failure_status": self.failure_status.value,
            "facts": dict(self.facts),
        }
        arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about, allow_nan=False).encode(), np.uint8)}
        for name, curve in (("value", self.value), ("seconds", self.seconds), ("failed_seconds", self.failed_seconds)):
            if curve is not None:
                arrays |= {f"{name}.{key}": array for key, array in curve.forest.to_arrays().items()}
                arrays |= {f"{name}.score": curve.score, f"{name}.value": curve.number}
        if self.failure is not None:
            arrays |= {f"failure.{key}": array for key, array in self.failure.to_arrays().items()}
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @staticmethod
    def load(path: Path) -> Surrogate:
        """Returns the model that `save` wrote; raises UsageError for a file that is none."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays: dict[str, Array] = dict(file)
            about = json.loads(arrays["about"].tobytes())
            if about["version"] != VERSION:
                raise UsageError(f"{path} was written by another version of agentopt (format {about['version']}).")
            return _assemble(arrays, about)
        except AgentoptError:
            raise
        except FileNotFoundError as error:
            raise UsageError(f"There is no file {path}.") from error
        except _BROKEN as error:
            raise UsageError(f"{path} is not a surrogate: {type(error).__name__}: {error}.") from error


def _assemble(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Surrogate:
    def forest(name: str) -> Forest | None:
        return Forest.from_arrays({k: arrays[f"{name}.{k}"] for k in _FOREST}) if f"{name}.roots" in arrays else None

    def curve(name: str) -> Curve | None:
        trees = forest(name)
        return None if trees is None else Curve(trees, arrays[f"{name}.score"], arrays[f"{name}.value"])

    value = curve("value")
    if value is None:
        raise ValueError("it holds no model of the value")
    return Surrogate(
        features=Features(SearchSpace.from_json(about["space"]), about["derived"]),
        objective=about["objective"],
        direction=about["direction"],
        value=value,
        failure=forest("failure"),
        seconds=curve("seconds"),
        failed_seconds=curve("failed_seconds"),
        failure_status=Status(about["failure_status"]),
        facts=about["facts"],
    )
