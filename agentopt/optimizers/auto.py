"""The method `auto`: which of several searches asks next, when one does not want to choose.

All of them learn from every trial. A Gaussian process asks while trials are few, for it is the best with few. Where it
has brought nothing for long, TPE takes turns with it by what each one's last trials were worth. Many trials are cheap
ones: then CMA-ES goes on from the best point (NSGA-II where there are several objectives), and the last tenth of the
budget is spent on steps around the best trial that become ever smaller (the refinement tail of OptunaHub's
`cma_es_refinement`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from agentopt.llm.gateway import Gateway
from agentopt.optimizers import load_method
from agentopt.optimizers.cmaes import CmaEs
from agentopt.optimizers.gp.method import Gp, GpOptions
from agentopt.optimizers.local import incumbent_step
from agentopt.optimizers.share import score
from agentopt.protocols import Optimizer, Problem
from agentopt.trial import Json, Origin, Suggestion, Trial

FEW = 300
"""Trials that the process asks for alone; half of them where `MANY` or more are planned."""
MANY = 2000
TAIL = 0.1
"""The share of a planned budget of more than `FEW` trials that is spent on ever smaller steps."""
_PATIENCE, _PATIENCE_SHARE = 15, 0.25
"""Without a better trial for this many, and this share of all, another search takes turns."""
_LATEST = 10
"""A search is judged by so many of its last trials, each against so many before it."""
_UNTRIED = 0.5
"""What a search is worth before its first trial."""
_FOR_MANY = {"cmaes", "nsga2"}
"""The searches that take over where trials are many: after them no other joins."""
_WIDEST, _NARROWEST = 0.1, 0.001
_TRIES = 50


@dataclass(slots=True)
class _Arm:
    """A search that may be asked, and what its last trials were worth: 0.5 is what those before them were."""

    search: Optimizer
    asked: int = 0
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=_LATEST))

    @property
    def worth(self) -> float:
        """From 0 to 1, from a prior of one trial."""
        return (_UNTRIED + sum(self.scores)) / (1 + len(self.scores))


class AutoOptions(GpOptions):
    """The options of its Gaussian process."""


class Auto:
    """Hands each ask to one of its searches."""

    summary: ClassVar[str] = (
        "What to use when one does not want to choose: a Gaussian process, others where it brings nothing or trials are"
        " many."
    )
    Options = AutoOptions

    def __init__(
        self, problem: Problem, options: AutoOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        self._problem = problem
        self._rng, *self._streams = rng.spawn(4)
        self._arms = {"gp": _Arm(Gp(problem, options, self._streams[0], gateway))}
        self._few = FEW if problem.trials is None or problem.trials < MANY else FEW // 2
        self._history: list[Trial] = []
        """The trials before one for many trials takes over, for searches that join later."""
        self._latest: deque[float] = deque(maxlen=_LATEST)
        self._out: dict[int, tuple[str, int | None]] = {}
        self._best: Trial | None = None
        self._since = 0
        """Trials since the best one."""
        self._told = 0
        self._refined_count = 0
        self._asked = 0

    def ask(self, n: int) -> list[Suggestion]:
        """Returns up to `n` configurations, each asked of the search whose turn it is."""
        found: list[Suggestion] = []
        while len(found) < n and (one := self._next()) is not None:
            found.append(one)
        return found

    def tell(self, trial: Trial) -> None:
        """Tells every search the trial: the one that asked for it as its own, the others as a foreign one."""
        name, token = ("", None) if trial.token is None else self._out.pop(trial.token, ("", None))
        if name in self._arms:
            self._arms[name].scores.append(score(trial.value if trial.complete else None, list(self._latest)))
        for other, arm in self._arms.items():
            arm.search.tell(_as(trial, token if other == name else None))
        self._latest.append(trial.value)
        self._told, self._since = self._told + 1, self._since + 1
        if not _FOR_MANY & self._arms.keys():
            self._history.append(trial)
        if trial.complete and (self._best is None or trial.value < self._best.value):
            self._best, self._since = trial, 0

    def explain(self) -> Mapping[str, Json]:
        """Returns which searches were asked how often, what their last trials were worth, and the process's state."""
        asked = {name: {"asked": arm.asked, "worth": round(arm.worth, 3)} for name, arm in self._arms.items()}
        process = self._arms["gp"].search.explain()
        counts = ", ".join([f"{name} {arm.asked}" for name, arm in self._arms.items()])
        tail = f", steps of the tail {self._refined_count}" if self._refined_count else ""
        words = f"Trials asked of: {counts}{tail}. {process.get('in_words', '')}".rstrip()
        return {"searches": asked, "since_best": self._since, "process": process, "in_words": words}

    def _next(self) -> Suggestion | None:
        name, why = self._turn()
        if name == "tail":
            suggestion: Suggestion | None = self._refined()
        else:
            arm = self._arm(name)
            suggestion = next(iter(arm.search.ask(1)), None)
            if suggestion is None:  # a generation that waits for its trials
                name, why = "gp", f"{name} waits"
                arm = self._arms[name]
                suggestion = next(iter(arm.search.ask(1)), None)
            arm.asked += 1
        if suggestion is None:
            return None
        token, self._asked = self._asked, self._asked + 1
        self._out[token] = (name, suggestion.token)
        note = dict(suggestion.note) | ({"why": why} if why else {})
        return Suggestion(suggestion.params, suggestion.origin, token, note)

    def _turn(self) -> tuple[str, str]:
        """Returns whose turn it is, and why where that is not plain."""
        number, planned = self._told + len(self._out), self._problem.trials
        single = len(self._problem.objectives) == 1
        if number >= self._few:
            if single and planned is not None and number >= planned * (1 - TAIL) and self._best is not None:
                return "tail", "the last tenth of the budget"
            return ("cmaes" if single else "nsga2"), "many trials"
        if single and self._since >= max(_PATIENCE, _PATIENCE_SHARE * self._told):
            worth = np.array([self._worth(name) for name in ("gp", "tpe")]) ** 2
            if self._rng.random() < worth[1] / worth.sum() / 2:
                return "tpe", f"no better trial for {self._since}"
        return "gp", ""

    def _worth(self, name: str) -> float:
        """Returns what a search's last trials were worth; one that was never asked is not built for that."""
        return self._arms[name].worth if name in self._arms else _UNTRIED

    def _arm(self, name: str) -> _Arm:
        """Returns a search, built at its first turn: then it learns of the trials before."""
        if name not in self._arms:
            stream = self._streams[1 if name == "tpe" else 2]
            if name == "cmaes":
                start = None if self._best is None else self._best.params
                search: Optimizer = CmaEs(self._problem, CmaEs.Options.model_validate({}), stream, start=start)
            else:
                method = load_method(name)
                search = method(self._problem, method.Options(), stream)
                for trial in self._history:
                    search.tell(_as(trial, None))
            self._arms[name] = _Arm(search)
        return self._arms[name]

    def _refined(self) -> Suggestion:
        """Returns a step around the best trial; steps shrink over the tail on a log scale."""
        assert self._best is not None
        assert self._problem.trials is not None
        done = ((self._told + len(self._out)) / self._problem.trials - (1 - TAIL)) / TAIL
        width = _WIDEST * (_NARROWEST / _WIDEST) ** float(np.clip(done, 0.0, 1.0))
        params = incumbent_step(self._problem.space, self._best.params, self._rng, step=width)
        self._refined_count += 1
        return Suggestion(params, Origin.LOCAL)


def _as(trial: Trial, token: int | None) -> Trial:
    """Returns the trial as a search is told it that knows it by that token; None: it is a foreign one."""
    return replace(trial, token=token)
