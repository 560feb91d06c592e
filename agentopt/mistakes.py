"""What is wrong with settings that pydantic has refused, in our own words: the one place that reads its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

_MUST_BE: Mapping[str, str] = {
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "string_too_short": "a text of {min_length} or more characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "bytes_too_short": "at least {min_length} bytes",
    "bytes_too_long": "at most {max_length} bytes",
    "enum": "{expected}",
    "literal_error": "{expected}",
    "int_parsing_size": "a whole number that is not as large",
    "url_scheme": "an address that begins with {expected_schemes}",
    "url_too_long": "an address of at most {max_length} characters",
    "is_instance_of": "of the type {class}",
    "is_subclass_of": "a class of the kind {class}",
    "callable_type": "a function",
    "invalid_key": "a table whose keys are texts",
    "none_required": "left out",
    "union_tag_invalid": "one of the kinds {expected_tags}",
    "date_past": "a date in the past",
    "date_future": "a date in the future",
    "datetime_past": "in the past",
    "datetime_future": "in the future",
}
"""What an entry must be, by the kind of the error."""
_IS: Mapping[str, str] = {
    "missing": "it is missing",
    "missing_argument": "it is missing",
    "missing_keyword_only_argument": "it is missing",
    "missing_positional_only_argument": "it is missing",
    "extra_forbidden": "it is not known here",
    "unexpected_keyword_argument": "it is not known here",
    "unexpected_positional_argument": "it has no name: there are more values than names",
    "multiple_argument_values": "it is given twice",
    "too_short": "it needs {min_length} or more entries",
    "too_long": "it may have {max_length} entries, no more",
    "json_invalid": "it is not JSON",
    "frozen_field": "it cannot be changed",
    "frozen_instance": "it cannot be changed",
    "set_item_not_hashable": "it has an entry that cannot be in a set",
}
"""What is wrong where that is no matter of the value alone."""
_KINDS: Mapping[str, str] = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a decimal number",
    "fraction": "a fraction",
    "complex": "a complex number",
    "bool": "true or false",
    "bytes": "bytes",
    "list": "a list",
    "tuple": "a list",
    "named_tuple": "a list",
    "set": "a list without repeats",
    "frozen_set": "a list without repeats",
    "deque": "a list",
    "iterable": "a list",
    "dict": "a table",
    "frozen_dict": "a table",
    "ordered_dict": "a table",
    "counter": "a table",
    "mapping": "a table",
    "model": "a table",
    "dataclass": "a table",
    "arguments": "a table",
    "json": "JSON",
    "url": "an address",
    "uuid": "a UUID",
    "date": "a date",
    "time": "a time",
    "time_delta": "a duration",
    "datetime": "a date with a time",
    "timezone": "a time of the right zone",
}
"""What an entry must be, by what the kind of the error begins with."""
_SILENT = {*_IS, "value_error", "assertion_error"} - {"too_short", "too_long"}
"""Errors whose text says it all: what was given is not repeated."""
_BRANCHES = {"str", "int", "float", "bool", "list", "dict", "none", "tuple"}
"""What pydantic puts into the place of an error for the type that it tried."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: the place of the entry, what is wrong with it, and what was given."""

    kind: str
    """The kind of the error as pydantic names it; `extra_forbidden` is a key that is not known."""
    place: tuple[str, ...]
    text: str
    given: str | None
    """What was given, short; None where the text says it all."""

    def __str__(self) -> str:
        """Returns `place: it must be a number (given 'high')`."""
        place = f"{'.'.join(self.place)}: " if self.place else ""
        return f"{place}{self.text}{'' if self.given is None else f' (given {self.given})'}"


def mistakes(error: ValidationError) -> list[Mistake]:
    """Returns what is wrong, one for each entry: the types that an entry may have are alternatives of one mistake."""
    found: list[Mistake] = []
    rest: list[Any] = list(error.errors(include_url=False))
    while rest:
        item = rest.pop(0)
        same = [e for e in rest if len(item["loc"]) > 1 and _alternatives(item, e)]
        rest = [e for e in rest if e not in same]
        place = item["loc"][:-1] if same else item["loc"]
        given = None if item["type"] in _SILENT else f"{item['input']!r:.60}"
        found.append(Mistake(item["type"], _place(place), _text([item, *same]), given))
    return found


def _alternatives(one: Any, other: Any) -> bool:
    return one["loc"][:-1] == other["loc"][:-1] and one["input"] is other["input"] and one["type"] not in _IS


def _place(parts: Sequence[int | str]) -> tuple[str, ...]:
    """Returns the place as the user wrote it."""
    words = [str(part) for part in parts]
    return tuple(word for n, word in enumerate(words) if n == 0 or (word not in _BRANCHES and "[" not in word))


def _text(items: Sequence[Any]) -> str:
    """Returns what is wrong with an entry; several items are what it may be instead."""
    first, *others = (_clause(item) for item in items)
    return ", or ".join([first, *(clause.removeprefix("it must be ") for clause in dict.fromkeys(others))])


def _clause(item: Any) -> str:
    kind = str(item["type"])
    context = {key: int(v) if isinstance(v, float) and v.is_integer() else v for key, v in item.get("ctx", {}).items()}
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", item["msg"]))
    if kind in _IS:
        return _IS[kind].format(**context)
    if kind in _MUST_BE:
        return f"it must be {_MUST_BE[kind].format(**context)}"
    starts = [start for start in _KINDS if kind == start or kind.startswith(f"{start}_")]
    return f"it must be {_KINDS[max(starts, key=len)]}" if starts else "it cannot be used"
