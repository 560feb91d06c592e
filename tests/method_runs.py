"""What tests of the methods that ask a model share: two small problems, models that keep what they were asked, runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentopt.llm import ModelSettings
from agentopt.llm.gateway import Gateway
from agentopt.llm.scripted import ScriptedBackend
from agentopt.protocols import Objective, Optimizer, Problem
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace
from agentopt.testing.models import uniform
from agentopt.testing.simulation import Build, Judge, Session, session
from agentopt.trial import Outcome, Status, Suggestion, Trial

GOLDEN = Path(__file__).parent / "golden"
SPACE = SearchSpace(
    (
        Float("lr", 1e-4, 1.0, log=True, default=0.01),
        Int("depth", 1, 12, default=4),
        Int("batch", 32, 256, powers_of=2, default=64),
        Choice("act", ("a", "b"), default="a"),
    ),
    (AtLeast("batch", "depth", times=8),),
)
PROBLEM = Problem(SPACE, (Objective("val_bpb"),), "A small network, trained for a minute.", 60)
SQUARE = SearchSpace((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))


def plane(direction="minimize") -> Problem:
    """Returns a problem of two numbers that says nothing of itself."""
    return Problem(SQUARE, (Objective("score", direction),), "", 60)


def loss(params) -> float:
    """A value for `PROBLEM`, whose optimum is near a rate of 0.03 and a depth of 7."""
    return (np.log10(params["lr"]) + 1.5) ** 2 + abs(params["depth"] - 7) / 5


def flaky(_: int, params) -> Outcome:
    """Judges a configuration of `PROBLEM`; deep networks fail."""
    if params["depth"] > 8:
        return Outcome(Status.OOM, error="memory")
    return Outcome(Status.COMPLETE, (loss(params),))


class Model:
    """A scripted model that keeps what it was asked, and what it was shown."""

    def __init__(self, answer=uniform):
        self.answer, self.prompts, self.views = answer, {}, {}

    def __call__(self, prompt, view):
        self.prompts[view["call"]], self.views[view["call"]] = prompt, view
        return self.answer(prompt, view)

    def asked(self, words="") -> list[str]:
        """Returns the prompts that have these words, in the order of their calls."""
        return [self.prompts[call] for call in sorted(self.prompts) if words in self.prompts[call]]


def inside(view, count=None, rng=None):
    """Returns configurations in the cell that is asked about: by default as many as are, the same for the same call."""
    return view["cell"].sample(rng or np.random.default_rng(view["seed"]), view["wanted"] if count is None else count)


def building(method: Callable[..., Optimizer], folder: Path, script=uniform, **options) -> Build:
    """Returns what builds a method with options; the first has its ledger in the folder, others below it."""
    chosen, numbers = method.Options(**options), itertools.count()

    def build(problem, seed):
        number, gateway = next(numbers), ()
        if chosen.needs_model:
            backend, settings = ScriptedBackend("scripted:t", script), ModelSettings(name="scripted:t")
            gateway = (Gateway(backend, folder / str(number) if number else folder, settings, seed),)
        return method(problem, chosen, np.random.default_rng(seed), *gateway)

    return build


def searching(
    method: Callable[..., Optimizer], folder: Path, script, problem: Problem, judge: Judge | None = None, **options
) -> Session:
    """Returns a simulated run of a method, not begun, with its ledger in the folder."""
    return session(building(method, folder, script, **options), problem, judge=judge)


def drive(
    search: Optimizer, trials: int, evaluated: Callable[[int, Suggestion], Trial], width: int = 1
) -> list[Suggestion]:
    """Returns what a search suggests in as many trials, the first of which is number 1; batches are told in turn."""
    suggestions: list[Suggestion] = []
    while len(suggestions) < trials:
        asked = search.ask(width)
        assert asked, f"nothing after {len(suggestions)} suggestions"
        for one in asked:
            suggestions.append(one)
            search.tell(evaluated(len(suggestions), one))
    return suggestions


def turns(run: Session) -> list[list[Suggestion]]:
    """Returns the suggestions of each turn."""
    found: dict[int, list[Suggestion]] = {}
    for suggestion in run.asked:
        if suggestion.note.get("turn"):
            found.setdefault(suggestion.note["turn"], []).append(suggestion)
    return list(found.values())


def shared_start(a: str, b: str) -> str:
    """Returns what two prompts begin with alike: what a server's cache saves."""
    return next((a[:i] for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), a)


def reviewed(name: str, prompt: str) -> str:
    """Returns a prompt as it was reviewed.

    Delete the file under tests/golden and run the test to write it anew, then read it.
    """
    golden = GOLDEN / f"{name}.md"
    if not golden.exists():
        golden.write_text(prompt + "\n", encoding="utf-8")
        pytest.fail(f"{golden.name} was not there: written, read it and run again")
    return golden.read_text(encoding="utf-8").removesuffix("\n")
