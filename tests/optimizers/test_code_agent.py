"""Autoresearch: what the model is asked, what becomes of its replies, and the numbers' tuning in between."""

from __future__ import annotations

import re

import method_runs
import numpy as np
import pytest
from method_runs import building, reviewed

from agentopt.code.literals import read_literals
from agentopt.errors import ModelUnavailable
from agentopt.llm.values import PromptTooLong
from agentopt.optimizers.autoresearch import Autoresearch, AutoresearchOptions
from agentopt.protocols import Code, Objective, Problem
from agentopt.space import Float, Int, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Trial

TEXT = """DEPTH = 2
RATE = 0.5  # learning rate

def build():
    return DEPTH

def main():
    pass
"""
SPACE = SearchSpace((Int("DEPTH", 1, 8, default=2), Float("RATE", 0.0, 1.0, default=0.5)))
CODE = Code("train.py", TEXT, "Change anything.", ("build", "main"))
PROBLEM = Problem(SPACE, (Objective("val_bpb"),), "A toy.", 60, code=CODE)


def block(old, new, words="try it"):
    return f"{words}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"


def loss(text, replicate=0):
    values = read_literals(text).values
    return abs(values.get("DEPTH", 2) - 6) + abs(values.get("RATE", 0.5) - 0.1) + 0.001 * replicate


def evaluate(number, suggestion):
    edit = suggestion.edit
    text = TEXT if edit is None else edit.text
    if "boom" in text:
        outcome = Outcome(Status.FAILED, error="Traceback\nNameError: boom is not defined")
    else:
        outcome = Outcome(Status.COMPLETE, (loss(text, 0 if edit is None else edit.replicate),))
    return Trial(number, suggestion.params, outcome, suggestion.origin, suggestion.token, suggestion.note, edit=edit)


def agent(tmp_path, script, seed=0, **options):
    return building(Autoresearch, tmp_path, script, **options)(PROBLEM, seed)


def drive(search, trials, width=1):
    """Runs the first version as a study does, then the search's suggestions; returns all of them by trial."""
    search.tell(Trial(0, SPACE.defaults(), Outcome(Status.COMPLETE, (loss(TEXT),)), Origin.BASELINE))
    return method_runs.drive(search, trials, evaluate, width)


def bumps_depth(prompt, view):
    depth = int(re.search(r"^DEPTH = (\d+)", view["text"], re.MULTILINE)[1])
    return block(f"DEPTH = {depth}", f"DEPTH = {depth + 1}", f"Deeper: {depth + 1}")


def test_it_climbs_by_keeping_what_helps(tmp_path):
    search = agent(tmp_path, bumps_depth)
    made = drive(search, 7)
    assert made[0].origin is Origin.REPEAT
    assert made[0].edit.replicate == 1
    assert [read_literals(s.edit.text).values["DEPTH"] for s in made[1:]] == [3, 4, 5, 6, 7, 6]
    assert [s.edit.parent for s in made[1:6]] == [None, 2, 3, 4, 5]
    assert made[5].origin is Origin.LLM
    state = search.explain()
    assert state["kept"] == [None, 2, 3, 4, 5]
    assert state["noise_floor"] == pytest.approx(0.001)
    # The same edit of the same version again is refused, and a step of the numbers takes its place.
    assert made[6].origin is Origin.FALLBACK
    assert "run before (Deeper: 7)" in made[6].note["reason"]


def test_a_crash_is_mended_once_with_its_error_shown(tmp_path):
    prompts = []

    def script(prompt, view):
        prompts.append(prompt)
        if view["error"]:
            return block("    return boom", "    return DEPTH + 1", "Mend it")
        return block("    return DEPTH", "    return boom", "Break it") if len(prompts) == 1 else bumps_depth("", view)

    made = drive(agent(tmp_path, script), 4)
    assert [s.note["role"] for s in made] == ["again", "edit", "fix", "edit"]
    assert made[2].edit.parent == 2
    assert "NameError: boom is not defined" in prompts[1]
    assert "it crashed" in prompts[1]
    assert "boom" not in prompts[2].split("# Experiments")[0]
    assert "2. crash" in prompts[2]


def test_no_mending_where_it_is_switched_off(tmp_path):
    made = drive(agent(tmp_path, lambda *_: block("    return DEPTH", "    return boom"), fix=False), 4)
    assert [s.note["role"] for s in made] == ["again", "edit", "edit", "edit"]


def test_a_near_tie_runs_again_on_the_second_seed(tmp_path):
    def script(prompt, view):
        return block("RATE = 0.5  # learning rate", "RATE = 0.4985")

    search = agent(tmp_path, script)
    made = drive(search, 3)
    assert [s.note["role"] for s in made] == ["again", "edit", "again"]
    assert made[2].edit.replicate == 1
    assert made[2].edit.text == made[1].edit.text
    assert made[2].note["again"] == 2
    assert search.explain()["kept"] == [None, 2]


