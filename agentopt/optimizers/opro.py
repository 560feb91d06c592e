"""OPRO: a language model sees the best configurations so far, best last, and writes new ones (arXiv 2309.03409)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from agentopt.llm.gateway import Gateway
from agentopt.optimizers.cell_sampler import make_cell_sampler
from agentopt.optimizers.cell_search import CellOptions, CellSearch, Parts, WholeSpace, surrogate_of
from agentopt.optimizers.ranking import by_mean
from agentopt.optimizers.surrogates import SurrogateName
from agentopt.partition import whole_space
from agentopt.protocols import Problem


class OproOptions(CellOptions):
    """The options of OPRO; the defaults are the paper's."""

    temperature: ClassVar[float] = 1.0

    surrogate: SurrogateName = Field("none", description="What ranks the candidates, see `agentopt show llambo`.")
    replies: int = Field(8, ge=1, description="Replies that are asked for at once.")
    candidates: int = Field(1, ge=1, description="Candidates in each reply.")
    batch: int | None = Field(None, ge=1, description="How many candidates of a turn are run; unset: all of them.")
    best: int = Field(20, ge=1, description="Best trials shown, the best last.")
    prompt: str = Field("opro/propose", description="The prompt file under prompts/, without its ending.")


class Opro(CellSearch):
    """One cell, the whole space; unless a surrogate ranks them, every candidate of a turn is run."""

    summary: ClassVar[str] = "A language model writes configurations better than the best so far (arXiv 2309.03409)."
    single_objective: ClassVar[bool] = True
    Options = OproOptions

    def __init__(
        self, problem: Problem, options: OproOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        own, count = rng.spawn(2), options.replies * options.candidates
        sampler = make_cell_sampler(
            options.sampler,
            problem,
            own[0],
            gateway,
            options.style(options.prompt),
            replies=options.replies,
            predict=options.surrogate == "reply",
        )
        parts = Parts(
            WholeSpace(whole_space(problem.space)),
            sampler,
            surrogate_of(options, problem, own[1], gateway),
            by_mean,
            wanted=options.candidates if options.sampler == "llm" else count,
            batch=options.batch or count,
        )
        super().__init__(problem, options, rng, parts)
