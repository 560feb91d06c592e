"""The fixed-space agent: a language model sees the history and proposes every configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.llm.gateway import Gateway
from agentopt.optimizers import MethodOptions
from agentopt.optimizers.local import incumbent_step
from agentopt.optimizers.sampler import SamplerName, make_sampler
from agentopt.optimizers.seen import Duplicates, Proposal, Seen
from agentopt.optimizers.wording import PromptStyle
from agentopt.protocols import Problem
from agentopt.trial import Json, Origin, Suggestion, Trial


class LlmOptions(MethodOptions):
    """The options of the fixed-space agent."""

    initial: int = Field(
        0, ge=0, description="Uniform random trials before the model's first turn, the task's default not counted."
    )
    sampler: Literal["llm", "incumbent", "uniform"] = Field(
        "llm", description="Who proposes: llm, or a model-free control: incumbent (a Gaussian step), uniform."
    )
    fallback: Literal["incumbent", "uniform", "stop"] = Field(
        "incumbent",
        description="Instead of a reply that stays unreadable or repeats a trial: a Gaussian step around the best trial"
        " or a uniform draw, tagged fallback; stop: the run stops (resumable).",
    )
    duplicates: Duplicates = Field(
        "fallback", description="A configuration that was evaluated before: replaced like an unreadable reply, or run."
    )
    prompt: str = Field("llm/propose", description="The prompt file under prompts/, without its ending.")
    reply: Literal["array", "object"] = Field(
        "array", description="The form of configurations in prompts and replies: values in order, or by name."
    )
    recent: int = Field(20, ge=1, description="Recent trials shown.")
    stable: bool = Field(
        default=True,
        description="Shows up to twice as many recent trials, so that their first one moves only now and then and the"
        " server can reuse its work on the text that prompts share.",
    )
    best: int = Field(5, ge=1, description="Best trials shown.")

    @property
    def needs_model(self) -> bool:
        """Whether the proposals are a language model's."""
        return self.sampler == "llm"


class LlmSearch:
    """Asks the sampler for each configuration; a batch is asked for at once."""

    summary: ClassVar[str] = "A language model proposes every trial from the space and the history (arXiv 2603.24647)."
    single_objective: ClassVar[bool] = True
    Options = LlmOptions

    def __init__(
        self, problem: Problem, options: LlmOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        self._space, self._options, self._rng = problem.space, options, rng
        style = PromptStyle(options.prompt, options.reply, options.recent, options.best, options.stable)
        name: SamplerName = options.sampler
        self._sampler = make_sampler(name, problem, rng.spawn(1)[0], gateway, style)
        self._seen = Seen(problem)
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns `n` suggestions, the model's requests sent together."""
        first = max(0, min(n, self._options.initial - self._asked))
        suggestions = [
            Suggestion(self._space.sample(self._rng), Origin.RANDOM, token=self._asked + i) for i in range(first)
        ]
        if n > first:
            proposals = self._sampler.propose(self._seen, {}, self._advice(), n - first)
            for i, proposal in enumerate(proposals):
                token = self._asked + first + i
                suggestions.append(self._suggest(proposal, token))
        self._asked += n
        return suggestions

    def tell(self, trial: Trial) -> None:
        """Adds the trial to the history."""
        self._seen.add(trial)

    def explain(self) -> Mapping[str, Json]:
        """Returns how many trials the history holds, and the incumbent."""
        best = self._seen.incumbent
        return {"trials": len(self._seen.trials), "incumbent": None if best is None else dict(best.params)}

    def _advice(self) -> Mapping[str, Json]:
        best = self._seen.incumbent
        return self._space.defaults() or self._space.sample(self._rng) if best is None else best.params

    def _suggest(self, proposal: Proposal, token: int) -> Suggestion:
        reason = self._seen.refuse(proposal, duplicates=self._options.duplicates, fallback=self._options.fallback)
        if not reason:
            assert proposal.params is not None
            origin = Origin.LLM if self._options.sampler == "llm" else Origin.CONTROL
            return Suggestion(proposal.params, origin, token, proposal.note)
        best = self._seen.incumbent
        if best is None or self._options.fallback == "uniform":
            found = self._space.sample(self._rng)
        else:
            found = incumbent_step(self._space, best.params, self._rng)
        return Suggestion(found, Origin.FALLBACK, token, {**proposal.note, "reason": reason})
