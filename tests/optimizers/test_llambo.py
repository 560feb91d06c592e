"""LLAMBO: its start, the value it aims at, predictions over permuted examples, and the candidate that it runs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from method_runs import PROBLEM, Model, flaky, inside, plane, reviewed, searching
from scipy import stats

from agentopt.errors import ModelUnavailable
from agentopt.optimizers.llambo import Llambo, LlamboOptions
from agentopt.optimizers.ranking import by_improvement, by_mean
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.surrogates import LEAST_SPREAD, Prediction
from agentopt.protocols import Problem
from agentopt.space import Choice, Int, SearchSpace
from agentopt.testing.models import uniform
from agentopt.trial import Origin, Outcome, Status, Trial

LINE = plane()
START, PROPOSE, PREDICT = "to start with", "could reach the target", '{"predicted"'
"""What the prompts of each kind have, and no others."""


def search(tmp_path, model, problem=LINE, judge=None, **options):
    """A simulated run of the method, not begun."""
    return searching(Llambo, tmp_path, model, problem, judge, **options)


def line(_, params):
    return Outcome(Status.COMPLETE, (params["x"],))


def test_the_model_starts_the_search_from_the_description_alone(tmp_path):
    run = search(tmp_path, model := Model(), PROBLEM).run(5)
    assert [s.origin for s in run.asked] == [Origin.LLM] * 5
    (prompt,) = model.asked(START)
    assert len(model.prompts) == 1
    assert "Recommend 5 configurations to start with" in prompt
    assert PROBLEM.description in prompt
    assert run.asked[0].note["pool"] == {"asked": 5, "accepted": 5}


def test_a_start_that_the_model_does_not_give_is_drawn_and_says_why(tmp_path):
    def answer(prompt, view):
        if START not in prompt:
            return uniform(prompt, view)
        return {"candidates": [{"values": row} for row in inside(view, 2)]}

    run = search(tmp_path / "a", Model(answer)).run(5)
    assert [s.origin for s in run.asked] == [Origin.LLM] * 2 + [Origin.FALLBACK] * 3
    assert {s.note["reason"] for s in run.asked[2:]} == {"fewer candidates than asked for"}
    assert run.asked[0].note["pool"] == {"asked": 5, "accepted": 2, "missing": 3}
    useless = search(tmp_path / "b", Model(lambda *_: "no")).run(5)
    assert [s.origin for s in useless.asked] == [Origin.FALLBACK] * 5
    assert useless.asked[4].note["reason"] == "it holds no JSON"
    with pytest.raises(ModelUnavailable, match="fallback=stop"):
        search(tmp_path / "c", Model(lambda *_: "no"), fallback="stop").run(1)


def test_without_the_models_start_the_draws_are_plain_ones(tmp_path):
    run = search(tmp_path, model := Model(), warmstart="uniform").run(5)
    assert [s.origin for s in run.asked] == [Origin.RANDOM] * 5
    assert not model.prompts
    assert all("reason" not in s.note for s in run.asked)


@pytest.mark.parametrize(("alpha", "aim"), [(-0.1, 2.7), (0.1, 1.3), (0.0, 2.0)])
def test_the_target_lies_within_or_beyond_what_was_observed(tmp_path, alpha, aim):
    def judge(number, _):
        return Outcome(Status.COMPLETE, (2.0 + 7.0 * (number % 5) / 4,))

    run = search(tmp_path / "a", model := Model(), judge=judge, alpha=alpha)
    run.run(5)
    run.ask(1)
    assert f"reach the target: score {aim:.6g}." in model.asked(PROPOSE)[0]
    run = search(tmp_path / "b", model := Model(), plane("maximize"), judge, alpha=alpha)
    run.run(5)
    run.ask(1)
    assert f"reach the target: score {-aim:.6g}." in model.asked(PROPOSE)[0], "losses of 2 to 9 are scores of -2 to -9"


def test_where_nothing_is_known_the_target_is_in_words(tmp_path):
    run = search(tmp_path, model := Model(), judge=lambda *_: Outcome(Status.FAILED, error="no"))
    run.run(5)
    run.ask(1)
    assert "reach the target: score as good as can be." in model.asked(PROPOSE)[0]


def known(*values):
    seen = Seen(LINE)
    for number, value in enumerate(values):
        seen.add(Trial(number, {"x": number / 9, "y": 0.0}, Outcome(Status.COMPLETE, (value,)), Origin.RANDOM))
    return seen


def test_expected_improvement_by_hand():
    seen = known(1.0, 0.5, 2.0)
    predictions = [Prediction((m,), (s,)) for m, s in [(0.6, 0.0), (0.7, 0.5), (0.45, 0.01), (0.4, 0.0), (0.9, 0.1)]]
    gains = []
    for p in predictions:
        s = max(p.spread[0], LEAST_SPREAD)
        z = (0.5 - p.mean[0]) / s
        gains.append((0.5 - p.mean[0]) * stats.norm.cdf(z) + s * stats.norm.pdf(z))
    expected = sorted(range(5), key=lambda i: -gains[i])
    assert by_improvement(predictions, seen, 5)[:4] == expected[:4] == [1, 3, 2, 4]
    assert by_improvement(predictions, seen, 2) == [1, 3]


def test_without_a_promise_the_lowest_mean_is_best():
    predictions = [Prediction((m,), (0.0,)) for m in (900.0, 30.0, 500.0)]
    assert by_improvement(predictions, known(1.0), 3) == [1, 2, 0]
    assert by_improvement(predictions, known(), 3) == by_mean(predictions, known(), 3) == [1, 2, 0]


def guesses(prompt, view):
    """Candidates with x = 0.1, 0.2, ...; predictions that differ with each call."""
    if "predict" in view:
        return {"predicted": [params["x"] + 0.01 * (view["call"] % 7) for params in view["predict"]]}
    return uniform(prompt, view)


def test_predictions_are_the_mean_over_permuted_examples(tmp_path):
    run = search(tmp_path, model := Model(guesses), LINE, line, samples=5).run(6)
    (suggestion,) = run.asked[5:]
    asked = {call: view for call, view in model.views.items() if "predict" in view}
    assert suggestion.note["predict_calls"] == sorted(asked)
    assert len(asked) == 5
    offsets = [0.01 * (call % 7) for call in asked]
    assert suggestion.note["predicted"] == pytest.approx(suggestion.params["x"] + np.mean(offsets))
    blocks = [prompt.split("# What was observed\n")[1].split("\n\n")[0].splitlines() for prompt in model.asked(PREDICT)]
    assert len({tuple(sorted(block)) for block in blocks}) == 1
    assert len({tuple(block) for block in blocks}) > 1
    assert len({prompt.split("# What was observed")[0] for prompt in model.asked(PREDICT)}) == 1


def test_the_candidate_with_the_highest_expected_improvement_is_run(tmp_path):
    """Beside the numbers from the model's own predictions."""
    samples = {}

    def answer(prompt, view):
        found = guesses(prompt, view)
        if "predict" in view:
            rng = np.random.default_rng(view["seed"])
            found = {"predicted": [params["x"] + 0.3 * params["y"] * rng.normal() for params in view["predict"]]}
            for params, value in zip(view["predict"], found["predicted"], strict=True):
                samples.setdefault((view["trials"][-1].id, tuple(params.values())), []).append(value)
        return found

    run = search(tmp_path, Model(answer), LINE, line).run(12)
    for number, suggestion in enumerate(run.asked[5:12], 5):
        best = min(s.params["x"] for s in run.asked[:number])
        gains = {}
        for (last, params), values in samples.items():
            if last == number - 1:
                spread = max(np.std(values), LEAST_SPREAD)
                z = (best - np.mean(values)) / spread
                gains[params] = (best - np.mean(values)) * stats.norm.cdf(z) + spread * stats.norm.pdf(z)
        assert len(gains) == 10
        assert tuple(suggestion.params.values()) == max(gains, key=gains.get)


