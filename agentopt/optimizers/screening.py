"""Screens: whether a sampler's configuration is worth a trial, by what the trials so far say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agentopt.optimizers.cores import Candidate, Core
from agentopt.optimizers.seen import Seen
from agentopt.trial import Params

ScreenName: TypeAlias = Literal["neighbours", "promise", "none"]
PROMISING = 0.5
"""The worst that a configuration's neighbourhood may rank for it to be promising."""
IN_A_ROW = 4
"""How many of the model's configurations must be promising, one after the other, for the last of them to be run."""
PROBATION = "looked at only"
MARGIN = math.log(100)
"""How far the promise of a configuration may lie below that of the core's own candidate."""


class Screen(Protocol):
    """Looks at configurations before they are run."""

    def refuse(self, params: Params, candidate: Candidate) -> str:
        """Returns why the candidate is to be run instead, or nothing."""


class NoScreen:
    """Lets all be run."""

    def refuse(self, params: Params, candidate: Candidate) -> str:
        """Returns nothing."""
        return ""


@dataclass(slots=True)
class Neighbours:
    """Lets a configuration be run where it and those before it lie among good trials."""

    seen: Seen
    promising: int = 0

    def refuse(self, params: Params, candidate: Candidate) -> str:
        """Returns what is wrong with the trials nearest to it, or that too few before it were promising."""
        near = self.seen.neighbourhood(self.seen.problem.repair(params))
        self.promising = self.promising + 1 if near <= PROMISING else 0
        if self.promising >= IN_A_ROW:
            return ""
        return PROBATION if self.promising else "poor neighbourhood"


@dataclass(slots=True)
class Promise:
    """Lets a configuration be run that promises nearly as much as the core's own candidate."""

    core: Core

    def refuse(self, params: Params, candidate: Candidate) -> str:
        """Returns that it promises too little; where the core cannot say, nothing."""
        there, own = self.core.promise(params), self.core.promise(candidate.own.params)
        if there is None or own is None or there >= own - MARGIN:
            return ""
        return "little promise"


def make_screen(name: ScreenName, core: Core, seen: Seen) -> Screen:
    """Returns the screen of a name."""
    if name == "neighbours":
        return Neighbours(seen)
    return Promise(core) if name == "promise" else NoScreen()
