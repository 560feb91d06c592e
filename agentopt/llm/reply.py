"""Reads a configuration out of a model's reply, however it is wrapped, and says what had to be mended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn, TypeAlias

from agentopt.llm.values import Read, ReplyError
from agentopt.space import Choice, Parameter, SearchSpace
from agentopt.trial import Value

Form: TypeAlias = Literal["array", "object"]
KEY = "values"
"""The property that holds the configuration: some endpoints accept only schemas of objects."""
MAX_CHARS = 1 << 16


def configuration_schema(space: SearchSpace, form: Form) -> dict[str, Any]:
    """Returns the JSON schema of a reply that holds one configuration."""
    return {
        "type": "object",
        "properties": {KEY: space.json_schema(form)},
        "required": [KEY],
        "additionalProperties": False,
    }


def read_configuration(text: str, space: SearchSpace) -> Read[dict[str, Value]]:
    """Returns the configuration that a reply holds: values in the space's order, or an object by name.

    Values outside their range are clipped to it, numbers given as text are taken as numbers, unknown names are left
    out; each is an issue of the result. Anything else that is wrong raises ReplyError: no JSON, missing names, the
    wrong number of values, values of another type, values that are not finite, choices that do not exist.
    """
    issues: list[str] = []
    return Read(configuration_of(first_json(text, issues), space, issues), tuple(issues))


def configuration_of(found: Any, space: SearchSpace, issues: list[str]) -> dict[str, Value]:
    """Returns the configuration that a JSON value holds, as `read_configuration` does, and adds to the issues."""
    found = _unwrap(found, space)
    if isinstance(found, Mapping):
        given = _by_name(found, space, issues)
    elif isinstance(found, Sequence) and not isinstance(found, str):
        if len(found) != len(space):
            raise ReplyError(f"{len(found)} values for {len(space)} parameters")
        given = dict(zip(space.names, found, strict=True))
    else:
        raise ReplyError(f"a {type(found).__name__} where a configuration was asked for")
    return {p.name: _value(p, given[p.name], issues) for p in space.parameters}


def first_json(text: str, issues: list[str]) -> Any:
    """Returns the first JSON object or array of a text that may stand in prose or a code fence."""
    if not text.strip():
        raise ReplyError("the reply is empty")
    if len(text) > MAX_CHARS:
        raise ReplyError(f"the reply is too long: {len(text)} characters, and {MAX_CHARS} are read")
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    starts = [i for i, letter in enumerate(text) if letter in "[{"][:50]
    reason = "it holds no JSON"
    for start in starts:
        try:
            value, end = decoder.raw_decode(text, start)
        except RecursionError:
            raise ReplyError("the JSON is nested too deeply") from None
        except ReplyError:
            raise
        except ValueError as error:
            reason = f"its JSON cannot be read ({str(error).split(':')[0]})"
            continue
        if text[:start].strip() or text[end:].strip():
            issues.append("prose")
        return value
    raise ReplyError(reason)


def _refuse_constant(name: str) -> NoReturn:
    raise ReplyError(f"{name} is not a finite number")


def _unwrap(found: Any, space: SearchSpace) -> Any:
    """Takes a configuration out of objects or lists of one element that wrap it."""
    for _ in range(3):
        if isinstance(found, Mapping) and len(found) == 1 and not set(found) & set(space.names):
            found = next(iter(found.values()))
        elif isinstance(found, list) and len(found) == 1 and isinstance(found[0], (dict, list)):
            found = found[0]
        else:
            break
    return found


def _by_name(found: Mapping[str, Any], space: SearchSpace, issues: list[str]) -> Mapping[str, Any]:
    for name in found:
        if name not in space.names:
            issues.append(f"unknown:{str(name)[:40]}")
    missing = [name for name in space.names if name not in found]
    if missing:
        raise ReplyError(f"it lacks {', '.join(missing[:8])}{' and more' if len(missing) > 8 else ''}")
    return found


def _value(parameter: Parameter, given: Any, issues: list[str]) -> Value:
    name = parameter.name
    if isinstance(parameter, Choice):
        try:
            return parameter.clip(given)
        except (ValueError, TypeError):
            for choice in parameter.choices:
                if isinstance(given, (str, int, float)) and str(choice).lower() == str(given).strip().lower():
                    issues.append(f"type:{name}")
                    return choice
            raise ReplyError(f"{name} is {_show(given)}, not {parameter.describe()}") from None
    if isinstance(given, str):
        try:
            given = float(given)
        except ValueError:
            raise ReplyError(f"{name} is {_show(given)}, not a number") from None
        issues.append(f"type:{name}")
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ReplyError(f"{name} is {_show(given)}, not a number")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ReplyError(f"{name} is not a finite number")
    if not parameter.low <= number <= parameter.high:
        issues.append(f"clipped:{name}")
    value = parameter.clip(number)
    if value != number and parameter.low <= number <= parameter.high:
        issues.append(f"rounded:{name}")
    return value


def _show(value: Any) -> str:
    return f"{value!r:.60}"
