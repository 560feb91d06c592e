"""Centaur: a classical search, its core, and a language model take turns.

The idea is that of "Can LLMs Beat Classical Hyperparameter Optimization Algorithms?" (arXiv 2603.24647): CMA-ES shares
its state with a small model, which proposes some of the trials. `preset=paper` does what the published code does;
`core=cmaes` differs from it where `PRESETS` says so; `core=gp` has a Gaussian process in the place of CMA-ES.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cmaes import CmaEsOptions
from agentopt.optimizers.cores import Again, Candidate, CmaEsCore, Core, GpCore, Lessons
from agentopt.optimizers.sampler import SamplerName, make_sampler
from agentopt.optimizers.scalarise import Scalarisation
from agentopt.optimizers.screening import PROBATION, ScreenName, make_screen
from agentopt.optimizers.seen import Duplicates, Proposal, Seen
from agentopt.optimizers.share import AdaptiveShare, ErrorDiffusion, Interval, Share, score
from agentopt.optimizers.wording import PromptStyle
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

UNGUARDED: Mapping[str, Any] = {"poor": "tell", "screen": "none"}
"""What a fixed ratio sets where it is not given: the model has exactly that share, whatever comes of it."""
OF_CMAES: Mapping[str, Any] = {
    "screen": "neighbours",
    "prompt": "centaur/propose",
    "injection": "clipped",
    "failed": "reissue",
    "poor": "reissue",
}
"""What `core=cmaes` sets where it is not given."""
ONLY_CMAES = ("start", "sigma0", "popsize", "choices", "injection", "failed", "poor")
"""Options that the Gaussian process has no use for: it has no generations, and learns from every trial as it is."""
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {
        "core": "cmaes",
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
    unstated: ClassVar[Mapping[str, Any]] = {"core": "cmaes"}

    core: Literal["cmaes", "gp"] = Field(
        "gp",
        description="Who takes the other turns and is shown to the model: a Gaussian process, or CMA-ES, as published."
        " Sets the options below that are not given, as a fixed ratio does.",
    )

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
        " best trial), uniform, advisor (the core's own candidate).",
    )
    injection: Literal["clipped", "raw", "none"] = Field(
        "raw",
        description="What the core learns from the model's trials: raw, all that there is; with core=cmaes clipped,"
        " its default, to the Mahalanobis length of injected points, or none.",
    )
    failed: Again = Field(
        "tell",
        description="A failed trial of the model: it is told; with core=cmaes reissue, its default: the slot goes out"
        " again with CMA-ES's own candidate.",
    )
    poor: Again = Field(
        "tell",
        description="A trial of the model that is no better than half of the core's last ones: it is told; with"
        " core=cmaes and no fixed ratio reissue, as failed.",
    )
    screen: ScreenName = Field(
        "promise",
        description="promise: a configuration of the model is run where the process expects a hundredth of the"
        " improvement by its own candidate, or more. neighbours, the default of core=cmaes: where it and the three"
        " before it were promising, which means that the three trials nearest to it rank in the better half on average."
        " Else the core's own candidate runs, tagged fallback. none, the default with a fixed ratio: all are run.",
    )
    fallback: Literal["advisor", "stop"] = Field(
        "advisor",
        description="A reply that stays unreadable: the core's own candidate runs, tagged fallback, or the run stops"
        " (resumable).",
    )
    duplicates: Duplicates = Field(
        "fallback", description="A configuration that was evaluated before: replaced like an unreadable reply, or run."
    )
    prompt: str = Field("centaur/process", description="The prompt file under prompts/; centaur/propose for CMA-ES.")
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
        " best values, which is what is minimised; unset: equal ones. The Gaussian process draws its own at each ask:"
        " there they only say what a trial of the model was worth.",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = {**cls.presets.get(str(given.get("preset", "default")), {}), **given}
        unguarded = {} if given.get("ratio", "auto") == "auto" else UNGUARDED
        of_core = OF_CMAES if given.get("core") == "cmaes" else {}
        return {**of_core, **unguarded, **given}

    @model_validator(mode="after")
    def _check(self) -> CentaurOptions:
        if self.ratio != "auto" and not 0 <= float(self.ratio) <= 1:
            raise ValueError(f"ratio is {self.ratio}; it is a share from 0 to 1, or auto")
        if self.weights is not None and not (all(w >= 0 for w in self.weights) and sum(self.weights) > 0):
            raise ValueError(f"weights are {self.weights}; they are 0 or more, and not all of them 0")
        if self.core == "gp":
            fields = type(self).model_fields
            if wrong := [name for name in ONLY_CMAES if getattr(self, name) != fields[name].default]:
                raise ValueError(f"{', '.join(wrong)}: for core=cmaes alone; this is core=gp")
        elif self.screen == "promise":
            raise ValueError("screen=promise needs core=gp: CMA-ES predicts no values")
        if self.schedule == "interval" and self.ratio == "auto":
            raise ValueError("schedule=interval needs a fixed ratio")
        return self

    @property
    def needs_model(self) -> bool:
        """Whether the turns are a language model's."""
        return self.sampler == "llm"


