"""Which pairs of methods a comparison tests, and what so many pairs of runs can show at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations

from agentopt.report.comparison.cells import Method
from agentopt.report.comparison.signed_rank import ALPHA, least_p, pairs_needed
from agentopt.trial import Json

ASKERS = {"sampler": "llm", "prior": "model"}
"""The options that say who proposes, and the value with which a language model is asked."""
_NAMED = 4


class Family(StrEnum):
    """The pairs of methods that are tested, and that Holm's correction counts."""

    FIRST = "first"
    """The first method against each of the others, and methods that ask a model against their controls."""
    ALL = "all"
    """Every method against every other one."""


def controls_of(method: Method, methods: Sequence[Method]) -> list[Method]:
    """Returns a method's model-free twins: those made as such, and those that differ alone in who proposes."""
    mine = _without_asker(method)
    return [
        other
        for other in methods
        if other.control_of == method.label
        or (other.label != method.label and _is_control(other, method) and _without_asker(other) == mine)
    ]


def _is_control(method: Method, of: Method) -> bool:
    """Whether a method lets somebody else propose; where it is not known who asks, its sampler says so."""
    asker = ASKERS["sampler"]
    return not method.asks and (of.asks or method.options.get("sampler", asker) != asker)


def _without_asker(method: Method) -> tuple[str, dict[str, Json]]:
    return method.method, {key: value for key, value in method.options.items() if key not in ASKERS}


def every_pair(methods: Sequence[Method]) -> list[tuple[int, int]]:
    """Returns all pairs of methods, by their places."""
    return list(combinations(range(len(methods)), 2))


def family_pairs(methods: Sequence[Method], family: Family) -> list[tuple[int, int]]:
    """Returns the pairs that are tested, by their places; the first of a pair is the one that is asked about."""
    if family is Family.ALL:
        return every_pair(methods)
    places = {method.label: i for i, method in enumerate(methods)}
    twins = [(i, places[twin.label]) for i, method in enumerate(methods) if i for twin in _twins(method, methods)]
    return [*((0, j) for j in range(1, len(methods))), *(pair for pair in twins if pair[1])]


def _twins(method: Method, methods: Sequence[Method]) -> list[Method]:
    return controls_of(method, methods) if method.asks else []


def family_text(methods: Sequence[Method], family: Family) -> str:
    """Returns which pairs are tested, in words."""
    if len(methods) == 2:
        return f"{methods[0].label} against {methods[1].label}"
    if family is Family.ALL:
        return "all pairs of methods"
    text = f"{methods[0].label} against each of the others"
    if len(family_pairs(methods, family)) >= len(methods):
        text += ", and each other method that asks a model against its controls"
    return text


def tested_text(methods: Sequence[Method], family: Family) -> str:
    """Returns which pairs a comparison of two or more methods has tested."""
    tests = len(family_pairs(methods, family))
    corrected = f" (Holm's correction for {tests} tests)" if tests > 1 else ""
    return f"Tested: {family_text(methods, family)}{corrected}."


def seeds_needed(tests: int, tasks: int) -> int:
    """Returns how many seeds let each of so many tests over all tasks come to a claim."""
    return math.ceil(pairs_needed(tests) / tasks)


def promise(methods: Sequence[Method], family: Family, *, tasks: int, seeds: int) -> str:
    """Returns what a comparison of two or more methods will test, and whether that can show anything."""
    tests, pairs = len(family_pairs(methods, family)), tasks * seeds
    text = f"Tested: {family_text(methods, family)} ({count(tests, 'test')}, {count(pairs, 'pair')} of runs each"
    text += f": {count(tasks, 'task')} x {count(seeds, 'seed')}). " if tasks > 1 else "). "
    text += f"The smallest p-value possible is {_least(tests, pairs)}"
    if pairs >= pairs_needed(tests):
        text += f": a difference can be claimed (at {ALPHA})."
    else:
        text += f", above {ALPHA}: no pair can be called different. {seeds_needed(tests, tasks)} seeds can"
        others = len(family_pairs(methods, Family.FIRST))
        if family is Family.ALL and pairs >= pairs_needed(others):
            text += f", or only {family_text(methods, Family.FIRST)} (--family {Family.FIRST})"
        text += "."
    if tasks > 1:
        text += _single(tests * tasks, seeds)
    return text


def _least(tests: int, pairs: int) -> str:
    least = least_p(pairs)
    return f"{least:.3g}" if tests == 1 else f"{least:.3g} x {tests} tests = {min(1.0, least * tests):.3g}"


def _single(tests: int, seeds: int) -> str:
    if seeds >= pairs_needed(tests):
        return f" So can one on a single task ({tests} tests)."
    return f" On single tasks it cannot: {tests} tests need {pairs_needed(tests)} seeds."


def count(number: int, name: str) -> str:
    """Returns `1 seed` or `3 seeds`."""
    return f"{number} {name}{'' if number == 1 else 's'}"
