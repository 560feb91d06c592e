"""Centaur: CMA-ES and a language model take turns on the slots of each generation.

The idea is that of "Can LLMs Beat Classical Hyperparameter Optimization Algorithms?" (arXiv 2603.24647): CMA-ES shares
its state with a small model, which proposes some of the trials. `preset=paper` does what the published code does; the
default differs where `PRESETS` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cmaes import CmaEsOptions, MixedEvolution
from agentopt.optimizers.evolution import Slot
from agentopt.optimizers.sampler import SamplerName, make_sampler
from agentopt.optimizers.scalarise import Scalarisation
from agentopt.optimizers.seen import Duplicates, Proposal, Seen
from agentopt.optimizers.share import AdaptiveShare, ErrorDiffusion, Interval, Share, score
from agentopt.optimizers.wording import PromptStyle
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial, Value

PROMISING = 0.5
"""The worst that a configuration's neighbourhood may rank for it to be promising."""
IN_A_ROW = 4
"""How many of the model's configurations must be promising, one after the other, for the last of them to be run."""
PROBATION = "looked at only"
UNGUARDED: Mapping[str, Any] = {"poor": "tell", "screen": "none"}
"""What a fixed ratio sets where it is not given: the model has exactly that share, whatever comes of it."""
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {
        "ratio": 0.3,
        "schedule": "interval",
        "warmup": 10,
        "prompt": "centaur/paper",
        "reply": "object",
        "recent": 20,
        "stable": False,
        "injection": "raw",
        "failed": "tell",
        "fallback": "stop",
        "duplicates": "run",
        "start": "centre",
        "choices": "uniform",
    },
}


class CentaurOptions(CmaEsOptions):
    """The options of Centaur; those of its CMA-ES are among them."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    preset: Literal["default", "paper"] = Field(
        "default",
        description="paper: what the published code does (every third trial after ten, the mean not shown, the reply"
        " put in the slot unclipped, failures told, no fallback). Sets the options below that are not given.",
    )
    ratio: float | Literal["auto"] = Field(
        "auto",
        description="The share of trials that the model proposes, after the warm-up; auto: starts at 0.3 and follows"
        " how its trials compare with CMA-ES's last ones, at most 0.5.",
    )
    schedule: Literal["diffusion", "interval"] = Field(
        "diffusion", description="diffusion: the exact ratio; interval: every round(1/ratio)-th trial (published code)."
    )
    warmup: int = Field(10, ge=0, description="Trials before the model's first turn.")
    sampler: SamplerName = Field(
        "llm",
        description="Who takes the model's turns: llm, or a model-free control: incumbent (a Gaussian step around the"
        " best trial), uniform, advisor (CMA-ES's own candidate).",
    )
    injection: Literal["clipped", "raw", "none"] = Field(
        "clipped",
        description="What CMA-ES learns from the model's trials: clipped to the Mahalanobis length of injected points,"
        " raw, or nothing.",
    )
    failed: Literal["reissue", "tell"] = Field(
        "reissue",
        description="A failed trial of the model: its slot goes out again with CMA-ES's own candidate, or it is told"
        " and ranks last.",
    )
    poor: Literal["reissue", "tell"] = Field(
        "reissue",
        description="A trial of the model that is no better than half of CMA-ES's last generation of trials: its slot"
        " goes out again, or it is told. With a fixed ratio it is told unless this says otherwise.",
    )
    screen: Literal["neighbours", "none"] = Field(
        "neighbours",
        description="neighbours: a configuration of the model is run where it and the three before it were promising,"
        " which means that the three trials nearest to it rank in the better half on average; else CMA-ES's own"
        " candidate runs, tagged fallback. none: all are run. With a fixed ratio none unless this says otherwise.",
    )
    fallback: Literal["advisor", "stop"] = Field(
        "advisor",
        description="A reply that stays unreadable: CMA-ES's own candidate runs, tagged fallback, or the run stops"
        " (resumable).",
    )
    duplicates: Duplicates = Field(
        "fallback", description="A configuration that was evaluated before: replaced like an unreadable reply, or run."
    )
    prompt: str = Field("centaur/propose", description="The prompt file under prompts/, without its ending.")
    reply: Literal["array", "object"] = Field(
        "array", description="The form of configurations in prompts and replies: values in order, or by name."
    )
    recent: int = Field(10, ge=1, description="Recent trials shown.")
    stable: bool = Field(
        default=True,
        description="Shows up to twice as many recent trials, so that their first one moves only now and then and the"
        " server can reuse its work on the text that prompts share.",
    )
    best: int = Field(5, ge=1, description="Best trials shown.")
    weights: tuple[float, ...] | None = Field(
        None,
        description="For tasks with several objectives: the weight of each in the augmented Chebyshev distance to the"
        " best values, which is what is minimised; unset: equal ones.",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = {**cls.presets.get(str(given.get("preset", "default")), {}), **given}
        return given if given.get("ratio", "auto") == "auto" else {**UNGUARDED, **given}

    @model_validator(mode="after")
    def _check(self) -> CentaurOptions:
        if self.ratio != "auto" and not 0 <= float(self.ratio) <= 1:
            raise ValueError(f"ratio is {self.ratio}; it is a share from 0 to 1, or auto")
        if self.weights is not None and not (all(w >= 0 for w in self.weights) and sum(self.weights) > 0):
            raise ValueError(f"weights are {self.weights}; they are 0 or more, and not all of them 0")
        if self.schedule == "interval" and self.ratio == "auto":
            raise ValueError("schedule=interval needs a fixed ratio")
        return self

    @property
    def needs_model(self) -> bool:
        """Whether the turns are a language model's."""
        return self.sampler == "llm"


