"""OPRO: the best come last, eight replies at once, and all of them are run."""

from __future__ import annotations

import json

import pytest
from method_runs import PROBLEM, Model, flaky, plane, reviewed, searching

from agentopt.optimizers.opro import Opro, OproOptions
from agentopt.testing.models import uniform
from agentopt.trial import Origin, Outcome, Status

LINE = plane("maximize")


def search(tmp_path, model, problem=LINE, judge=None, **options):
    """A simulated run of the method, not begun."""
    return searching(Opro, tmp_path, model, problem, judge, **options)


def shown(prompt):
    """The values that a prompt shows, in its order."""
    block = prompt.split("the best come last\n")[1].split("\n\n")[0]
    return [float(row.split("-> ")[1]) for row in block.splitlines()]


def test_eight_replies_are_asked_for_and_all_of_them_are_run(tmp_path):
    run = search(tmp_path, model := Model()).run(5 + 8 + 8)
    assert len(model.prompts) == 16
    assert len(set(model.prompts.values())) == 2, "the replies of a turn answer the same prompt"
    assert [s.origin for s in run.asked] == [Origin.RANDOM] * 5 + [Origin.LLM] * 16
    assert run.asked[5].note["pool"] == {"asked": 8, "accepted": 8}
    assert [s.note["turn"] for s in run.asked[5:]] == [1] * 8 + [2] * 8


def test_the_best_twenty_are_shown_the_best_last(tmp_path):
    run = search(tmp_path, model := Model()).run(5 + 8 * 5)
    values = sorted(-run.judge(0, s.params).values[0] for s in run.asked[: 5 + 8 * 4])
    last = shown(model.asked()[-1])
    assert len(last) == 20
    assert last == pytest.approx(values[-20:], rel=1e-5)
    assert "and higher than any of them" in model.prompts[0]


def test_the_model_gets_a_temperature_of_one():
    assert OproOptions.temperature == 1.0
    assert (OproOptions().replies, OproOptions().best, OproOptions().surrogate) == (8, 20, "none")


def test_what_is_there_twice_or_not_at_all_is_drawn(tmp_path):
    def answer(prompt, view):
        if view["call"] % 2:
            return json.dumps({"candidates": [{"values": [0.5, 0.5]}]})
        return uniform(prompt, view) if view["call"] % 4 else "none"

    run = search(tmp_path, model := Model(answer)).run(5 + 8)
    turn = run.asked[5:]
    pool = turn[0].note["pool"]
    assert pool["asked"] == 8
    assert pool["accepted"] + pool.get("missing", 0) + pool.get("duplicate", 0) == 8
    assert pool["duplicate"] >= 1
    assert sum(s.origin is Origin.FALLBACK for s in turn) == 8 - pool["accepted"]
    assert len(model.prompts) <= 16
    assert len({LINE.space.key(s.params) for s in run.asked}) == 13


def test_a_surrogate_may_choose_among_them(tmp_path):
    run = search(tmp_path, Model(), surrogate="neighbours", batch=2).run(5 + 6)
    assert {s.note["turn"] for s in run.asked[5:]} == {1, 2, 3}
    assert all("predicted" in s.note for s in run.asked[5:])
    control = search(tmp_path, Model(), sampler="uniform").run(5 + 8)
    assert [s.origin for s in control.asked[5:]] == [Origin.CONTROL] * 8


def test_several_candidates_in_one_reply(tmp_path):
    run = search(tmp_path, model := Model(), replies=2, candidates=3).run(5 + 6)
    assert len(model.prompts) == 2
    assert "Give 3 new configurations that are different" in model.prompts[0]
    assert [s.origin for s in run.asked[5:]] == [Origin.LLM] * 6


def test_before_anything_completed_it_says_so(tmp_path):
    search(tmp_path, model := Model(), judge=lambda *_: Outcome(Status.FAILED, error="no"), initial=0).run(9)
    assert all("None has completed yet." in prompt for prompt in model.prompts.values())


def test_the_prompt_is_as_it_was_reviewed(tmp_path):
    search(tmp_path, model := Model(), PROBLEM, flaky).run(5 + 8 * 3)
    prompt = model.asked()[-1]
    assert prompt == reviewed("opro-propose", prompt)
