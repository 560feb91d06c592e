"""An endpoint that speaks the protocol badly: a bad answer is tried again, a refusal is not."""

from __future__ import annotations

import json

import pytest
from endpoints import GOOD

from agentopt.errors import ModelUnavailable
from agentopt.ledger import read_ledger
from agentopt.llm import ModelSettings, open_gateway
from agentopt.llm.openai import OpenAIBackend
from agentopt.llm.values import Read


def _gateway(endpoint, run):
    return open_gateway(ModelSettings(name="m", base_url=endpoint[0], retries=1), run, 0, print)


@pytest.mark.parametrize(
    "bad",
    [
        (200, "not json"),
        (200, "[]"),
        (200, json.dumps({"choices": []})),
        (200, json.dumps({"choices": None})),
        (200, json.dumps({"error": {"message": "busy"}})),
        (200, json.dumps({**GOOD, "choices": [{"index": 0, "message": None}]})),
        (200, json.dumps({**GOOD, "usage": []})),
        (500, "oops"),
        (429, "{}"),
    ],
)
def test_an_answer_that_is_no_reply_is_asked_for_again(endpoint, tmp_path, bad):
    endpoint[1].extend([bad, (200, json.dumps(GOOD))])
    assert _gateway(endpoint, tmp_path).ask("Well?", Read)[0].value == "yes"
    assert [exchange.status for exchange in read_ledger(tmp_path)] == ["error", "ok"]


def test_an_answer_that_is_no_reply_is_quoted_where_no_other_comes(endpoint, tmp_path):
    endpoint[1].extend([(200, json.dumps({"choices": None}))] * 2)
    with pytest.raises(ModelUnavailable, match=r"does not answer: .*not a chat completion: .*choices"):
        _gateway(endpoint, tmp_path).ask("Well?", Read)


@pytest.mark.parametrize("fault", [TypeError, AttributeError])
def test_an_error_of_our_own_is_no_outage(endpoint, tmp_path, monkeypatch, fault):
    """What the client is given is wrong: it is seen at once, as what it is."""

    def options(self, request):
        raise fault("options() is wrong")

    asked = _gateway(endpoint, tmp_path)
    monkeypatch.setattr(OpenAIBackend, "options", options)
    with pytest.raises(fault, match=r"options\(\) is wrong"):
        asked.ask("Well?", Read)
    assert read_ledger(tmp_path) == []


def test_an_argument_that_the_client_does_not_know_is_not_tried_again(endpoint, tmp_path, monkeypatch):
    endpoint[1].extend([(200, json.dumps(GOOD))] * 2)
    asked = _gateway(endpoint, tmp_path)
    monkeypatch.setattr(OpenAIBackend, "options", lambda *_: {"temprature": 1.0})
    with pytest.raises(TypeError, match="temprature"):
        asked.ask("Well?", Read)
    assert len(endpoint[1]) == 2
    assert read_ledger(tmp_path) == []


def test_a_refusal_is_not_tried_again(endpoint, tmp_path):
    endpoint[1].append((400, json.dumps({"error": {"message": "too long"}})))
    with pytest.raises(ModelUnavailable, match="refused a request"):
        _gateway(endpoint, tmp_path).ask("Well?", Read)


def test_an_empty_content_is_an_empty_reply(endpoint, tmp_path):
    empty = json.loads(json.dumps(GOOD))
    empty["choices"][0]["message"]["content"] = None
    endpoint[1].append((200, json.dumps(empty)))
    assert _gateway(endpoint, tmp_path).ask("Well?", Read)[0].value == ""
