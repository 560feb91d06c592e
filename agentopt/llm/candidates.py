"""Reads several candidates out of one reply: configurations, each with the objective values that the model predicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agentopt.llm.reply import KEY, MAX_CHARS, configuration_of, first_json
from agentopt.llm.values import Read, ReplyError
from agentopt.space import SearchSpace
from agentopt.trial import Value

LIST = "candidates"
PREDICTED = "predicted"
_CLIPPED = "clipped:"
_MOST_FRUITLESS = 500
"""How many braces that begin no configuration are tried: each may take as long as the text is."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One candidate as the model wrote it."""

    params: dict[str, Value]
    predicted: tuple[float, ...] | None
    """The values that the model expects, one for each objective, in the task's units; None where it gave none."""
    outside: bool
    """Whether a value lay outside its range and was clipped to it."""


def candidates_schema(configuration: Mapping[str, Any], count: int, predicted: int) -> dict[str, Any]:
    """Returns the JSON schema of a reply with `count` candidates, each with `predicted` values or none.

    `configuration` is the schema of one of them, see `SearchSpace.json_schema`.
    """
    properties: dict[str, Any] = {KEY: dict(configuration)}
    number = {"type": "number"}
    if predicted == 1:
        properties[PREDICTED] = number
    elif predicted:
        properties[PREDICTED] = {"type": "array", "items": number, "minItems": predicted, "maxItems": predicted}
    item = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {LIST: {"type": "array", "items": item, "minItems": count, "maxItems": count}},
        "required": [LIST],
        "additionalProperties": False,
    }


def read_candidates(text: str, space: SearchSpace, objectives: int) -> Read[tuple[Draft, ...]]:
    """Returns the candidates that a reply holds, at least one; those that cannot be read are issues.

    A reply that was cut short gives the candidates that were complete. `objectives` is how many values a prediction
    has; one with another number of them, or that are not finite, is left out. Raises ReplyError where no candidate can
    be read, with the reason for the first, and for a reply that is too long.
    """
    issues: list[str] = []
    drafts: list[Draft] = []
    reasons: list[str] = []
    for item in _items(text, issues):
        own: list[str] = []
        try:
            params = configuration_of(item.get(KEY, item) if isinstance(item, Mapping) else item, space, own)
        except ReplyError as error:
            reasons.append(str(error))
            issues.append("unreadable")
            continue
        given = item.get(PREDICTED) if isinstance(item, Mapping) else None
        predicted = _numbers(given, objectives) if objectives else None
        if objectives and predicted is None:
            issues.append("no_prediction")
        outside = any(issue.startswith(_CLIPPED) for issue in own)
        issues += [issue for issue in own if not issue.startswith("unknown:")]
        drafts.append(Draft(params, predicted, outside))
    if not drafts:
        raise ReplyError(reasons[0] if reasons else "it holds no candidates")
    return Read(tuple(drafts), tuple(issues))


def read_predictions(text: str, count: int, objectives: int) -> Read[tuple[tuple[float, ...], ...]]:
    """Returns the values that a reply predicts for `count` candidates, `objectives` for each.

    Raises ReplyError where they are not as many, or not finite numbers.
    """
    issues: list[str] = []
    found = first_json(text, issues)
    given = found.get(PREDICTED) if isinstance(found, Mapping) else found
    items = given if isinstance(given, list) else [given]
    if count == 1 and objectives > 1 and len(items) == objectives and not isinstance(items[0], (list, Mapping)):
        items = [items]
    read = [_numbers(item, objectives) for item in items]
    values = tuple(numbers for numbers in read if numbers is not None)
    if len(read) != count or len(values) != count:
        raise ReplyError(f"{len(values)} predictions that can be read, for {count} configurations")
    return Read(values, tuple(issues))


def _items(text: str, issues: list[str]) -> list[Any]:
    """Returns what stands where candidates are expected."""
    try:
        found = first_json(text, issues)
    except ReplyError:
        if len(text) > MAX_CHARS:
            raise
        found = None
    if isinstance(found, Mapping) and isinstance(found.get(LIST), list):
        return list(found[LIST])
    if isinstance(found, list) and found and all(isinstance(item, (list, Mapping)) for item in found):
        return list(found)
    # One configuration without the list around it, or a list that was cut short.
    whole = list(_objects(text))
    if len(whole) > 1 or (found is None and whole):
        issues.append("cut")
        return whole
    if found is None:
        first_json(text, issues)  # raises the reason
    return [found]


def _objects(text: str) -> Iterator[Any]:
    """Yields the JSON objects of a text that hold a configuration, whatever stands around them."""
    decoder, at, fruitless = json.JSONDecoder(), 0, 0
    while fruitless < _MOST_FRUITLESS and (at := text.find("{", at)) >= 0:
        value, end = None, at
        with suppress(ValueError, RecursionError):
            value, end = decoder.raw_decode(text, at)
        if isinstance(value, Mapping) and KEY in value:
            yield value
            at = end
        else:
            at, fruitless = at + 1, fruitless + 1  # what is asked for may stand inside of it


def _numbers(given: Any, objectives: int) -> tuple[float, ...] | None:
    """Returns the values that stand for one prediction; None where they are not as many finite numbers."""
    values: list[Any] = [given]
    if isinstance(given, (list, Mapping)):
        values = list(given.values() if isinstance(given, Mapping) else given)
    try:
        numbers = tuple(float(value) for value in values if not isinstance(value, bool))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == objectives and all(map(math.isfinite, numbers)) else None
