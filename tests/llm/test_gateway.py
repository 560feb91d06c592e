"""The gateway: the repair round, retries, the ledger, and replay from it."""

from __future__ import annotations

import json
import threading
import time

import pytest

from agentopt.errors import ModelUnavailable, OutOfTime, ReplayMismatch, UsageError
from agentopt.ledger import read_ledger
from agentopt.llm import ModelSettings, open_gateway
from agentopt.llm.gateway import Gateway
from agentopt.llm.scripted import ScriptedBackend
from agentopt.llm.values import PromptTooLong, Read, ReplyError

SETTINGS = ModelSettings(name="scripted:test", retries=2, timeout=0.2)


def number(text: str) -> Read[int]:
    """Reads an integer."""
    try:
        return Read(int(text))
    except ValueError:
        raise ReplyError(f"{text[:20]!r} is not an integer") from None


def gateway(run, script, **settings):
    return Gateway(ScriptedBackend("scripted:test", script), run, SETTINGS.model_copy(update=settings), seed=1)


def test_a_reply_is_read_and_written_down(tmp_path):
    with_view = gateway(tmp_path, lambda prompt, view: f"{view['seven']}")
    (reply,) = with_view.ask("How many?", number, view={"seven": 7})
    assert (reply.value, reply.calls, reply.issues) == (7, (0,), ())
    (exchange,) = read_ledger(tmp_path)
    assert (exchange.status, exchange.prompt, exchange.reply, exchange.call) == ("ok", "How many?", "7", 0)
    assert exchange.prompt_tokens == 2


def test_an_unreadable_reply_is_sent_back_once_with_the_reason(tmp_path):
    prompts = []

    def script(prompt, view):
        prompts.append(prompt)
        return "none" if len(prompts) == 1 else "3"

    (reply,) = gateway(tmp_path, script).ask("How many?", number)
    assert (reply.value, reply.calls) == (3, (0, 1))
    assert "'none' is not an integer" in prompts[1]
    assert prompts[1].startswith("How many?")
    assert [(e.call, e.status, e.repairs) for e in read_ledger(tmp_path)] == [(0, "invalid", None), (1, "ok", 0)]


def test_a_reply_that_stays_unreadable_is_none_with_its_reason(tmp_path):
    calls = []
    (reply,) = gateway(tmp_path, lambda *_: calls.append(1) or "never").ask("How many?", number)
    assert (reply.value, len(calls)) == (None, 2)
    assert "not an integer" in reply.reason


def test_errors_of_transport_are_tried_again_and_written_down(tmp_path):
    calls = []

    def script(prompt, view):
        calls.append(view["call"])
        if len(calls) < 3:
            raise ConnectionError("reset")
        return "5"

    (reply,) = gateway(tmp_path, script).ask("How many?", number)
    assert (reply.value, calls) == (5, [0, 0, 0])
    assert [e.status for e in read_ledger(tmp_path)] == ["error", "error", "ok"]


def test_a_model_that_never_answers_stops_the_run(tmp_path):
    slow = gateway(tmp_path, lambda *_: ("5", 9.0), retries=1)
    with pytest.raises(ModelUnavailable, match=r"does not answer.*0\.2 s"):
        slow.ask("How many?", number)


def test_a_model_that_was_brought_back_is_asked_again(tmp_path):
    class Mortal(ScriptedBackend):
        alive = False

        def recover(self):
            self.alive = True
            return True

    def script(prompt, view):
        if not backend.alive:
            raise ConnectionError("dead")
        return "1"

    backend = Mortal("scripted:mortal", script)
    (reply,) = Gateway(backend, tmp_path, SETTINGS, 0).ask("How many?", number)
    assert reply.value == 1


def test_an_error_that_is_not_of_transport_is_not_tried_again(tmp_path):
    calls = []

    def script(prompt, view):
        calls.append(1)
        raise KeyError("bug in the script")

    with pytest.raises(ModelUnavailable, match="bug in the script"):
        gateway(tmp_path, script).ask("How many?", number)
    assert len(calls) == 1


@pytest.mark.parametrize("answer", [lambda: None.text, lambda: {"a": object()}, lambda: no_such_name])  # noqa: F821
def test_a_fault_of_a_script_is_its_own(tmp_path, answer):
    with pytest.raises(ModelUnavailable, match=r"refused a request: ScriptFault: (AttributeError|TypeError|NameError)"):
        gateway(tmp_path, lambda *_: answer()).ask("How many?", number)


def test_each_form_of_reply_has_its_own_words_for_a_repair(tmp_path, monkeypatch):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "plain.md.j2").write_text("Plainly: {{ reason }}!")
    monkeypatch.chdir(tmp_path)
    prompts = []
    asked = gateway(tmp_path / "run", lambda prompt, _: prompts.append(prompt) or "none")
    asked.ask("How many?", number, repair="plain")
    asked.ask("How many?", number)
    assert prompts[1].endswith("Plainly: 'none' is not an integer!")
    assert "JSON" not in prompts[1]
    assert "with the JSON alone" in prompts[3]


def test_a_repair_that_was_acted_upon_is_taken_though_it_asked_in_other_words(tmp_path, monkeypatch):
    (tmp_path / "prompts" / "llm").mkdir(parents=True)
    (tmp_path / "prompts" / "llm" / "repair.md.j2").write_text("{{ reason }} (as it was asked once)")
    monkeypatch.chdir(tmp_path)
    run, backend = tmp_path / "run", ScriptedBackend("scripted:test", lambda *_: "9")
    first = gateway(run, lambda _, view: "none" if view["call"] == 0 else "3")
    assert first.ask("How many?", number)[0].value == 3
    first.close()
    (tmp_path / "prompts" / "llm" / "repair.md.j2").unlink()
    assert Gateway(backend, run, SETTINGS, 1, acknowledged=2).ask("How many?", number)[0].value == 3
    assert Gateway(backend, run, SETTINGS, 1, acknowledged=1).ask("How many?", number)[0].value == 9


