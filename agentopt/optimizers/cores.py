"""The classical half of Centaur: CMA-ES and its generations, or a Gaussian process, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from agentopt.optimizers.cmaes import CmaEsOptions, MixedEvolution
from agentopt.optimizers.gp.method import Gp, GpOptions
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Params, Suggestion, Trial

Again: TypeAlias = Literal["reissue", "tell"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a core would run next."""

    own: Suggestion
    blocked: bool
    """Whether nothing may be run in its place."""
    new: bool = False
    """Whether it repeats nothing, and nobody is to repeat it while it is being evaluated."""

    @property
    def token(self) -> int:
        """What stands for it until its trial is told."""
        assert self.own.token is not None
        return self.own.token


class Core(Protocol):
    """A search some of whose trials are somebody else's. What it draws does not depend on who proposes them."""

    @property
    def latest(self) -> int:
        """With how many of its own last trials one of somebody else's is compared."""

    def candidate(self) -> Candidate | None:
        """Hands out what it would run next; None while it waits for trials."""

    def promise(self, params: Params) -> float | None:
        """Returns the log of what a configuration promises beside the last candidate; None: it cannot say."""

    def replace(self, candidate: Candidate, params: Params) -> None:
        """Takes note that a configuration is evaluated in place of a candidate."""

    def holds(self, token: int | None) -> bool:
        """Whether the token is that of a candidate which waits for its trial."""

    def settle(self, trial: Trial, worth: float | None) -> None:
        """Takes the trial of a candidate it holds.

        `worth`: the share of its own last trials that somebody else's trial beats; None: the trial is its own.
        """

    def watch(self, trial: Trial) -> None:
        """Takes a trial that it has no candidate for."""

    def explain(self) -> Mapping[str, Json]:
        """Returns what it has learned, in the user's units."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What CMA-ES learns from the trials of others."""

    injection: Literal["clipped", "raw", "none"]
    failed: Again
    poor: Again

    def goes_again(self, trial: Trial, worth: float) -> bool:
        """Whether the slot of such a trial goes out again, with CMA-ES's own candidate."""
        if self.injection == "none":
            return True
        if not trial.complete:
            return self.failed == "reissue"
        return worth < 0.5 and self.poor == "reissue"


class CmaEsCore:
    """CMA-ES: candidates are slots of a generation."""

    def __init__(
        self,
        problem: Problem,
        options: CmaEsOptions,
        lessons: Lessons,
        loss: Callable[[Trial], float],
        rng: np.random.Generator,
    ) -> None:
        """`loss` is what a complete trial counts as now."""
        clip = lessons.injection == "clipped"
        self._search = MixedEvolution(problem, options, rng, clip_foreign=clip, loss=loss)
        self._lessons = lessons
        self._reissued: set[int] = set()
        """Slots of this generation that have had their turn."""

    @property
    def latest(self) -> int:
        """As many as a generation has."""
        return self._search.evolution.popsize

    def candidate(self) -> Candidate | None:
        """Hands out a free slot of the running generation."""
        found = self._search.candidate()
        if found is None:
            return None
        slot, params = found
        note = {"generation": slot.generation, "slot": slot.index}
        return Candidate(Suggestion(params, Origin.CMAES, slot.token, note), slot.index in self._reissued)

    def promise(self, params: Params) -> float | None:
        """Returns None: a distribution of good configurations predicts no values."""
        return None

    def replace(self, candidate: Candidate, params: Params) -> None:
        """Does nothing: the trial says what was evaluated."""

    def holds(self, token: int | None) -> bool:
        """Whether the token is that of a slot which waits for its trial."""
        return self._search.holds(token)

    def settle(self, trial: Trial, worth: float | None) -> None:
        """Fills the trial's slot, or hands it out again."""
        assert trial.token is not None
        if worth is not None and self._lessons.goes_again(trial, worth):
            self._reissued.add(trial.note["slot"])
            self._search.reopen(trial.token)
        elif self._search.settle(trial.token, trial, foreign=worth is not None):
            self._reissued = set()

    def watch(self, trial: Trial) -> None:
        """Does nothing: such a trial belongs to no generation."""

    def explain(self) -> Mapping[str, Json]:
        """Returns the distribution in the user's units."""
        return self._search.explain()


class GpCore:
    """A Gaussian process: it learns from every trial, whoever proposed it."""

    LATEST: ClassVar[int] = 10

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._search = Gp(problem, GpOptions.model_validate({}), rng)
        self._waiting: set[int] = set()

    @property
    def latest(self) -> int:
        """A fixed number: it has no generations."""
        return self.LATEST

    def candidate(self) -> Candidate | None:
        """Returns the process's own suggestion; none of the first trials, and no plain step, is for others."""
        own = self._search.ask(1)[0]
        candidate = Candidate(own, blocked=self._search.promise(own.params) is None, new=True)
        self._waiting.add(candidate.token)
        return candidate

    def promise(self, params: Params) -> float | None:
        """Returns the log of the expected improvement times the probability of success, and times the belief."""
        return self._search.promise(params)

    def replace(self, candidate: Candidate, params: Params) -> None:
        """Takes what is evaluated for pending."""
        self._search.replace(candidate.own, params)

    def holds(self, token: int | None) -> bool:
        """Whether the token is that of a suggestion which waits for its trial."""
        return token in self._waiting

    def settle(self, trial: Trial, worth: float | None) -> None:
        """Learns from the trial."""
        assert trial.token is not None
        self._waiting.discard(trial.token)
        self._search.tell(trial)

    def watch(self, trial: Trial) -> None:
        """Learns from the trial."""
        self._search.tell(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns what the process has learned, in the user's units."""
        return self._search.explain()