def test_a_repair_asks_for_an_edit_and_not_for_json(tmp_path):
    prompts = []

    def script(prompt, view):
        prompts.append(prompt)
        return '{"DEPTH": 3}' if len(prompts) == 1 else block("DEPTH = 2", "DEPTH = 3")

    made = drive(agent(tmp_path, script), 2)
    assert made[1].origin is Origin.LLM
    assert "JSON" not in prompts[1]
    _, repair = prompts[1].removeprefix(prompts[0]).split('{"DEPTH": 3}\n\n')
    assert repair == method_runs.reviewed("autoresearch-repair", repair)


def test_unusable_replies_fall_back_or_stop(tmp_path):
    made = drive(agent(tmp_path / "a", lambda *_: "I cannot do that."), 3)
    assert {s.origin for s in made[1:]} == {Origin.FALLBACK}
    assert "no edit" in made[1].note["reason"]
    assert SPACE.contains(made[1].params)
    assert made[1].edit.text != TEXT
    with pytest.raises(ModelUnavailable, match="fallback=stop"):
        drive(agent(tmp_path / "b", lambda *_: "No.", fallback="stop"), 3)


def test_a_prompt_that_is_too_long_is_asked_again_with_fewer_experiments(tmp_path):
    shown = []

    def script(prompt, view):
        lines = re.findall(r"^\d+\. (?:keep|discard|again|crash)", prompt, re.MULTILINE)
        shown.append(len(lines))
        if len(lines) > 3:
            raise PromptTooLong("no room")
        value = read_literals(view["text"]).values["DEPTH"]
        return block(f"DEPTH = {value}", f"DEPTH = {value % 8 + 1}", f"depth {len(shown)}")

    search = agent(tmp_path, script, recent=8, noise_floor=0.001)
    suggestions = drive(search, 9)
    assert max(shown) > 3
    assert {s.origin for s in suggestions[:5]} == {Origin.LLM}
    assert all(count <= 3 for count in shown[-2:])


def test_a_prompt_that_never_fits_falls_back(tmp_path):
    def script(prompt, view):
        raise PromptTooLong("no room")

    suggestions = drive(agent(tmp_path, script, noise_floor=0.001), 2)
    assert [s.note["reason"] for s in suggestions] == ["the prompt is too long: no room"] * 2


def test_the_control_needs_no_model():
    search = Autoresearch(PROBLEM, AutoresearchOptions(sampler="incumbent"), np.random.default_rng(1))
    made = drive(search, 30)
    assert {s.origin for s in made} == {Origin.CONTROL, Origin.REPEAT}
    best = search._keeper.best
    assert loss(best.text) < loss(TEXT) - 1
    assert "# learning rate" in best.text


def test_centaur_tunes_the_numbers_of_the_version_at_hand(tmp_path):
    def script(prompt, view):
        if "error" in view:
            return bumps_depth(prompt, view)
        return {"values": [6, 0.2]}

    search = agent(tmp_path, script, tune_every=2, tune_trials=6)
    made = drive(search, 12)
    roles = [s.note["role"] for s in made]
    assert roles[:9] == ["again", "edit", "edit", *["tune"] * 6]
    assert {s.edit.parent for s in made[3:9]} == {3}
    assert roles[9] == "edit"
    assert made[9].edit.parent in (search._keeper.base, *range(4, 11))
    for tuned in made[3:9]:
        assert read_literals(tuned.edit.text).values == pytest.approx(dict(tuned.params))
    assert {s.origin for s in made[3:9]} >= {Origin.CMAES, Origin.LLM}


def test_several_at_once_and_the_same_again(tmp_path):
    def script(prompt, view):
        return block("RATE = 0.5  # learning rate", f"RATE = 0.{view['call'] % 400 + 100}")

    runs = [drive(agent(tmp_path / name, script), 13, width=4) for name in "ab"]
    assert runs[0] == runs[1]
    versions = [s.edit.text for s in runs[0] if s.note["role"] != "again"]
    assert len(set(versions)) == len(versions)
    assert [s.origin for s in runs[0][1:4]] == [Origin.LLM] * 3


def test_before_anything_is_known_of_the_first_version_nothing_is_edited(tmp_path):
    search = agent(tmp_path, bumps_depth)
    asked = search.ask(4)
    assert [s.note["role"] for s in asked] == ["again"]
    assert search.ask(4) == []
    search.tell(evaluate(0, asked[0]))
    (first, *edits) = search.ask(2)
    assert first.edit.text == TEXT
    assert first.edit.replicate == 0
    assert [s.note["role"] for s in edits] == ["edit"]


def test_the_prompt(tmp_path):
    prompts = []

    def script(prompt, view):
        prompts.append(prompt)
        return (
            block("RATE = 0.5  # learning rate", "RATE = 0.1  # slower", "Slower")
            if len(prompts) == 1
            else bumps_depth(prompt, view)
        )

    drive(agent(tmp_path, script), 5)
    assert prompts[-1] == reviewed("autoresearch-edit", prompts[-1])