def test_a_prompt_that_does_not_fit_is_a_reply_that_says_so_now_and_after_a_resume(tmp_path):
    def script(prompt, view):
        if len(prompt) > 20:
            raise PromptTooLong("it has 21 tokens, and the model takes at most 20")
        return "5"

    asked = gateway(tmp_path, script)
    (long,) = asked.ask("How many are there of them?", number)
    (short,) = asked.ask("How many?", number)
    assert (long.value, long.too_long, long.calls) == (None, True, (0,))
    assert long.reason == "the prompt is too long: it has 21 tokens, and the model takes at most 20"
    assert (short.value, short.too_long) == (5, False)
    assert [e.status for e in read_ledger(tmp_path)] == ["too_long", "ok"]

    again = Gateway(ScriptedBackend("scripted:test", script), tmp_path, SETTINGS, seed=1, acknowledged=2)
    assert again.ask("How many are there of them?", number) == [long]


def test_many_replies_are_asked_for_at_once_and_keep_their_order(tmp_path):
    barrier = threading.Barrier(4, timeout=5)

    def script(prompt, view):
        if view["call"] < 4:
            barrier.wait()
        return "x" if view["call"] == 2 else str(view["call"])

    replies = gateway(tmp_path, script, timeout=9).ask("How many?", number, n=4)
    assert [(r.value, r.calls) for r in replies] == [(0, (0,)), (1, (1,)), (4, (2, 4)), (3, (3,))]


@pytest.mark.parametrize("n", [1, 3])
def test_no_reply_is_waited_for_longer_than_the_time_that_is_left(tmp_path, n):
    first = gateway(tmp_path, lambda *_: "1", timeout=60)
    first.ask("a", number)
    first.close()
    second = gateway(tmp_path, lambda *_: ("2", 30), timeout=60)
    second.seconds_left = lambda: 0.2
    start = time.monotonic()
    assert second.ask("a", number)[0].value == 1  # a recorded reply takes no time
    with pytest.raises(OutOfTime):
        second.ask("b", number, n=n)
    assert time.monotonic() - start < 5


def test_recorded_replies_are_not_asked_for_again(tmp_path):
    first = gateway(tmp_path, lambda _, view: str(view["call"]))
    assert [first.ask("a", number)[0].value, first.ask("b", number)[0].value] == [0, 1]
    first.close()
    second = gateway(tmp_path, lambda _, view: str(100 + view["call"]))
    assert [second.ask(p, number)[0].value for p in "abc"] == [0, 1, 102]


def test_a_prompt_that_differs_from_the_recorded_one_is_refused_where_the_run_builds_on_it(tmp_path):
    first = gateway(tmp_path, lambda *_: "1")
    first.ask("a", number)
    first.close()
    backend = ScriptedBackend("scripted:test", lambda *_: "2")
    with pytest.raises(ReplayMismatch, match="LLM call 0"):
        Gateway(backend, tmp_path, SETTINGS, 1, acknowledged=1).ask("other", number)
    assert Gateway(backend, tmp_path, SETTINGS, 1).ask("other", number)[0].value == 2


def test_seeds_differ_by_call_and_not_by_run(tmp_path):
    seen = []
    for run in "ab":
        g = gateway(tmp_path / run, lambda _, view: seen.append(view["seed"]) or "1")
        g.ask("p", number, n=1)
        g.ask("p", number, n=1)
    assert seen[:2] == seen[2:]
    assert seen[0] != seen[1]


def test_a_file_of_replies_is_used_in_order_and_again(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('"1"\n{"text": "2", "delay": 0.01}\n\n"3"\n')
    g = open_gateway(ModelSettings(name=f"scripted:{path}"), tmp_path / "run", 0, print)
    assert [g.ask("p", number)[0].value for _ in range(5)] == [1, 2, 3, 1, 2]


def test_a_file_of_replies_may_hold_separators_of_lines_that_json_allows_in_a_text(tmp_path):
    path, text = tmp_path / "r.jsonl", "a\u2028b\u0085c\u000b"
    path.write_text(json.dumps(text, ensure_ascii=False) + "\n")
    g = open_gateway(ModelSettings(name=f"scripted:{path}"), tmp_path / "run", 0, print)
    assert g.ask("p", Read)[0].value == text


@pytest.mark.parametrize(
    "line", ["{", "7", '{"txt": "a"}', '{"text": "a", "delay": -1}', '{"text": "a", "delay": "x"}']
)
def test_a_bad_line_of_replies_is_named(tmp_path, line):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps("good") + "\n" + line + "\n")
    with pytest.raises(UsageError, match="line 2"):
        open_gateway(ModelSettings(name=f"scripted:{path}"), tmp_path / "run", 0, print)


@pytest.mark.parametrize(
    "name", ["scripted:nothing.jsonl", "scripted:json:nothing", "scripted:no_such_mod:f", "scripted:x"]
)
def test_a_script_that_cannot_be_had_is_a_usage_error(tmp_path, name):
    with pytest.raises(UsageError):
        open_gateway(ModelSettings(name=name), tmp_path, 0, print)
