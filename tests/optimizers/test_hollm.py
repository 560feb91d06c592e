"""HOLLM: what becomes of every kind of reply, the rules that fill a batch up, the arms, and what the model is shown."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from method_runs import PROBLEM, SPACE, Model, flaky, inside, plane, reviewed, searching, shared_start, turns

from agentopt.build import open_run, plan, resume_run
from agentopt.errors import ModelUnavailable
from agentopt.journal import read_history
from agentopt.ledger import read_ledger
from agentopt.optimizers.hollm import Hollm, HollmOptions
from agentopt.protocols import Problem
from agentopt.space import Choice, Int, SearchSpace
from agentopt.testing.models import uniform
from agentopt.trial import Origin

PLANE = plane("maximize")


def search(tmp_path, model, problem=PLANE, judge=None, **options):
    """A simulated run of the method; not begun."""
    return searching(Hollm, tmp_path, model, problem, judge, **options)


def reply(rows, predicted=1.0):
    return json.dumps({"candidates": [{"values": row, "predicted": predicted} for row in rows]})


def test_a_turn_asks_about_five_cells_and_runs_the_best_four_of_their_candidates(tmp_path):
    def answer(_, view):
        rows = inside(view, 5)
        return {"candidates": [{"values": row, "predicted": row["x"]} for row in rows]}

    run = search(tmp_path, model := Model(answer)).run(5 + 4)
    assert [s.origin for s in run.asked[:5]] == [Origin.RANDOM] * 5
    assert len(model.views) == 3, "five trials make three cells of two at most"
    (turn,) = turns(run)
    assert [s.origin for s in turn] == [Origin.LLM] * 4
    assert turn[0].note["pool"] == {"asked": 15, "accepted": 15}
    offered = sorted((row["x"] for view in model.views.values() for row in inside(view, 5)), reverse=True)
    assert [s.params["x"] for s in turn] == offered[:4], (
        "the highest predictions of a value to be maximised, best first"
    )
    assert [s.note["predicted"] for s in turn] == offered[:4]
    assert set(turn[0].note) >= {"cell", "score", "chance", "held", "calls", "turn"}


def test_what_is_run_lies_in_the_cell_that_was_asked_about_and_is_new(tmp_path):
    rng = np.random.default_rng(0)

    def anything(_, view):
        """Some inside, some anywhere, some that were tried, some twice."""
        rows = [*inside(view, 2, rng), view["space"].sample(rng), dict(view["trials"][-1].params)]
        rows = [rows[i] for i in rng.integers(0, 4, 5)]
        return reply(rows, float(rng.random()))

    run = search(tmp_path, model := Model(anything), PROBLEM).run(60)
    own = [s for s in run.asked if s.origin is Origin.LLM]
    assert len(own) > 20
    for suggestion in own:
        assert model.views[suggestion.note["calls"][0]]["cell"].contains(suggestion.params)
    keys = [SPACE.key(SPACE.repair(s.params)) for s in run.asked]
    assert len(set(keys)) == len(keys) == 60
    for turn in turns(run):
        pool = Counter(turn[0].note["pool"])
        assert pool["asked"] == pool["accepted"] + pool["outside"] + pool["duplicate"] + pool["missing"]


EMPTY = "the reply is empty"
BAD = [
    ("empty", lambda _: "", EMPTY),
    ("prose", lambda _: "I would try something near the middle.", "it holds no JSON"),
    ("no list", lambda _: reply([]), "it holds no candidates"),
    ("another shape", lambda _: reply([[0.5]]), "1 values for 2 parameters"),
    ("not numbers", lambda _: reply([["a", "b"]] * 5), "x is 'a', not a number"),
    ("not finite", lambda _: reply([[float("nan"), 0.5]]), "finite"),
    ("far away", lambda _: reply([[7.0, 0.5]]), "no candidate lies inside the region"),
    ("known", lambda view: reply([dict(view["trials"][0].params)] * 5), "region|evaluated before"),
    ("endless", lambda _: "[" * 3000, "nested too deeply|cannot be read"),
]


@pytest.mark.parametrize(("bad", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_useless_replies_cost_two_calls_each_and_become_draws_that_say_why(tmp_path, bad, reason):
    run = search(tmp_path, model := Model(lambda _, view: bad(view)), batch=7).run(5 + 7 + 7)
    assert len(run.asked) == 19
    for turn in turns(run):
        assert [s.origin for s in turn] == [Origin.FALLBACK] * 7
        asked = turn[0].note["pool"]["asked"]
        assert turn[0].note["pool"] == {"asked": asked, "missing": asked}
        assert {s.note["turn"] for s in turn} == {turn[0].note["turn"]}
        assert len({s.note["cell"] for s in turn}) == min(7, asked // 5), "the cells take turns"
    assert all(re.search(reason, s.note["reason"]) for turn in turns(run) for s in turn)
    questions = sum(turn[0].note["pool"]["asked"] // 5 for turn in turns(run))
    assert len(model.prompts) == 2 * questions
    exchanges = read_ledger(tmp_path)
    assert {e.status for e in exchanges} == {"invalid"}
    assert sum(e.repairs is None for e in exchanges) == questions


def test_what_stands_in_place_of_candidates_lies_in_the_chosen_cells(tmp_path):
    run = search(tmp_path, model := Model(lambda *_: "no"), batch=6).run(5 + 6)
    cells = [view["cell"] for view in model.views.values()]
    for suggestion in run.asked[5:]:
        assert any(cell.contains(suggestion.params) for cell in cells)


def of_one_cell(tmp_path, answer, batch=5):
    """The first turn on a single cell, and the issues that the ledger has."""
    run = search(tmp_path, Model(answer), cells=1, batch=batch).run(5 + batch)
    (turn,) = turns(run)
    origins = Counter(s.origin for s in turn)
    issues = Counter(issue for exchange in read_ledger(tmp_path) for issue in exchange.issues)
    return dict(turn[0].note["pool"]), origins, issues, turn


def test_too_few_candidates_are_topped_up(tmp_path):
    pool, origins, _, turn = of_one_cell(tmp_path, lambda _, view: reply(inside(view, 2)))
    assert pool == {"asked": 5, "accepted": 2, "missing": 3}
    assert origins == {Origin.LLM: 2, Origin.FALLBACK: 3}
    assert {s.note.get("reason") for s in turn} == {None, "fewer candidates than asked for"}


def test_too_many_candidates_are_cut(tmp_path):
    pool, origins, _, _ = of_one_cell(tmp_path, lambda _, view: reply(inside(view, 9)), batch=7)
    assert pool == {"asked": 5, "accepted": 5}
    assert origins == {Origin.LLM: 5, Origin.FALLBACK: 2}


def test_candidates_outside_and_twice_are_left_out_and_counted(tmp_path):
    def answer(_, view):
        good, known = inside(view, 2), dict(view["trials"][0].params)
        return reply([good[0], good[0], known, {"x": 3.0, "y": 0.1}, good[1]])

    pool, origins, issues, _ = of_one_cell(tmp_path, answer)
    assert pool["accepted"] == 2
    assert pool["outside"] + pool["duplicate"] == 3
    assert pool["duplicate"] >= 1
    assert origins == {Origin.LLM: 2, Origin.FALLBACK: 3}
    assert issues["outside"] == pool["outside"]
    assert issues["duplicate"] == pool["duplicate"]
    assert issues["clipped:x"] == 1


def test_a_reply_in_prose_is_taken(tmp_path):
    pool, _, issues, _ = of_one_cell(
        tmp_path, lambda _, view: f"Sure!\n```json\n{reply(inside(view, 5))}\n```\nGood luck"
    )
    assert (pool, issues["prose"]) == ({"asked": 5, "accepted": 5}, 1)


def test_a_reply_that_was_cut_short_gives_what_it_has(tmp_path):
    pool, _, issues, _ = of_one_cell(tmp_path, lambda _, view: reply(inside(view, 5))[:-30])
    assert (pool["accepted"], pool["missing"], issues["cut"]) == (4, 1, 1)


def test_a_number_that_is_none_costs_its_candidate_alone(tmp_path):
    def answer(_, view):
        return reply([*inside(view, 4), {"x": float("nan"), "y": 0.5}])

    pool, _, issues, _ = of_one_cell(tmp_path, answer)
    assert (pool["accepted"], pool["missing"], issues["unreadable"]) == (4, 1, 1)


def test_candidates_without_a_prediction_come_last(tmp_path):
    def answer(_, view):
        items = [
            {"values": row, "predicted": value}
            for row, value in zip(inside(view, 5), [None, 2, "x", 3, 1], strict=True)
        ]
        return {"candidates": items}

    pool, _, issues, turn = of_one_cell(tmp_path, answer)
    assert pool["accepted"] == 5
    assert issues["no_prediction"] == 2
    assert [s.note.get("predicted") for s in turn] == [3, 2, 1, None, None]


def test_a_second_reply_may_mend_the_first(tmp_path):
    def answer(prompt, view):
        return reply(inside(view, 5)) if "[assistant]" in prompt or "nothing yet" in prompt else "nothing yet"

    pool, _, _, turn = of_one_cell(tmp_path, answer)
    assert pool == {"asked": 5, "accepted": 5}
    assert turn[0].note["calls"] == [0, 1]


def test_fallback_stop_ends_the_run_and_says_why(tmp_path):
    with pytest.raises(ModelUnavailable, match=f"{EMPTY}.*fallback=stop"):
        search(tmp_path, Model(lambda *_: ""), fallback="stop").run(9)


SMALL = Problem(
    SearchSpace((Choice("a", ("x", "y", "z")), Int("b", 1, 4), Choice("c", (True, False)))), PLANE.objectives
)


@pytest.mark.parametrize("model", [uniform, lambda *_: "no"], ids=["uniform", "useless"])
def test_a_search_ends_when_every_configuration_was_tried(tmp_path, model):
    run = search(tmp_path, asked := Model(model), SMALL).run(99)
    assert len({tuple(s.params.values()) for s in run.asked}) == len(run.asked) == 24
    assert len(asked.prompts) < 200
    before = len(asked.prompts)
    assert run.ask(4) == []
    assert len(asked.prompts) == before, "where nothing is left the model is not asked"


def test_no_batch_outlives_its_turn(tmp_path):
    """While trials of a batch are under way nothing new is asked for, and a run with workers has the same trials."""
    model = Model()
    run = search(tmp_path / "a", model)
    run.run(5)
    assert len(run.ask(9)) == 4
    assert run.ask(5) == []
    alone = search(tmp_path / "b", Model()).run(33)
    together = search(tmp_path / "c", Model()).run(33, width=4)
    assert [s.params for s in alone.asked[:33]] == [s.params for s in together.asked[:33]]


def test_uniform_draws_and_no_partition_are_arms_of_the_same_search(tmp_path):
    arm = {"sampler": "uniform", "surrogate": "none"}
    assert not HollmOptions(**arm).needs_model
    run = search(tmp_path, Model(), **arm).run(25)
    assert {s.origin for s in run.asked} == {Origin.RANDOM, Origin.CONTROL}
    assert run.asked[5].note["pool"] == {"asked": 15, "accepted": 15}

    whole = search(tmp_path, model := Model(), partition="none").run(25)
    assert {s.origin for s in whole.asked} == {Origin.RANDOM, Origin.LLM}
    assert len(model.prompts) == len(turns(whole)) == 5
    assert all(view["cell"].whole and view["wanted"] == 25 for view in model.views.values())
    assert not any("region" in prompt for prompt in model.prompts.values())


def test_steps_around_the_incumbent_stay_in_their_cells(tmp_path):
    seen = []

    class Watched(Hollm):
        def _turn(self):
            made = super()._turn()
            seen.extend((s[0], self.explain()["cells"]) for s in made)
            return made

    run = searching(Watched, tmp_path, Model(), PLANE, sampler="incumbent", surrogate="neighbours").run(41)
    assert {s.origin for s in run.asked[5:]} == {Origin.CONTROL}
    values = [1 - run.judge(0, s.params).values[0] for s in run.asked]
    assert np.median(values[25:]) > np.median(values[:5]), "it goes where the values are"


def test_values_to_be_maximised_are_predicted_in_their_own_units(tmp_path):
    def answer(prompt, view):
        return {"predicted": [row["x"] for row in view["predict"]]} if "predict" in view else uniform(prompt, view)

    run = search(tmp_path, model := Model(answer), surrogate="llm").run(9)
    offered = [row["x"] for view in model.views.values() for row in view.get("predict", ())]
    assert [s.params["x"] for s in run.asked[5:]] == sorted(offered, reverse=True)[:4]
    assert [s.note["predicted"] for s in run.asked[5:]] == [s.params["x"] for s in run.asked[5:]]


@pytest.mark.parametrize("surrogate", ["llm", "labels"])
def test_predictions_in_calls_of_their_own(tmp_path, surrogate):
    run = search(tmp_path, model := Model(), surrogate=surrogate, together=10).run(9)
    (turn,) = turns(run)
    asked = [view for view in model.views.values() if "predict" in view]
    assert [len(view["predict"]) for view in asked] == [10, 5]
    assert turn[0].note["predict_calls"] == [3, 4]
    assert ("probability" if surrogate == "labels" else "predicted") in turn[0].note
    assert '"predicted": number' not in model.prompts[0], "the call that proposes need not predict"


def test_presets_yield_to_what_is_given():
    paper, code = HollmOptions(preset="paper"), HollmOptions(preset="code", rule="median")
    assert (paper.rule, paper.unknown, paper.names) == ("mean", "count", "anonymous")
    assert (code.rule, code.unknown, code.names, code.floor) == ("median", "budget", "anonymous", 0.0)
    assert (HollmOptions().rule, HollmOptions().growth) == ("median", "auto")


def test_cells_grow_in_long_runs_alone(tmp_path):
    run = search(tmp_path, Model(), batch=20).run(325)
    state = run.optimizer.explain()
    assert state["capacity"] == 9, "half the square root of 305 trials"
    short = search(tmp_path / "b", Model(), batch=20).run(60).optimizer.explain()
    assert short["capacity"] == 2


def test_alpha_follows_the_trials_and_not_the_turns(tmp_path):
    run = search(tmp_path, Model(), batch=20).run(45)
    assert run.optimizer.explain()["alpha"] == pytest.approx(0.01 + 0.99 / 2 * (1 + np.cos(np.pi * 25 / 60)), abs=1e-6)


def asked_of(tmp_path, trials=26, **options):
    run = search(tmp_path, model := Model(), PROBLEM, flaky, **options).run(trials)
    return run, model.asked()


def test_the_prompt_is_as_it_was_reviewed(tmp_path):
    prompt = asked_of(tmp_path)[1][-1]
    assert prompt == reviewed("hollm-propose", prompt)


def test_prompts_of_one_turn_share_all_but_their_region(tmp_path):
    run, prompts = asked_of(tmp_path, 41)
    at = 0
    for turn in turns(run):
        count = turn[0].note["pool"]["asked"] // 5
        own, at = prompts[at : at + count], at + count
        place = own[0].index("# The region")
        assert len({prompt[:place] for prompt in own}) == 1
        assert len({prompt[place:] for prompt in own}) == count
        assert place / max(map(len, own)) > 0.6, "most of a prompt is shared"


def test_consecutive_turns_share_the_problem_and_most_of_the_history(tmp_path):
    run, prompts = asked_of(tmp_path, 60, recent=10)
    firsts, at = [], 0
    for turn in turns(run):
        firsts.append(prompts[at])
        at += turn[0].note["pool"]["asked"] // 5
    fixed = firsts[0].index("# Trials so far")
    assert len({prompt[:fixed] for prompt in firsts}) == 1
    shared = [len(shared_start(a, b)) / a.index("# The best trials") for a, b in pairwise(firsts[4:])]
    assert np.mean([share > 0.9 for share in shared]) > 0.5


def test_without_names_the_model_learns_nothing_of_the_task(tmp_path):
    for prompt in asked_of(tmp_path, preset="paper")[1]:
        assert not any(word in prompt for word in ("lr", "depth", "val_bpb", "network", "act:"))
        assert "x1: real, 0.0001 to 1, log scale" in prompt
        assert "f1" in prompt
    with pytest.raises(ValueError, match="names=anonymous needs reply=array"):
        HollmOptions(preset="paper", reply="object")


def test_hidden_failures_are_not_shown(tmp_path):
    assert any("OOM" in prompt for prompt in asked_of(tmp_path / "a")[1])
    assert not any("OOM" in prompt or "Failed" in prompt for prompt in asked_of(tmp_path / "b", failures="hidden")[1])


TASK = """
from agentopt import Choice, Float, Int
space = [Float("x", 0, 1), Int("n", 1, 20), Choice("c", ("a", "b", "c"))]
isolation = "inline"
def evaluate(params, seed=0):
    if params["n"] == 13:
        raise MemoryError
    return (params["x"] - 0.3) ** 2 + abs(params["n"] - 7) / 9 + (seed % 100) / 1e4