class Centaur:
    """CMA-ES whose slots a sampler fills in part."""

    summary: ClassVar[str] = (
        "CMA-ES shares its state with a language model that proposes part of the trials (arXiv 2603.24647)."
    )
    Options = CentaurOptions

    def __init__(
        self, problem: Problem, options: CentaurOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        self._options = options
        self._scalar = Scalarisation(problem, options.weights)
        clip = options.injection == "clipped"
        self._search = MixedEvolution(problem, options, rng, clip_foreign=clip, loss=self._scalar.loss)
        style = PromptStyle(options.prompt, options.reply, options.recent, options.best, options.stable)
        # The sampler draws from a stream of its own, so that CMA-ES sees the same numbers with every sampler.
        self._sampler = make_sampler(options.sampler, problem, rng.spawn(1)[0], gateway, style)
        self._seen = Seen(problem, self._scalar.loss)
        self._problem = problem
        self._count = 0
        self._share = _share(options)
        self._reissued: set[int] = set()
        self._own: list[Trial] = []
        self._promising = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns free slots of the running generation, the sampler's turns filled by it."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n and (found := self._search.candidate()) is not None:
            suggestions.append(self._fill(*found))
            self._count += 1
        return suggestions

    def tell(self, trial: Trial) -> None:
        """Fills the trial's slot by the stated rules; a foreign trial is only shown to the sampler."""
        self._scalar.tell(trial)
        self._seen.add(trial)
        if trial.token is None:
            self._count += 1
            return
        if not self._search.holds(trial.token):
            return
        turn = trial.origin in (Origin.LLM, Origin.CONTROL)
        if turn:
            others = self._own[-self._search.evolution.popsize :]
            compared = score(self._loss(trial), [self._loss(other) for other in others])
            self._share.learn(compared)
            if self._goes_again(trial, compared):
                self._reissued.add(trial.note["slot"])
                self._search.reopen(trial.token)
                return
        else:
            self._own.append(trial)
        if self._search.settle(trial.token, trial, foreign=turn):
            self._reissued = set()

    def explain(self) -> Mapping[str, Json]:
        """Returns CMA-ES's state, and the share of the sampler."""
        return {**self._search.explain(), "share": round(self._share.ratio, 4), "asked": self._count}

    def _fill(self, slot: Slot, own: dict[str, Value]) -> Suggestion:
        note: dict[str, Json] = {"generation": slot.generation, "slot": slot.index}
        # A reissued slot has had its turn.
        turn = self._count >= self._options.warmup and self._share.next(
            self._count, blocked=slot.index in self._reissued
        )
        if not turn:
            return Suggestion(own, Origin.CMAES, slot.token, note)
        state = {**self._search.explain(), "slot": slot.index}
        proposal = self._sampler.propose(self._seen, state, own, 1)[0]
        note.update(proposal.note)
        reason = self._refuse(proposal)
        if reason:
            if reason != PROBATION:
                self._share.missed()
            return Suggestion(own, Origin.FALLBACK, slot.token, {**note, "reason": reason})
        assert proposal.params is not None
        origin = Origin.LLM if self._options.sampler == "llm" else Origin.CONTROL
        return Suggestion(proposal.params, origin, slot.token, note)

    def _refuse(self, proposal: Proposal) -> str:
        """Returns why a proposal is not to be run, or nothing."""
        if proposal.params is not None and self._options.screen == "neighbours":
            near = self._seen.neighbourhood(self._problem.repair(proposal.params))
            self._promising = self._promising + 1 if near <= PROMISING else 0
            if self._promising < IN_A_ROW:
                return PROBATION if self._promising else "poor neighbourhood"
        return self._seen.refuse(proposal, duplicates=self._options.duplicates, fallback=self._options.fallback)

    def _loss(self, trial: Trial) -> float | None:
        """Returns what a trial counts as now, on the scale of all trials so far; None: it failed."""
        return self._scalar.loss(trial) if trial.complete else None

    def _goes_again(self, trial: Trial, compared: float) -> bool:
        """Whether the slot of a model's trial goes out again, with CMA-ES's own candidate."""
        options = self._options
        if options.injection == "none":
            return True
        if not trial.complete:
            return options.failed == "reissue"
        return compared < 0.5 and options.poor == "reissue"


def _share(options: CentaurOptions) -> Share:
    if options.ratio == "auto":
        return AdaptiveShare()
    schedule = Interval if options.schedule == "interval" else ErrorDiffusion
    return schedule(float(options.ratio))
