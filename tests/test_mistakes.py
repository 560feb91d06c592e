"""What is wrong with settings is said in our words, whatever pydantic would say."""

from __future__ import annotations

import typing

import pytest
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, core_schema

from agentopt import Choice, Float, Int
from agentopt.command import _File
from agentopt.config import RunConfig
from agentopt.llm.settings import ModelSettings
from agentopt.mistakes import mistakes
from agentopt.optimizers import METHODS, load_method

ERRORS = sorted(set(typing.get_args(core_schema.ErrorType)) - {"value_error", "assertion_error"})
CONTEXT = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "actual_length"), 3),
    **dict.fromkeys(("max_digits", "decimal_places", "whole_digits", "expected_version"), 3),
    **dict.fromkeys(("tz_expected", "tz_actual"), 3),
    **dict.fromkeys(("attribute", "error", "method_name", "class_name", "field_type", "pattern", "expected"), "WORD"),
    **dict.fromkeys(("encoding", "encoding_error", "class", "discriminator", "tag", "expected_tags"), "WORD"),
    "expected_schemes": "WORD",
}
THEIRS = ("Input", "should", "valid ", "Field required", "permitted", "Unable", "Value error", "argument")


def details(kind, place=("field",), given="given"):
    return InitErrorDetails(type=kind, loc=place, input=given, ctx=CONTEXT)


def refused(*items):
    return ValidationError.from_exception_data("Toy", list(items))


@pytest.mark.parametrize("kind", ERRORS)
def test_every_kind_of_error_has_words_of_our_own(kind):
    (mistake,) = mistakes(refused(details(kind)))
    assert str(mistake).startswith("field: it ")
    assert not any(word in str(mistake) for word in THEIRS), mistake
    assert str(mistake) != f"field: it cannot be used (given {'given'!r})" or kind in RARE


RARE = {
    *("no_such_attribute", "needs_python_object", "recursion_loop", "recursion_depth_exceeded", "get_attribute_error"),
    *(
        "default_factory_not_called",
        "iteration_error",
        "missing_sentinel_error",
        "ellipsis_error",
        "union_tag_not_found",
    ),
}
"""What no model of settings can raise: they read no attributes and hold no loops."""


def test_what_a_check_of_ours_says_is_repeated_as_it_is():
    ours = InitErrorDetails(type="value_error", loc=(), input=1, ctx={"error": ValueError("low")})
    assert str(mistakes(refused(ours))[0]) == "low"


def test_the_types_of_an_entry_are_alternatives():
    items = [details("float_type", ("a", "float"), []), details("none_required", ("a", "none"), [])]
    items[1]["input"] = items[0]["input"]
    assert [str(m) for m in mistakes(refused(*items))] == ["a: it must be a number, or left out (given [])"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Float("x", 0, "high"), "high: it must be a number (given 'high')"),
        (lambda: Float("x", 0, 1, low=2), "low: it is given twice"),
        (lambda: Float("x", 0, 1, lo=2), "lo: it is not known here"),
        (lambda: Int("n", 1, 2.5), "high: it must be a whole number (given 2.5)"),
        (lambda: Choice("kind"), "choices: it is missing"),
        (lambda: Choice("kind", 3), "choices: it must be a list (given 3)"),
        (lambda: ModelSettings(name=""), "name: it must be a text of 1 or more characters (given '')"),
        (lambda: RunConfig(method="m", workers=0), "workers: it must be 1 or more (given 0)"),
        (lambda: RunConfig(method="m", executor="far"), "executor: it must be 'local' or 'ray' (given 'far')"),
        (lambda: _File(command=[], space={"x": {}}), "command: it needs 1 or more entries (given [])"),
        (lambda: _File(command=3, space={"x": {}}), "command: it must be a text, or a list (given 3)"),
    ],
)
def test_settings_that_cannot_be(make, said):
    with pytest.raises(ValidationError) as error:
        make()
    assert str(mistakes(error.value)[0]) == said


@pytest.mark.parametrize("method", METHODS)
def test_the_options_of_methods(method):
    options = load_method(method).Options
    for name in options.model_fields:
        for given in ("odd", -1e99, None, [], {}, 1.5):
            try:
                options.model_validate({name: given})
            except ValidationError as error:
                for mistake in mistakes(error):
                    assert not any(word in mistake.text for word in THEIRS), mistake
