"""Samplers: what an LLM method asks for configurations, be it a language model or its model-free stand-in.

A method decides when to ask and what to do with the answer; a sampler only proposes. Every LLM method thereby has its
controls: the same schedule with the model replaced by a stated classical step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np

from agentopt.llm.gateway import Gateway
from agentopt.llm.reply import configuration_schema, read_configuration
from agentopt.optimizers.local import incumbent_step
from agentopt.optimizers.seen import Proposal, Seen
from agentopt.optimizers.wording import PromptStyle, prompt_variables
from agentopt.prompts import render
from agentopt.protocols import Problem
from agentopt.trial import Json, Params

SamplerName: TypeAlias = Literal["llm", "incumbent", "uniform", "advisor"]


class Sampler(Protocol):
    """Proposes configurations."""

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns `n` proposals; `state` is the optimizer's, `advice` the configuration it would run itself."""


class IncumbentSampler:
    """A Gaussian step around the best trial: the step of the method `local`."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns steps around the incumbent, or the advice where there is none yet."""
        best = seen.incumbent
        centre = advice if best is None else best.params
        return [Proposal(incumbent_step(self._space, centre, self._rng)) for _ in range(n)]


class UniformSampler:
    """Uniform draws from the unit cube."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns independent draws."""
        return [Proposal(self._space.sample(self._rng)) for _ in range(n)]


class AdvisorSampler:
    """The optimizer's own candidate: what it would have run without a sampler."""

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns the advice."""
        return [Proposal(dict(advice)) for _ in range(n)]


class LlmSampler:
    """Asks a language model."""

    def __init__(self, problem: Problem, gateway: Gateway, style: PromptStyle) -> None:
        self._problem, self._gateway, self._style = problem, gateway, style
        self._schema = configuration_schema(problem.space, style.form)

    def propose(self, seen: Seen, state: Mapping[str, Json], advice: Params, n: int) -> list[Proposal]:
        """Returns the model's configurations; a reply that stays unreadable after its repair gives none."""
        prompt = self.prompt(seen, state, advice)
        view = {
            "task": self._problem.task,
            "space": self._problem.space,
            "objectives": self._problem.objectives,
            "trials": tuple(seen.trials),
            "best": seen.incumbent,
            "state": state,
            "advice": advice,
        }
        replies = self._gateway.ask(
            prompt, lambda text: read_configuration(text, self._problem.space), schema=self._schema, n=n, view=view
        )
        return [Proposal(reply.value, reply.reason, _note(reply.calls, reply.issues)) for reply in replies]

    def prompt(self, seen: Seen, state: Mapping[str, Json], advice: Params) -> str:
        """Returns the text that the model is sent."""
        return render(self._style.template, prompt_variables(self._problem, self._style, seen, state, advice))


def _note(calls: Sequence[int], issues: Sequence[str]) -> dict[str, Json]:
    note: dict[str, Json] = {"calls": list(calls)}
    if issues:
        note["issues"] = list(issues)
    return note


def make_sampler(
    name: SamplerName, problem: Problem, rng: np.random.Generator, gateway: Gateway | None, style: PromptStyle
) -> Sampler:
    """Returns the sampler of a name."""
    if name == "llm":
        assert gateway is not None
        return LlmSampler(problem, gateway, style)
    if name == "incumbent":
        return IncumbentSampler(problem, rng)
    return UniformSampler(problem, rng) if name == "uniform" else AdvisorSampler()
