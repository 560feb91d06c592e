"""The loop that HOLLM, MOHOLLM, LLAMBO and OPRO share: choose cells, ask for candidates, predict, run the best few."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from agentopt.errors import ModelUnavailable
from agentopt.llm.gateway import Gateway
from agentopt.llm.reply import Form
from agentopt.optimizers import MethodOptions
from agentopt.optimizers.cell_sampler import Candidate, CellSampler, CellSamplerName, Pool
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.surrogates import Prediction, Surrogate, SurrogateName, make_surrogate
from agentopt.optimizers.wording import PromptStyle
from agentopt.partition import Cell
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial, Value

_TRIES = 50
"""Draws for each place in a batch that the model left empty, inside the chosen cells and then anywhere."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The cells of one turn."""

    cells: tuple[Cell, ...]
    notes: tuple[Mapping[str, Json], ...]
    """What the journal keeps of each: its number, score and the like."""


class Chooser(Protocol):
    """Chooses the cells of a turn."""

    def choose(self, seen: Seen) -> Chosen:
        """Returns at least one cell."""

    def explain(self) -> Mapping[str, Json]:
        """Returns its state."""


class WholeSpace:
    """One cell that is the whole space: the method without its partition."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def choose(self, seen: Seen) -> Chosen:
        """Returns the whole space."""
        return Chosen((self._cell,), ({},))

    def explain(self) -> Mapping[str, Json]:
        """Returns nothing."""
        return {}


Ranking: TypeAlias = Callable[[Sequence[Prediction], Seen, int], Sequence[int]]
"""Takes predictions, the trials and how many are wanted; returns the positions of the best, best first."""


class CellOptions(MethodOptions):
    """The options that the methods of this kind share."""

    reply_tokens: ClassVar[int] = 2048

    initial: int = Field(5, ge=0, description="Uniform random trials first, the task's default not counted.")
    sampler: CellSamplerName = Field(
        "llm",
        description="Who proposes candidates: llm, or a model-free control: uniform draws, incumbent (Gaussian steps"
        " around the best trial of the cell).",
    )
    surrogate: SurrogateName = Field(
        "reply",
        description="What ranks the candidates: reply, the values that the model predicts with them; llm, further calls"
        " that predict; labels, further calls for the probability of being among the best fifth; or model-free:"
        " neighbours, the mean of the nearest trials; none, chance.",
    )
    samples: int = Field(1, ge=1, description="Predictions of each candidate, the examples in another order each time.")
    together: int = Field(10, ge=1, description="Candidates whose values one further call predicts.")
    fallback: Literal["uniform", "stop"] = Field(
        "uniform",
        description="Where fewer candidates can be used than are to be run: uniform draws in the chosen cells, tagged"
        " fallback, fill the batch up; stop: the run stops where no reply could be read (resumable).",
    )
    reply: Form = Field(
        "array", description="The form of configurations in prompts and replies: values in order, or by name."
    )
    recent: int = Field(20, ge=1, description="Recent trials shown.")
    stable: bool = Field(
        default=True,
        description="Shows up to twice as many recent trials, so that their first one moves only now and then and the"
        " server can reuse its work on the text that prompts share.",
    )
    best: int = Field(10, ge=1, description="Best trials shown.")
    failures: Literal["shown", "hidden"] = Field("shown", description="Whether prompts show failed trials.")
    names: Literal["own", "anonymous"] = Field(
        "own",
        description="anonymous: the prompt says x1, x2, ... for the parameters and nothing of what is tuned, as in the"
        " papers on HOLLM; needs reply=array.",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.names == "anonymous" and self.reply != "array":
            raise ValueError("names=anonymous needs reply=array: objects have the names in them")
        return self

    @property
    def needs_model(self) -> bool:
        """Whether candidates or predictions are a language model's."""
        return self.sampler == "llm" or self.surrogate in ("llm", "labels")

    def style(self, template: str) -> PromptStyle:
        """Returns what a prompt shows."""
        return PromptStyle(
            template,
            self.reply,
            self.recent,
            self.best,
            self.stable,
            anonymous=self.names == "anonymous",
            failures=self.failures == "shown",
        )


