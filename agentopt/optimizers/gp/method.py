"""The method `gp`: a Gaussian process over mixed spaces, its first trials, and what a belief adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.llm.gateway import Gateway
from agentopt.optimizers import MethodOptions
from agentopt.optimizers.gp.belief import Belief, consensus
from agentopt.optimizers.gp.candidates import promising
from agentopt.optimizers.gp.kernel import Vector
from agentopt.optimizers.gp.model import Model, Observations
from agentopt.optimizers.gp.opening import MOVE, WIDTH, Opening
from agentopt.optimizers.gp.rows import Rows, RowSpace
from agentopt.optimizers.gp.words import learned
from agentopt.optimizers.sampler import SamplerName, make_sampler
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.wording import PromptStyle
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Params, Suggestion, Trial

LEAST = 3
"""Complete trials that a process needs."""
_WHOSE = {
    "model": "What the model expects to work",
    "uniform": "The uniform prior",
    "default": "The neighbourhood of the default configuration",
}
_TRIES = 50
_GOOD = 0.1
"""The share of the trials that steps go out from."""
_OTHERS = 100
"""Uniform rows that those of a belief are compared with."""
_DIGITS = 12
"""The decimals of a coordinate by which rows are told apart."""
_FAINT = 0.01
"""An exponent of a belief below which it is left alone."""


class GpOptions(MethodOptions):
    """The options of the Gaussian process."""

    with_model: ClassVar[Mapping[str, Any]] = {"prior": "model"}

    initial: int = Field(6, ge=1, description="Trials before a process is fitted, the task's default not counted.")
    prior: Literal["default", "model", "uniform", "none"] = Field(
        "default",
        description="What is believed about good configurations before the first trial: default, the task's default"
        " configuration where it has one; model, what a language model expects to work, asked once; uniform, as many"
        " uniform draws (the twin of the model without a model); none. A belief whose trials are no better than uniform"
        " ones is dropped. Where a model is named and nothing else: model.",
    )
    replies: int = Field(
        16, ge=1, description="How many configurations the model is asked for; what they agree on is tried first."
    )
    strength: float = Field(
        20.0,
        gt=0,
        description="The density of what is believed multiplies the promise of a configuration with an exponent of"
        " strength / trials, times how far the belief has proved right.",
    )
    plain: float = Field(
        0.05,
        ge=0,
        le=1,
        description="The share of trials that are a plain step from the best one, whatever the process says.",
    )
    prompt: str = Field("gp/prior", description="The prompt file under prompts/, without its ending.")
    reply: Literal["array", "object"] = Field(
        "object", description="The form of configurations in the reply: values in order, or by name."
    )

    @property
    def needs_model(self) -> bool:
        """Whether a language model is asked."""
        return self.prior == "model"


class Gp:
    """Asks for the configuration with the highest expected improvement under a process that is fitted at each ask."""

    summary: ClassVar[str] = (
        "Gaussian process in numpy: mixed kernel, learned warp, a model of failures; a language model may say what it"
        " expects to work."
    )
    Options = GpOptions

    def __init__(
        self, problem: Problem, options: GpOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        self._problem, self._options, self._rng, self._gateway = problem, options, rng, gateway
        self._space = RowSpace(problem.space)
        self._model = Model(self._space.choices, rng)
        self._data = Observations(len(problem.space), problem.objectives)
        self._opening = Opening(self._space, options.initial, rng)
        self._seen: set[tuple[float, ...]] = set()
        self._answers = self._space.rows([])
        """What was answered when the belief was asked for, what the answers agree on first, shape (k, d)."""
        self._pending: dict[int, Rows] = {}
        self._supposed = 0
        self._fitted = -1
        self._asked = 0
        self._foreign = 0
        """Trials that others asked for, the task's default not counted."""
        self._note: dict[str, Json] | None = None
        """What came of asking for the belief; None: it was not asked for yet."""
        self._promise: Callable[[Rows], Vector] | None = None
        """What the last suggestion has the most of; None: it is none of the process's."""

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` configurations; those that are being evaluated are taken for done as predicted."""
        return [self._next() for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Takes a finished trial, its own or a foreign one."""
        self._seen.add(self._identity(trial.params))
        self._data.add(self._space.row(trial.params), trial.values)
        if trial.token is not None:
            self._pending.pop(trial.token, None)
        elif trial.origin is not Origin.BASELINE:
            self._foreign += 1
        self._opening.learn(trial.token, trial.value)

    def promise(self, params: Params) -> float | None:
        """Returns the log of what a configuration promises by what led to the last suggestion.

        None where that is none of the process's: one of the first trials, or a plain step.
        """
        if self._promise is None:
            return None
        return float(self._promise(self._space.row(self._problem.repair(params))[None])[0])

    def replace(self, suggestion: Suggestion, params: Params) -> None:
        """Takes note that a configuration is evaluated in place of a suggestion, which it may make again."""
        assert suggestion.token is not None
        self._seen.discard(self._identity(suggestion.params))
        self._seen.add(self._identity(params))
        self._pending[suggestion.token] = self._space.row(self._problem.repair(params))

    def explain(self) -> Mapping[str, Json]:
        """Returns what the process has learned, in the user's units, and how far the belief has proved right."""
        state: dict[str, Json] = {
            "trials": self._data.count,
            "phase": "first trials" if self._fitted < 0 else "process",
        }
        belief = self._opening.belief
        if belief is not None:
            state["belief"] = {"better_than_uniform": round(belief.better, 3), "trust": round(belief.trust, 3)}
            state["in_words"] = belief.in_words(_WHOSE[self._options.prior if len(self._answers) else "default"])
        if self._fitted < 0:
            return state
        return {**state, **learned(self._problem, self._space, self._model, self._data.count)}

    def _next(self) -> Suggestion:
        note: dict[str, Json] = {}
        if self._note is None:
            self._note = note = self._believe()
        self._promise = None
        token, self._asked = self._asked, self._asked + 1
        losses = self._data.losses(self._weights())
        if token + self._foreign < self._options.initial or np.isfinite(losses).sum() < LEAST:
            rows, kind = self._opening.rows()
            row = self._new(rows)
            self._opening.out(token, kind)
            origin = self._origin(row) if kind == "belief" else Origin.RANDOM
        else:
            row, origin = self._searched(losses)
        self._pending[token] = row
        params = self._space.params(row)
        self._seen.add(self._identity(params))
        return Suggestion(params, origin, token, note)

    def _origin(self, row: Rows) -> Origin:
        """Returns who proposed a row of the belief: an answer's is the model's, a step around one is not."""
        asked = {"model": Origin.LLM, "uniform": Origin.CONTROL}.get(self._options.prior)
        if asked is not None and (self._answers == row).all(axis=1).any():
            return asked
        return Origin.FALLBACK if asked is Origin.LLM and not len(self._answers) else Origin.LOCAL

    def _believe(self) -> dict[str, Json]:
        """Asks for what is believed, and returns what came of it."""
        options, default = self._options, self._problem.space.defaults()
        rows = [] if default is None or options.prior == "none" else [self._space.row(default)]
        note: dict[str, Json] = {}
        if options.prior in ("model", "uniform"):
            name: SamplerName = "llm" if options.prior == "model" else "uniform"
            style = PromptStyle(options.prompt, options.reply, 1, 1)
            sampler = make_sampler(name, self._problem, self._rng.spawn(1)[0], self._gateway, style)
            advice = default or self._space.params(self._space.draw(1, self._rng)[0])
            proposals = sampler.propose(Seen(self._problem), {"default": default is not None}, advice, options.replies)
            answers = [self._space.row(p.params) for p in proposals if p.params is not None]
            if answers:
                self._answers = np.array([consensus(self._space, np.array(answers)), *answers])
                rows = [*self._answers, *rows]
            calls = sorted({call for p in proposals for call in p.note.get("calls", ())})
            reasons = [p.reason for p in proposals if p.params is None]
            note = ({"calls": calls} if calls else {}) | (
                {"reason": reasons[0], "lost": len(reasons)} if reasons else {}
            )
        if rows:
            self._opening.believe(Belief(self._space, np.array(rows), options.strength))
        return note

    def _searched(self, losses: Vector) -> tuple[Rows, Origin]:
        order = np.argsort(losses, kind="stable")
        rows = self._data.rows
        if self._rng.random() < self._options.plain:
            best = np.repeat(rows[order[:1]], _TRIES, 0)
            return self._new(self._space.steps(best, self._rng, move=MOVE, width=WIDTH)), Origin.LOCAL
        self._fit(losses)
        good = order[: max(LEAST, int(_GOOD * np.isfinite(losses).sum()))]
        belief = self._opening.belief
        exponent = 0.0 if belief is None else belief.exponent(self._data.count) * self._standing(belief)
        self._promise, believed = self._model.promise, rows[:0]
        if belief is not None and exponent >= _FAINT:
            self._promise, believed = self._believed(belief, exponent), belief.rows
        found, _ = promising(self._space, rows[good], believed, self._promise, self._rng)
        return self._new(found), Origin.GP

    def _believed(self, belief: Belief, exponent: float) -> Callable[[Rows], Vector]:
        """Returns the promise times the density around what is believed, to that exponent; both in logs."""

        def promise(rows: Rows) -> Vector:
            return self._model.promise(rows) + exponent * belief.log_density(rows)

        return promise

    def _standing(self, belief: Belief) -> float:
        """Returns how far the process agrees: from 0, the belief's rows are predicted no better than others, to 1."""
        own = self._model.ranked(belief.rows)
        others = np.sort(self._model.ranked(self._space.draw(_OTHERS, self._rng)))
        better = 1 - np.searchsorted(others, own).mean() / _OTHERS
        return max(0.0, 2 * float(better) - 1)

    def _fit(self, losses: Vector) -> None:
        """Fits the process to what was told since, and supposes what is being evaluated."""
        if self._fitted != self._data.count or len(self._problem.objectives) > 1:
            self._model.fit(self._data.rows, losses)
            self._fitted, self._supposed = self._data.count, 0
        pending = list(self._pending.values())
        if len(pending) > self._supposed:
            self._model.suppose(np.array(pending[self._supposed :]))
            self._supposed = len(pending)

    def _weights(self) -> Vector:
        """Returns weights of the objectives, drawn anew at each ask where there are several (ParEGO, Knowles 2006)."""
        count = len(self._problem.objectives)
        return np.ones(1) if count == 1 else self._rng.dirichlet(np.ones(count))

    def _new(self, rows: Iterable[Rows]) -> Rows:
        """Returns the first row that is not what was run before, else a uniform one, new where that can be found."""
        for row in rows:
            if self._is_new(row):
                return row
        draws = self._space.draw(_TRIES, self._rng)
        return next((row for row in draws if self._is_new(row)), draws[0])

    def _is_new(self, row: Rows) -> bool:
        return self._identity(self._space.params(row)) not in self._seen

    def _identity(self, params: Params) -> tuple[float, ...]:
        """Returns what is alike for configurations that are run as one, the last digits of their numbers aside.

        A row is decoded to its numbers but for their last digits: it would be run again where these counted.
        """
        return tuple(np.round(self._space.row(self._problem.repair(params)), _DIGITS).tolist())
