"""Candidates inside cells of the search space: a language model is asked about all cells at once, or a stand-in draws.

What a reply holds is accepted where it lies in its cell and is new; what is refused is counted, never asked for again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from agentopt.llm.candidates import Draft, candidates_schema, read_candidates
from agentopt.llm.gateway import Gateway
from agentopt.llm.values import Question, Read, ReplyError
from agentopt.optimizers.local import incumbent_step
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.wording import PromptStyle, parameter_names, prompt_variables, trial_lines
from agentopt.partition import Cell
from agentopt.prompts import render
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Params, Trial, Value

CellSamplerName: TypeAlias = Literal["llm", "uniform", "incumbent"]
_TRIES = 50
_INSIDE = 10
"""The most trials of a cell that its prompt shows."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration that may be run: it lies in its cell, satisfies the space's repairs, and what is run is new."""

    params: dict[str, Value]
    cell: int
    """The number of its cell among those that were asked about."""
    origin: Origin
    predicted: tuple[float, ...] | None = None
    """The losses that the model expects, one for each objective; None where it said none."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one turn, and what became of what was asked for."""

    candidates: tuple[Candidate, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    """`asked`, `accepted`, `outside` (of the cell), `duplicate`, `missing` (fewer than asked for, or unreadable)."""
    calls: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """The exchanges with the model, by the number of the cell."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why candidates are missing or were refused, in words, and how many for each reason."""


class CellSampler(Protocol):
    """Proposes candidates inside cells."""

    def candidates(self, cells: Sequence[Cell], count: int, seen: Seen, hints: Mapping[str, Json]) -> Pool:
        """Returns up to `count` candidates for each cell; `hints` are further variables for the prompt."""


class _Acceptance:
    """Lets candidates through that lie in their cell and are new, and counts the others."""

    def __init__(self, problem: Problem, seen: Seen) -> None:
        self._problem, self._seen = problem, seen
        self._taken: set[tuple[Value, ...]] = set()
        self.accepted: list[Candidate] = []
        self.counts: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        """How many candidates are missing for each reason."""

    def offer(self, params: Params, cell: Cell, number: int, origin: Origin, draft: Draft | None = None) -> bool:
        """Returns whether a configuration was accepted."""
        repaired = self._problem.space.repair(params)
        key = self._problem.key(repaired)
        reason = ""
        if (draft is not None and draft.outside) or not cell.contains(repaired):
            reason = "outside"
        elif key in self._taken or self._seen.knows(repaired):
            reason = "duplicate"
        self.counts[reason or "accepted"] += 1
        if reason:
            return False
        self._taken.add(key)
        predicted = None
        if draft is not None and draft.predicted is not None:
            predicted = tuple(o.loss(v) for o, v in zip(self._problem.objectives, draft.predicted, strict=True))
        self.accepted.append(Candidate(repaired, number, origin, predicted))
        return True

    def pool(self, asked: int, calls: Mapping[int, tuple[int, ...]] | None = None) -> Pool:
        """Returns what was accepted, and the counts."""
        counts = {"asked": asked, **{name: count for name, count in self.counts.items() if count}}
        refused = {_REFUSED[name]: count for name, count in counts.items() if name in _REFUSED}
        return Pool(tuple(self.accepted), counts, calls or {}, {**refused, **self.unread})


class LlmCells:
    """Asks a language model: one prompt for each cell, all sent together, the text that they share first."""

    def __init__(self, problem: Problem, gateway: Gateway, style: PromptStyle, *, replies: int, predict: bool) -> None:
        """`replies`: how many replies to ask for in each cell; `predict`: whether values are to be predicted."""
        self._problem, self._gateway, self._style, self._replies = problem, gateway, style, replies
        self._predicted = len(problem.objectives) if predict else 0

    def candidates(self, cells: Sequence[Cell], count: int, seen: Seen, hints: Mapping[str, Json]) -> Pool:
        """Returns the model's candidates; a reply that stays unusable after its repair gives none."""
        shared = prompt_variables(self._problem, self._style, seen, {}, advice_of(self._problem, seen))
        asked = [number for number in range(len(cells)) for _ in range(self._replies)]
        ranked = seen.ranked()
        of_cell = [self._question(cell, count, seen, ranked, {**shared, **hints}) for cell in cells]
        questions = [of_cell[number] for number in asked]
        acceptance, calls = _Acceptance(self._problem, seen), dict[int, tuple[int, ...]]()
        for number, reply in zip(asked, self._gateway.ask_all(questions), strict=True):
            calls[number] = calls.get(number, ()) + reply.calls
            drafts = (reply.value or ())[:count]
            for draft in drafts:
                acceptance.offer(draft.params, cells[number], number, Origin.LLM, draft)
            if missing := count - len(drafts):
                acceptance.counts["missing"] += missing
                acceptance.unread[reply.reason or "fewer candidates than asked for"] += missing
        return acceptance.pool(count * len(questions), calls)

    def _question(
        self, cell: Cell, count: int, seen: Seen, ranked: Sequence[Trial], shared: Mapping[str, Any]
    ) -> Question[tuple[Draft, ...]]:
        problem, style = self._problem, self._style

        def read(text: str) -> Read[tuple[Draft, ...]]:
            found = read_candidates(text, problem.space, self._predicted)
            acceptance = _Acceptance(problem, seen)
            for draft in found.value:
                acceptance.offer(draft.params, cell, 0, Origin.LLM, draft)
            refused = {name: n for name, n in acceptance.counts.items() if name in _REFUSED}
            if not acceptance.accepted:
                raise ReplyError(_REFUSED[max(refused, key=lambda name: refused[name])])
            return Read(found.value, (*found.issues, *(name for name, n in refused.items() for _ in range(n))))

        ranges = zip(parameter_names(problem.space, style), cell.describe(), strict=True)
        inside = [] if cell.whole else [trial for trial in ranked if cell.contains(trial.params)]
        variables = {
            **shared,
            "region": [] if cell.whole else [{"name": name, "range": text} for name, text in ranges],
            "inside": trial_lines(problem, style, list(reversed(inside[:_INSIDE]))),
            "wanted": count,
            "predicted": self._predicted,
        }
        view = {
            "task": problem.task,
            "space": problem.space,
            "objectives": problem.objectives,
            "trials": tuple(seen.trials),
            "best": seen.incumbent,
            "cell": cell,
            "wanted": count,
        }
        schema = candidates_schema(cell.schema(style.form), count, self._predicted)
        return Question(render(style.template, variables), read, schema, view)


_REFUSED = {
    "outside": "no candidate lies inside the region",
    "duplicate": "every candidate has been evaluated before, or is there twice",
}


class UniformCells:
    """Uniform draws inside the cell."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._problem, self._rng = problem, rng

    def candidates(self, cells: Sequence[Cell], count: int, seen: Seen, hints: Mapping[str, Json]) -> Pool:
        """Returns independent draws."""
        acceptance = _Acceptance(self._problem, seen)
        for number, cell in enumerate(cells):
            for params in cell.sample(self._rng, count):
                acceptance.offer(params, cell, number, Origin.CONTROL)
        return acceptance.pool(count * len(cells))


class IncumbentCells:
    """Gaussian steps around the best trial inside the cell, the step of the method `local`."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._problem, self._rng = problem, rng

    def candidates(self, cells: Sequence[Cell], count: int, seen: Seen, hints: Mapping[str, Json]) -> Pool:
        """Returns steps that stay in the cell; uniform draws where the cell has no complete trial."""
        acceptance, ranked = _Acceptance(self._problem, seen), seen.ranked()
        for number, cell in enumerate(cells):
            best = next((trial for trial in ranked if cell.contains(trial.params)), None)
            for _ in range(count):
                acceptance.offer(self._step(cell, best), cell, number, Origin.CONTROL)
        return acceptance.pool(count * len(cells))

    def _step(self, cell: Cell, centre: Trial | None) -> dict[str, Value]:
        for _ in range(_TRIES if centre is not None else 0):
            assert centre is not None
            params = incumbent_step(self._problem.space, centre.params, self._rng)
            if cell.contains(params):
                return params
        return cell.sample(self._rng, 1)[0]


def make_cell_sampler(
    name: CellSamplerName,
    problem: Problem,
    rng: np.random.Generator,
    gateway: Gateway | None,
    style: PromptStyle,
    *,
    replies: int = 1,
    predict: bool = False,
) -> CellSampler:
    """Returns the sampler of a name; see `LlmCells` for `replies` and `predict`."""
    if name == "llm":
        assert gateway is not None
        return LlmCells(problem, gateway, style, replies=replies, predict=predict)
    return UniformCells(problem, rng) if name == "uniform" else IncumbentCells(problem, rng)


def advice_of(problem: Problem, seen: Seen) -> Params:
    """Returns a configuration to show as an example of one: the best trial, the default, or the middle of the space."""
    ranked = seen.ranked()
    if ranked:
        return ranked[0].params
    return problem.space.defaults() or problem.space.repair(problem.space.decode([0.5] * len(problem.space)))