class Centaur:
    """A core some of whose candidates a sampler replaces."""

    summary: ClassVar[str] = (
        "A classical search shares its state with a language model that proposes part of the trials (arXiv 2603.24647)."
    )
    Options = CentaurOptions

    def __init__(
        self, problem: Problem, options: CentaurOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        self._options = options
        self._scalar = Scalarisation(problem, options.weights)
        self._core = self._made(problem, rng)
        style = PromptStyle(options.prompt, options.reply, options.recent, options.best, options.stable)
        # The sampler draws from a stream of its own, so that the core sees the same numbers with every sampler.
        self._sampler = make_sampler(options.sampler, problem, rng.spawn(1)[0], gateway, style)
        self._seen = Seen(problem, self._scalar.loss)
        self._screen = make_screen(options.screen, self._core, self._seen)
        self._count = 0
        self._share = _share(options)
        self._own: list[Trial] = []

    def ask(self, n: int) -> list[Suggestion]:
        """Returns candidates of the core, the sampler's turns filled by it; CMA-ES has none while all are evaluated."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n and (found := self._core.candidate()) is not None:
            suggestions.append(self._fill(found))
            self._count += 1
        return suggestions

    def tell(self, trial: Trial) -> None:
        """Tells the core, and what a trial of the sampler was worth."""
        self._scalar.tell(trial)
        self._seen.add(trial)
        if trial.token is None:
            self._count += 1
        if not self._core.holds(trial.token):
            self._core.watch(trial)
        elif trial.origin in (Origin.LLM, Origin.CONTROL):
            others = self._own[-self._core.latest :]
            worth = score(self._loss(trial), [self._loss(other) for other in others])
            self._share.learn(worth)
            self._core.settle(trial, worth)
        else:
            self._own.append(trial)
            self._core.settle(trial, None)

    def explain(self) -> Mapping[str, Json]:
        """Returns the core's state, and the share of the sampler."""
        return {**self._core.explain(), "share": round(self._share.ratio, 4), "asked": self._count}

    def _made(self, problem: Problem, rng: np.random.Generator) -> Core:
        options = self._options
        if options.core == "gp":
            return GpCore(problem, rng)
        lessons = Lessons(options.injection, options.failed, options.poor)
        return CmaEsCore(problem, options, lessons, self._scalar.loss, rng)

    def _fill(self, candidate: Candidate) -> Suggestion:
        own = candidate.own
        turn = self._count >= self._options.warmup and self._share.next(self._count, blocked=candidate.blocked)
        if not turn:
            return self._as_is(candidate, own)
        state = {**self._core.explain(), **own.note}
        proposal = self._sampler.propose(self._seen, state, own.params, 1)[0]
        note = {**own.note, **proposal.note}
        reason = self._refuse(proposal, candidate)
        if reason:
            if reason != PROBATION:
                self._share.missed()
            return self._as_is(candidate, replace(own, origin=Origin.FALLBACK, note={**note, "reason": reason}))
        assert proposal.params is not None
        self._core.replace(candidate, proposal.params)
        origin = Origin.LLM if self._options.sampler == "llm" else Origin.CONTROL
        return Suggestion(proposal.params, origin, candidate.token, note)

    def _as_is(self, candidate: Candidate, own: Suggestion) -> Suggestion:
        if candidate.new:
            self._seen.take(own.params)
        return own

    def _refuse(self, proposal: Proposal, candidate: Candidate) -> str:
        """Returns why a proposal is not to be run, or nothing."""
        reason = "" if proposal.params is None else self._screen.refuse(proposal.params, candidate)
        options = self._options
        return reason or self._seen.refuse(proposal, duplicates=options.duplicates, fallback=options.fallback)

    def _loss(self, trial: Trial) -> float | None:
        """Returns what a trial counts as now, on the scale of all trials so far; None: it failed."""
        return self._scalar.loss(trial) if trial.complete else None


def _share(options: CentaurOptions) -> Share:
    if options.ratio == "auto":
        return AdaptiveShare()
    schedule = Interval if options.schedule == "interval" else ErrorDiffusion
    return schedule(float(options.ratio))