@dataclass(frozen=True)
class Parts:
    """What a method of this kind is made of."""

    chooser: Chooser
    sampler: CellSampler
    surrogate: Surrogate
    rank: Ranking
    wanted: int
    """Candidates for each cell, or for each reply where the sampler asks for several."""
    batch: int
    """How many candidates of a turn are run."""
    hints: Callable[[Seen], Mapping[str, Json]] = lambda _: {}
    """Further variables for the sampler's prompt."""
    first: Callable[[int, Seen], Pool] | None = None
    """Gives the initial trials, in place of uniform draws."""


class CellSearch:
    """Turns of a batch each: a turn begins when all trials of the one before it have ended."""

    def __init__(self, problem: Problem, options: CellOptions, rng: np.random.Generator, parts: Parts) -> None:
        self._problem, self._options, self._rng, self._parts = problem, options, rng, parts
        self._seen = Seen(problem)
        self._queue: list[tuple[Candidate, dict[str, Json]]] = []
        self._pending: set[int] = set()
        self._asked = self._turns = 0
        self._started = options.initial == 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns up to `n` suggestions; none while a new turn waits for trials, or when the space is exhausted."""
        made: list[Suggestion] = []
        while len(made) < n:
            if not self._queue:
                if self._pending or self._tried_all():
                    break
                self._queue = self._turn() if self._started else self._initial()
                self._started = True
                if not self._queue:
                    break
            candidate, note = self._queue.pop(0)
            self._pending.add(self._asked)
            made.append(Suggestion(candidate.params, candidate.origin, self._asked, note))
            self._asked += 1
        return made

    def tell(self, trial: Trial) -> None:
        """Adds the trial to the history."""
        self._seen.add(trial)
        if trial.token is not None:
            self._pending.discard(trial.token)

    def explain(self) -> Mapping[str, Json]:
        """Returns how far the search is, its incumbent, and how the cells were chosen."""
        best = self._seen.ranked()[:1]
        state: dict[str, Json] = {"trials": len(self._seen.trials), "turns": self._turns, "queued": len(self._queue)}
        return {**state, "incumbent": dict(best[0].params) if best else None, **self._parts.chooser.explain()}

    def _tried_all(self) -> bool:
        """Whether all configurations were tried; what repairs make of them is found out by drawing."""
        space, trials = self._problem.space, self._seen.trials
        size = math.prod(parameter.levels or math.inf for parameter in space.parameters)
        return size <= len(trials) and size <= len({space.key(trial.params) for trial in trials})

    def _initial(self) -> list[tuple[Candidate, dict[str, Json]]]:
        """Returns the initial trials."""
        count, first = self._options.initial, self._parts.first
        pool = Pool(()) if first is None else self._usable(first(count, self._seen))
        made = [(candidate, self._note(candidate, pool, {})) for candidate in pool.candidates[:count]]
        for candidate, _ in made:
            self._seen.take(candidate.params)
        origin, why = (Origin.RANDOM, {}) if first is None else (Origin.FALLBACK, {"turn": 0, "reason": _why(pool)})
        for _ in range(_TRIES * count):
            if len(made) == count:
                break
            params = self._problem.space.sample(self._rng)
            if not self._seen.knows(params):
                self._seen.take(params)
                made.append((Candidate(params, 0, origin), dict(why)))
        if made and first is not None:
            made[0][1]["pool"] = dict(pool.counts)
        return made

    def _usable(self, pool: Pool) -> Pool:
        """Returns the pool; raises ModelUnavailable for one without candidates where `fallback` is `stop`."""
        if not pool.candidates and self._options.fallback == "stop":
            raise ModelUnavailable(f"No candidate of the model could be used ({_why(pool)}), and fallback=stop.")
        return pool

    def _turn(self) -> list[tuple[Candidate, dict[str, Json]]]:
        """Returns the candidates that are to be run next, best first."""
        parts, batch = self._parts, self._parts.batch
        self._turns += 1
        chosen = parts.chooser.choose(self._seen)
        pool = self._usable(parts.sampler.candidates(chosen.cells, parts.wanted, self._seen, parts.hints(self._seen)))
        predictions, calls = parts.surrogate.predict(pool.candidates, self._seen)
        made = []
        for i in self._order(predictions, batch):
            candidate, prediction = pool.candidates[i], predictions[i]
            note = self._note(candidate, pool, chosen.notes[candidate.cell])
            if prediction is not None:
                note.update(self._shown(prediction))
            made.append((candidate, note))
            self._seen.take(candidate.params)
        made += self._filled(chosen, pool, batch - len(made))
        if made:
            made[0][1].update({"pool": dict(pool.counts), **({"predict_calls": list(calls)} if calls else {})})
        return made

    def _order(self, predictions: Sequence[Prediction | None], batch: int) -> list[int]:
        """Returns the positions of the candidates to be run: the best of those with a prediction, then any others."""
        known = [i for i, prediction in enumerate(predictions) if prediction is not None]
        found = [p for p in predictions if p is not None]
        best = [known[k] for k in self._parts.rank(found, self._seen, batch)] if known else []
        others = [i for i in range(len(predictions)) if predictions[i] is None]
        return [*best, *self._rng.permutation(np.array(others, dtype=int)).tolist()][:batch]

    def _filled(self, chosen: Chosen, pool: Pool, missing: int) -> list[tuple[Candidate, dict[str, Json]]]:
        """Returns draws for the places that no candidate fills: inside the cells by turns, then anywhere."""
        made: list[tuple[Candidate, dict[str, Json]]] = []
        for attempt in range(2 * _TRIES * missing):
            if len(made) == missing:
                break
            number = attempt % len(chosen.cells)
            params, note = self._draw(chosen, number, anywhere=attempt >= _TRIES * missing)
            if not self._seen.knows(params):
                self._seen.take(params)
                made.append((Candidate(params, number, Origin.FALLBACK), {**note, "reason": _why(pool)}))
        return made

    def _draw(self, chosen: Chosen, number: int, *, anywhere: bool) -> tuple[dict[str, Value], dict[str, Json]]:
        if anywhere:
            return self._problem.space.sample(self._rng), {"turn": self._turns}
        params = self._problem.space.repair(chosen.cells[number].sample(self._rng, 1)[0])
        return params, {"turn": self._turns, **chosen.notes[number]}

    def _note(self, candidate: Candidate, pool: Pool, of_cell: Mapping[str, Json]) -> dict[str, Json]:
        note: dict[str, Json] = {"turn": self._turns, **of_cell}
        calls = pool.calls.get(candidate.cell, ())
        return {**note, "calls": list(calls)} if calls else note

    def _shown(self, prediction: Prediction) -> dict[str, Json]:
        """Returns a prediction in the task's units; for labels the probability of being among the best."""
        if self._options.surrogate == "labels":
            return {"probability": 1.0 - prediction.mean[0]}
        values = [o.loss(v) for o, v in zip(self._problem.objectives, prediction.mean, strict=True)]
        return {"predicted": values[0] if len(values) == 1 else values}


def _why(pool: Pool) -> str:
    """Returns the main reason why a batch could not be filled with candidates."""
    return max(pool.reasons, key=lambda reason: pool.reasons[reason]) if pool.reasons else "too few candidates"


def surrogate_of(
    options: CellOptions, problem: Problem, rng: np.random.Generator, gateway: Gateway | None
) -> Surrogate:
    """Returns the surrogate that the options name."""
    style = options.style("llambo/predict")
    return make_surrogate(
        options.surrogate, problem, gateway, style, rng, samples=options.samples, together=options.together
    )