def test_a_prediction_that_cannot_be_read_is_left_out_of_the_mean(tmp_path):
    def answer(prompt, view):
        if "predict" in view and view["call"] % 2:
            return "about a half"
        return guesses(prompt, view)

    run = search(tmp_path, model := Model(answer), LINE, line).run(6)
    (suggestion,) = run.asked[5:]
    assert "predicted" in suggestion.note
    assert len(model.asked(PREDICT)) <= 2 * 5
    none = search(tmp_path / "b", Model(lambda p, v: "no" if "predict" in v else uniform(p, v)), LINE, line).run(6)
    assert none.asked[5].origin is Origin.LLM
    assert "predicted" not in none.asked[5].note, "without any prediction chance decides"


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_labels_ask_for_the_probability_of_being_among_the_best(tmp_path, direction):
    """The candidate with the highest mean probability is run, whatever the task's values are and however it varies."""
    samples = {}

    def answer(prompt, view):
        if "predict" not in view:
            return uniform(prompt, view)
        rng, found = np.random.default_rng(view["seed"]), []
        for params in view["predict"]:
            found.append(float(np.clip(0.9 - 0.8 * params["x"] + 0.2 * params["y"] * rng.normal(), 0, 1)))
            samples.setdefault((len(view["trials"]), tuple(params.values())), []).append(found[-1])
        return {"predicted": found}

    def judge(_, params):
        return Outcome(Status.COMPLETE, (params["x"] - 1.2,))

    run = search(tmp_path, model := Model(answer), plane(direction), judge, surrogate="labels").run(12)
    prompt = model.asked(PREDICT)[-1]
    assert "the probability, from 0 to 1, that it is among the best 20% of all" in prompt
    block = prompt.split("# What was observed\n")[1].split("\n\n")[0]
    labels = re.findall(r"-> (\d)$", block, re.MULTILINE)
    values = [s.params["x"] for s in run.asked[:11]]
    assert labels.count("1") == sum(value <= np.quantile(values, 0.2) for value in values)
    for number, suggestion in enumerate(run.asked[5:12], 5):
        means = {params: np.mean(own) for (told, params), own in samples.items() if told == number}
        assert tuple(suggestion.params.values()) == max(means, key=means.get)
        assert suggestion.note["probability"] == pytest.approx(max(means.values()))
        assert "predicted" not in suggestion.note


