"""Turns whatever an evaluation returns or raises into a typed outcome."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from agentopt.protocols import Objective
from agentopt.trial import Outcome, Status

_ERROR_CHARS = 2000


def guarded(call: Callable[[], object], objectives: Sequence[Objective]) -> Outcome:
    """Returns the outcome of a call: what it returned, read by `outcome_of`, or the failure that it raised."""
    try:
        returned = call()
        return returned if isinstance(returned, Outcome) else outcome_of(returned, objectives)
    except MemoryError as error:
        return failure(Status.OOM, f"MemoryError: {error}".rstrip(": "))
    except (Exception, SystemExit) as error:
        oom = "OutOfMemory" in type(error).__name__ or "out of memory" in str(error).lower()
        return failure(Status.OOM if oom else Status.FAILED, _describe(error))


class NoResultError(ValueError):
    """What was returned is no result; the text says what was expected."""


def outcome_of(returned: object, objectives: Sequence[Objective]) -> Outcome:
    """Returns the outcome that a returned value stands for: a failed one that says what was expected for no result."""
    try:
        return read_outcome(returned, objectives)
    except NoResultError as error:
        return failure(Status.FAILED, str(error))


def read_outcome(returned: object, objectives: Sequence[Objective]) -> Outcome:
    """Returns the outcome that a returned value stands for; raises NoResultError for anything else.

    A number is the value of the only objective; a sequence holds one number per objective, in order; a mapping holds
    each objective by its name, further numbers as metrics, and may hold `status` (a `Status`, for a failure that the
    code noticed by itself) with `error`. Numbers that are not finite make a failed outcome.
    """
    if isinstance(returned, Mapping):
        return _from_mapping(returned, objectives)
    values = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    if len(values) != len(objectives):
        names = ", ".join(objective.name for objective in objectives)
        raise NoResultError(f"returned {len(values)} values for {len(objectives)} objectives ({names})")
    return _from_values(values, objectives, {})


def failure(status: Status, error: str) -> Outcome:
    """Returns an outcome without values; a long error keeps its end, where the cause stands."""
    return Outcome(status=status, error=error if len(error) <= _ERROR_CHARS else f"...{error[-_ERROR_CHARS:]}")


def _from_mapping(returned: Mapping[Any, Any], objectives: Sequence[Objective]) -> Outcome:
    read = {str(k): _number(v) for k, v in returned.items()}
    numbers = {k: number for k, number in read.items() if number is not None and math.isfinite(number)}
    if "status" in returned:
        try:
            status = Status(str(returned["status"]))
        except ValueError:
            known = ", ".join(status.value for status in Status)
            raise NoResultError(f"returned the status {returned['status']!r:.60}; known: {known}") from None
        if status is not Status.COMPLETE:
            return Outcome(status=status, metrics=numbers, error=str(returned.get("error", ""))[-_ERROR_CHARS:])
    missing = [objective.name for objective in objectives if objective.name not in returned]
    if missing:
        held = ", ".join(str(name) for name in returned)[:200] or "nothing"
        raise NoResultError(f"returned no {', '.join(missing)}; it holds {held}")
    names = {objective.name for objective in objectives}
    metrics = {name: number for name, number in numbers.items() if name not in names}
    return _from_values([returned[objective.name] for objective in objectives], objectives, metrics)


def _from_values(values: Sequence[object], objectives: Sequence[Objective], metrics: Mapping[str, float]) -> Outcome:
    numbers = []
    for value, objective in zip(values, objectives, strict=True):
        number = _number(value)
        if number is None:
            raise NoResultError(f"{objective.name} is {value!r:.80}, a {type(value).__name__}, not a number")
        if not math.isfinite(number):
            return failure(Status.FAILED, f"{objective.name} is {number}, not a finite number")
        numbers.append(number)
    return Outcome(status=Status.COMPLETE, values=tuple(numbers), metrics=metrics)


def _number(value: Any) -> float | None:
    """Returns a real number, or what an array of one holds (numpy, torch), as a float; None for anything else."""
    if (
        not isinstance(value, Real)
        and tuple(getattr(value, "shape", None) or ()) in ((), (1,))
        and hasattr(value, "item")
    ):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _describe(error: BaseException) -> str:
    lines = traceback.format_exception(error)
    return "".join(lines).strip()
