"""Replies: what is read out of them, what is mended, and what is refused."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentopt.llm.reply import configuration_schema, read_configuration
from agentopt.llm.values import ReplyError
from agentopt.space import Choice, Float, Int, SearchSpace

SPACE = SearchSpace(
    (
        Float("lr", 1e-4, 1.0, log=True),
        Int("depth", 1, 12),
        Int("batch", 32, 256, powers_of=2),
        Choice("act", ("a", "b")),
    )
)
GOOD = {"lr": 0.01, "depth": 4, "batch": 64, "act": "b"}


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        (json.dumps({"values": [0.01, 4, 64, "b"]}), ()),
        (json.dumps([0.01, 4, 64, "b"]), ()),
        (json.dumps(GOOD), ()),
        (json.dumps({"values": GOOD}), ()),
        (json.dumps({"params": [GOOD]}), ()),
        ("```json\n" + json.dumps(GOOD) + "\n```", ("prose",)),
        ("Sure! [maybe] Here: " + json.dumps(GOOD) + " as you wished", ("prose",)),
        (json.dumps({**GOOD, "momentum": 0.9}), ("unknown:momentum",)),
        (json.dumps({**GOOD, "lr": "0.01"}), ("type:lr",)),
        (json.dumps({**GOOD, "act": "B"}), ("type:act",)),
        (json.dumps({**GOOD, "depth": 4.2}), ("rounded:depth",)),
        (json.dumps({**GOOD, "batch": 70}), ("rounded:batch",)),
    ],
)
def test_a_configuration_is_found_however_it_is_wrapped(text, issues):
    read = read_configuration(text, SPACE)
    assert read.value == GOOD
    assert read.issues == issues


def test_values_outside_the_range_are_clipped_and_said_so():
    read = read_configuration(json.dumps({**GOOD, "lr": 1e300, "depth": -5}), SPACE)
    assert read.value == {**GOOD, "lr": 1.0, "depth": 1}
    assert read.issues == ("clipped:lr", "clipped:depth")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("I would raise the learning rate a little.", "no JSON"),
        (json.dumps(GOOD)[:-3], "cannot be read"),
        ("null", "no JSON"),
        ("[]", "0 values for 4"),
        ("{}", "lacks lr, depth, batch, act"),
        (json.dumps([1, 2]), "2 values for 4"),
        (json.dumps({**GOOD, "lr": float("nan")}), "NaN is not a finite"),
        (json.dumps({**GOOD, "lr": float("-inf")}), "-Infinity is not a finite"),
        (json.dumps(GOOD).replace("0.01", "1e999"), "lr is not a finite"),
        (json.dumps(GOOD).replace("0.01", "9" * 400), "lr is not a finite"),
        (json.dumps(GOOD).replace("0.01", "9" * 5000), "cannot be read"),
        (json.dumps({**GOOD, "lr": None}), "lr is None, not a number"),
        (json.dumps({**GOOD, "lr": True}), "lr is True, not a number"),
        (json.dumps({**GOOD, "lr": [0.01]}), "not a number"),
        (json.dumps({**GOOD, "lr": {"a": 1}}), "not a number"),
        (json.dumps({**GOOD, "lr": "high"}), "not a number"),
        (json.dumps({**GOOD, "act": "tanh"}), "not one of a, b"),
        (json.dumps({**GOOD, "act": ["a"]}), "not one of a, b"),
        ("x" * 1_000_000, "1000000 characters"),
        ("[" * 5000, "nested too deeply|cannot be read"),
    ],
)
def test_everything_else_is_refused_with_a_reason(text, reason):
    with pytest.raises(ReplyError, match=reason):
        read_configuration(text, SPACE)


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@settings(max_examples=300)
def test_no_text_breaks_the_reader(text):
    try:
        read = read_configuration(text, SPACE)
    except ReplyError:
        return
    assert SPACE.contains(read.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from([*SPACE.names, "x", "values"]), inner),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=300)
def test_no_json_breaks_the_reader(value):
    try:
        read = read_configuration(json.dumps(value), SPACE)
    except ReplyError:
        return
    assert SPACE.contains(read.value)


@pytest.mark.parametrize("form", ["array", "object"])
def test_what_follows_the_schema_is_read_without_issues(form):
    schema, rng = configuration_schema(SPACE, form), np.random.default_rng(0)
    for _ in range(50):
        params = SPACE.sample(rng)
        reply = {"values": list(params.values()) if form == "array" else params}
        jsonschema.validate(reply, schema)
        assert read_configuration(json.dumps(reply), SPACE).value == params
        assert read_configuration(json.dumps(reply), SPACE).issues == ()
