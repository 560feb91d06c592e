"""Several candidates in one reply: what is read, what is left out, and what a reply that was cut short still gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.llm.candidates import candidates_schema, read_candidates
from agentopt.llm.values import ReplyError
from agentopt.space import Choice, Float, Int, SearchSpace

SPACE = SearchSpace((Float("lr", 0.0, 1.0), Int("depth", 1, 8), Choice("act", ("a", "b"))))
GOOD = {"values": [0.5, 3, "a"], "predicted": 1.5}


def reply(*items):
    return json.dumps({"candidates": list(items)})


def test_candidates_come_with_what_the_model_predicts():
    found = read_candidates(reply(GOOD, {"values": {"lr": 0.1, "depth": 2, "act": "b"}, "predicted": "2"}), SPACE, 1)
    assert [(d.params, d.predicted, d.outside) for d in found.value] == [
        ({"lr": 0.5, "depth": 3, "act": "a"}, (1.5,), False),
        ({"lr": 0.1, "depth": 2, "act": "b"}, (2.0,), False),
    ]
    assert found.issues == ()


def test_what_cannot_be_read_is_left_out_and_counted():
    found = read_candidates(
        reply(GOOD, {"values": [1, 2]}, "no", {"values": [2.0, 3, "a"], "predicted": None}), SPACE, 1
    )
    assert [(d.predicted, d.outside) for d in found.value] == [((1.5,), False), (None, True)]
    assert sorted(found.issues) == ["clipped:lr", "no_prediction", "unreadable", "unreadable"]


def test_a_reply_that_was_cut_short_gives_its_whole_candidates():
    text = reply(GOOD, {**GOOD, "values": [0.25, 4, "b"]}, GOOD)
    found = read_candidates("Here:\n" + text[: text.rindex("values") + 12], SPACE, 1)
    assert [d.params["lr"] for d in found.value] == [0.5, 0.25]
    assert "cut" in found.issues


@pytest.mark.parametrize("text", [json.dumps([GOOD, GOOD]), json.dumps([[0.5, 3, "a"], [0.2, 3, "a"]])])
def test_a_bare_list_will_do(text):
    assert len(read_candidates(text, SPACE, 0).value) == 2


def test_one_configuration_will_do():
    assert len(read_candidates(json.dumps(GOOD), SPACE, 1).value) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the reply is empty"),
        ("I would rather not.", "it holds no JSON"),
        (reply(), "it holds no candidates"),
        (reply({"values": [1]}), "1 values for 3 parameters"),
        ('{"candidates": 3}', "3 parameters|configuration|lacks"),
    ],
)
def test_a_reply_without_a_candidate_says_why(text, reason):
    with pytest.raises(ReplyError, match=reason):
        read_candidates(text, SPACE, 1)


@pytest.mark.parametrize(
    ("given", "read"),
    [([1, 2], (1.0, 2.0)), ({"f1": 1, "f2": 2}, (1.0, 2.0)), ([1], None), ([1, float("inf")], None), (True, None)],
)
def test_predictions_of_several_objectives(given, read):
    text = json.dumps({"candidates": [{"values": [0.5, 3, "a"], "predicted": given}]}).replace("Infinity", "1e999")
    assert read_candidates(text, SPACE, 2).value[0].predicted == read


@given(st.text(max_size=300))
def test_no_text_breaks_it(text):
    for words in (text, reply(GOOD)[: len(text)] + text):
        try:
            found = read_candidates(words, SPACE, 1)
        except ReplyError:
            continue
        assert all(SPACE.contains(draft.params) for draft in found.value)


@pytest.mark.parametrize("predicted", [0, 1, 3])
def test_the_schema_asks_for_as_many_candidates(predicted):
    schema = candidates_schema(SPACE.json_schema("array"), 5, predicted)["properties"]["candidates"]
    assert (schema["minItems"], schema["maxItems"]) == (5, 5)
    assert ("predicted" in schema["items"]["required"]) == (predicted > 0)


def test_the_work_on_a_hostile_reply_is_bounded():
    """Each brace that begins nothing may take as long as the text is: reading on would take minutes."""
    good = json.dumps(GOOD)
    assert len(read_candidates("{ " * 400 + good, SPACE, 1).value) == 1
    with pytest.raises(ReplyError, match="its JSON cannot be read"):
        read_candidates("{ " * 600 + good, SPACE, 1)
    with pytest.raises(ReplyError, match="the reply is too long: 70"):
        read_candidates("x" * 70_000 + good, SPACE, 1)