@pytest.mark.parametrize(("said", "taken"), [(1.4, 1.0), (-0.2, 0.0), (85, 1.0)])
def test_a_probability_beyond_its_ends_is_taken_for_the_end(tmp_path, said, taken):
    def answer(prompt, view):
        return {"predicted": [said] * len(view["predict"])} if "predict" in view else uniform(prompt, view)

    run = search(tmp_path, Model(answer), surrogate="labels").run(6)
    assert run.asked[5].note["probability"] == taken


def test_hidden_failures_are_hidden_from_proposals_and_predictions(tmp_path):
    for failures, there in (("shown", True), ("hidden", False)):
        search(tmp_path / failures, model := Model(), PROBLEM, flaky, failures=failures).run(25)
        for kind in (PROPOSE, PREDICT):
            assert any("OOM" in prompt for prompt in model.asked(kind)) is there


def test_random_choices_are_drawn_whatever_the_model_says(tmp_path):
    def answer(prompt, view):
        if "predict" in view:
            return uniform(prompt, view)
        return {"candidates": [{"values": {**row, "act": "a"}} for row in inside(view)]}

    run = search(tmp_path, Model(answer), PROBLEM, flaky, choices="random", warmstart="uniform", batch=4).run(85)
    drawn = [s.params["act"] for s in run.asked if s.origin is Origin.LLM]
    assert stats.binomtest(drawn.count("b"), len(drawn)).pvalue > 1e-4
    assert len(drawn) > 60


def test_redrawn_choices_make_no_configuration_twice(tmp_path):
    space = SearchSpace((Choice("a", ("x", "y")), Choice("b", (1, 2, 3)), Int("n", 1, 4)))
    problem = Problem(space, LINE.objectives, "", 60)
    run = search(tmp_path, Model(), problem, choices="random", surrogate="none", batch=6, initial=1).run(24)
    keys = [space.key(s.params) for s in run.asked]
    assert len(set(keys)) == len(keys) == 24


def test_presets():
    paper, optuna = LlamboOptions(preset="paper"), LlamboOptions(preset="optuna", alpha=0.5)
    assert (paper.replies * paper.candidates, paper.samples, paper.together, paper.alpha) == (20, 10, 1, -0.1)
    assert (optuna.surrogate, optuna.choices, optuna.failures, optuna.warmstart) == (
        "labels",
        "random",
        "hidden",
        "uniform",
    )
    assert optuna.alpha == 0.5
    default = LlamboOptions()
    assert (default.replies * default.candidates, default.samples, default.batch) == (10, 5, 1)


def test_the_papers_calls_are_as_many_as_they_are(tmp_path):
    search(tmp_path, model := Model(), preset="paper").run(6)
    assert len(model.asked(START)) == 1
    assert len(model.asked(PROPOSE)) == 20
    assert len(model.asked(PREDICT)) == 200


def test_controls_need_no_model(tmp_path):
    options = LlamboOptions(sampler="uniform", surrogate="neighbours")
    assert not options.needs_model
    run = search(tmp_path, Model(), LINE, line, sampler="uniform", surrogate="neighbours").run(30)
    assert {s.origin for s in run.asked} == {Origin.RANDOM, Origin.CONTROL}
    assert np.median([s.params["x"] for s in run.asked[15:]]) < 0.3, "neighbours tell it that x counts"


def test_prompts_are_as_they_were_reviewed(tmp_path):
    search(tmp_path, model := Model(), PROBLEM, flaky, together=3).run(13)
    for kind, words in (("warmstart", START), ("propose", PROPOSE), ("predict", PREDICT)):
        prompt = model.asked(words)[-1]
        assert prompt == reviewed(f"llambo-{kind}", prompt)


def test_notes_can_be_written(tmp_path):
    run = search(tmp_path, Model(), PROBLEM, flaky).run(12)
    for suggestion in run.asked:
        json.dumps(dict(suggestion.note), allow_nan=False)
    assert sum("pool" in s.note for s in run.asked) == 1 + 7