"""


def settings(tmp_path, model, **more):
    (tmp_path / "job.py").write_text(TASK)
    task = f"{tmp_path / 'job.py'}:evaluate"
    return {"method": "hollm", "task": task, "trials": 23, "seed": 3, "model": {"name": model}, **more}


def journal(run):
    """The journal without the times in it, and the ledger."""

    def timeless(found):
        if isinstance(found, dict):
            return {
                key: timeless(value) for key, value in found.items() if key not in ("t", "seconds", "asking", "crc")
            }
        return [timeless(value) for value in found] if isinstance(found, list) else found

    lines = (run / "journal.jsonl").read_text().splitlines()[1:]
    return [timeless(json.loads(line)) for line in lines], [(e.prompt, e.reply) for e in _in_order(run)]


def _in_order(run):
    return sorted(read_ledger(run), key=lambda exchange: exchange.call)


def finish(given, run):
    with open_run(plan(given), run) as opened:
        opened.execute()


UNIFORM = "scripted:agentopt.testing.models:uniform"


@pytest.mark.parametrize("batch", [1, 4, 7, 25])
def test_a_run_has_exactly_its_trials_whatever_the_batch(tmp_path, batch):
    finish(settings(tmp_path, UNIFORM, options={"batch": batch}), tmp_path / "run")
    trials = read_history(tmp_path / "run").trials
    assert len(trials) == 23
    assert len({tuple(t.params.values()) for t in trials}) == 23


def test_the_same_seed_and_replies_make_the_same_journal(tmp_path):
    """The second run's model gives the replies that the first one's ledger has, whatever they were made of."""
    finish(settings(tmp_path, UNIFORM), tmp_path / "first")
    replies = [json.dumps(e.reply) for e in _in_order(tmp_path / "first")]
    (tmp_path / "replies.jsonl").write_text("\n".join(replies))
    finish(settings(tmp_path, f"scripted:{tmp_path / 'replies.jsonl'}"), tmp_path / "second")
    assert journal(tmp_path / "first") == journal(tmp_path / "second")


def test_a_run_that_was_cut_goes_on_from_its_ledger(tmp_path):
    finish(settings(tmp_path, UNIFORM), tmp_path / "run")
    whole, size = read_history(tmp_path / "run").trials, (tmp_path / "run" / "llm.jsonl").stat().st_size
    path = tmp_path / "run" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) * 2 // 3])
    with resume_run(tmp_path / "run") as opened:
        opened.execute()
    again = read_history(tmp_path / "run").trials
    assert [(t.params, t.outcome, t.origin, t.note) for t in again] == [
        (t.params, t.outcome, t.origin, t.note) for t in whole
    ]
    assert (tmp_path / "run" / "llm.jsonl").stat().st_size == size, "no reply was asked for again"
