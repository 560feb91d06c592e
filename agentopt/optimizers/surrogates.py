"""What candidates are expected to be worth before they are run: by the model's word, or by a model-free stand-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from agentopt.llm.candidates import PREDICTED, read_predictions
from agentopt.llm.gateway import Gateway
from agentopt.llm.values import Question
from agentopt.optimizers.cell_sampler import Candidate, advice_of
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.wording import PromptStyle, prompt_variables, row_of, trial_lines
from agentopt.prompts import render
from agentopt.protocols import Problem
from agentopt.trial import Trial

SurrogateName: TypeAlias = Literal["reply", "llm", "labels", "neighbours", "none"]
"""`reply`: predictions come with the candidates; `llm`: in further calls; `labels`: there, as the probability of being
among the best; `neighbours`: the mean of the nearest trials; `none`: nothing is predicted."""
LEAST_SPREAD = 1e-5
"""The smallest standard deviation of predictions (LLAMBO's code)."""
GOOD_SHARE = 0.2
"""The share of trials that counts as the best, for `labels` (the port of LLAMBO to OptunaHub)."""
_NEAREST = 5
_LARGEST = 1e100
"""Predictions beyond it are taken to be it: their mean must be a number."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The losses that are expected of a candidate, one for each objective, and how far samples of them spread."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]


class Surrogate(Protocol):
    """Predicts the losses of candidates."""

    def predict(self, candidates: Sequence[Candidate], seen: Seen) -> tuple[list[Prediction | None], tuple[int, ...]]:
        """Returns a prediction for each candidate, or None, and the exchanges with the model that it took."""


class NoSurrogate:
    """Predicts nothing."""

    def predict(self, candidates: Sequence[Candidate], seen: Seen) -> tuple[list[Prediction | None], tuple[int, ...]]:
        """Returns no prediction."""
        return [None] * len(candidates), ()


class ReplySurrogate:
    """Takes the model's word: what it predicted together with its candidates."""

    def predict(self, candidates: Sequence[Candidate], seen: Seen) -> tuple[list[Prediction | None], tuple[int, ...]]:
        """Returns the predictions that came with the candidates."""
        found = [
            None if c.predicted is None else Prediction(c.predicted, (0.0,) * len(c.predicted)) for c in candidates
        ]
        return found, ()


class NeighbourSurrogate:
    """The weighted mean of the five nearest trials: what a prediction without a model looks like.

    Weights are inverse distances, near is meant as in `Seen.distances`; the spread is the weighted deviation.
    """

    def predict(self, candidates: Sequence[Candidate], seen: Seen) -> tuple[list[Prediction | None], tuple[int, ...]]:
        """Returns predictions from the complete trials; none where there is no such trial."""
        complete = np.array([trial.complete for trial in seen.trials], dtype=bool)
        if not complete.any():
            return [None] * len(candidates), ()
        values = np.clip([trial.values for trial in seen.trials if trial.complete], -_LARGEST, _LARGEST)
        found: list[Prediction | None] = []
        for candidate in candidates:
            apart = seen.distances(candidate.params)[complete]
            nearest = np.argsort(apart, kind="stable")[:_NEAREST]
            weights = 1.0 / (apart[nearest] + 1e-9)
            weights /= weights.sum()
            mean = weights @ values[nearest]
            spread = np.sqrt(weights @ (values[nearest] - mean) ** 2)
            found.append(Prediction(tuple(mean.tolist()), tuple(spread.tolist())))
        return found, ()


class LlmSurrogate:
    """Asks a language model, the examples in another order for each sample (LLAMBO, arXiv 2402.03921, section 5)."""

    def __init__(
        self,
        problem: Problem,
        gateway: Gateway,
        style: PromptStyle,
        rng: np.random.Generator,
        *,
        samples: int,
        together: int,
        labels: bool = False,
    ) -> None:
        """`samples`: how often each candidate is predicted; `together`: candidates in one prompt.

        With `labels` the model is asked for the probability that a candidate is among the best fifth of all, examples
        are labelled so, failed trials are left out, and the prediction is one minus that probability.
        """
        self._problem, self._gateway, self._style, self._rng = problem, gateway, style, rng
        self._samples, self._together, self._labels = samples, together, labels
        self._outputs = 1 if labels else len(problem.objectives)

    def predict(self, candidates: Sequence[Candidate], seen: Seen) -> tuple[list[Prediction | None], tuple[int, ...]]:
        """Returns mean and spread over the samples; what a reply lacks is taken from the others, for the mean."""
        shared = prompt_variables(self._problem, self._style, seen, {}, advice_of(self._problem, seen))
        together, every = self._together, range(len(candidates))
        plan = [
            (group, self._question([candidates[i] for i in group], seen, shared))
            for group in (every[i : i + together] for i in every[::together])
            for _ in range(self._samples)
        ]
        samples: list[list[tuple[float, ...]]] = [[] for _ in candidates]
        calls: list[int] = []
        for (group, _), reply in zip(plan, self._gateway.ask_all([question for _, question in plan]), strict=True):
            calls += reply.calls
            for i, values in zip(group, reply.value or (), strict=False):
                samples[i].append(self._losses(values))
        return [_summary(found) for found in samples], tuple(calls)

    def _question(
        self, candidates: Sequence[Candidate], seen: Seen, shared: Mapping[str, Any]
    ) -> Question[tuple[tuple[float, ...], ...]]:
        problem, style = self._problem, self._style
        examples = self._examples(seen)
        shuffled = [examples[i] for i in self._rng.permutation(len(examples))]
        variables = {
            **shared,
            "examples": shuffled,
            "asked": [row_of(problem.space, style, c.params) for c in candidates],
            "outputs": self._outputs,
            "labels": f"{GOOD_SHARE:.0%}" if self._labels else "",
        }
        count, outputs = len(candidates), self._outputs
        view = {
            "task": problem.task,
            "space": problem.space,
            "objectives": problem.objectives,
            "trials": tuple(seen.trials),
            "predict": tuple(c.params for c in candidates),
        }
        return Question(
            render(style.template, variables),
            lambda text: read_predictions(text, count, outputs),
            _schema(count, outputs),
            view,
        )

    def _examples(self, seen: Seen) -> list[dict[str, str]]:
        shown: list[Trial] = [t for t in seen.trials if t.complete or self._style.failures][-self._style.recent :]
        if not self._labels:
            return trial_lines(self._problem, self._style, shown)
        shown = [trial for trial in shown if trial.complete]
        values = [trial.value for trial in shown]
        edge = float(np.quantile(values, GOOD_SHARE, method="lower")) if values else 0.0
        lines = trial_lines(self._problem, self._style, shown)
        return [{**line, "result": str(int(value <= edge))} for line, value in zip(lines, values, strict=True)]

    def _losses(self, values: tuple[float, ...]) -> tuple[float, ...]:
        if self._labels:
            return (1.0 - min(1.0, max(0.0, values[0])),)
        values = tuple(min(_LARGEST, max(-_LARGEST, value)) for value in values)
        return tuple(o.loss(value) for o, value in zip(self._problem.objectives, values, strict=True))


def _schema(count: int, outputs: int) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "number"}
    item = number if outputs == 1 else {"type": "array", "items": number, "minItems": outputs, "maxItems": outputs}
    return {
        "type": "object",
        "properties": {PREDICTED: {"type": "array", "items": item, "minItems": count, "maxItems": count}},
        "required": [PREDICTED],
        "additionalProperties": False,
    }


def _summary(samples: Sequence[tuple[float, ...]]) -> Prediction | None:
    if not samples:
        return None
    table = np.array(samples)
    spread = table.std(axis=0) if len(samples) > 1 else np.zeros(table.shape[1])
    return Prediction(tuple(table.mean(axis=0).tolist()), tuple(spread.tolist()))


def make_surrogate(
    name: SurrogateName,
    problem: Problem,
    gateway: Gateway | None,
    style: PromptStyle,
    rng: np.random.Generator,
    *,
    samples: int,
    together: int,
) -> Surrogate:
    """Returns the surrogate of a name."""
    if name in ("llm", "labels"):
        assert gateway is not None
        return LlmSurrogate(problem, gateway, style, rng, samples=samples, together=together, labels=name == "labels")
    if name == "neighbours":
        return NeighbourSurrogate()
    return ReplySurrogate() if name == "reply" else NoSurrogate()
