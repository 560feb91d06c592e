"""Centaur with CMA-ES: whose turn it is, what CMA-ES learns from a model's trial, and what the model is shown."""

from __future__ import annotations

import json
from itertools import pairwise

import method_runs
import numpy as np
import pytest
from method_runs import PROBLEM, SPACE, Model, building, loss, reviewed, shared_start

from agentopt.errors import ModelUnavailable
from agentopt.optimizers.centaur import Centaur, CentaurOptions
from agentopt.optimizers.llm import LlmSearch
from agentopt.optimizers.seen import Seen
from agentopt.optimizers.share import AdaptiveShare, ErrorDiffusion, Interval, score
from agentopt.trial import Origin, Outcome, Status, Trial


def good(_, view):
    """Proposes a point near the optimum that differs with each call."""
    return json.dumps({"values": [0.03 + view["call"] / 1e4, 7, 64, "b"]})


def centaur(tmp_path, script=good, seed=0, **options):
    return building(Centaur, tmp_path, script, **{"core": "cmaes", **options})(PROBLEM, seed)


def told(number, suggestion, outcome=None):
    params = SPACE.repair(suggestion.params)
    outcome = outcome or Outcome(Status.COMPLETE, (loss(params),))
    return Trial(number, params, outcome, suggestion.origin, suggestion.token, suggestion.note)


def drive(search, trials, outcome=lambda _: None):
    """Runs the default configuration and then `trials` more; returns the suggestions by trial id."""
    default = SPACE.defaults()
    search.tell(Trial(0, default, Outcome(Status.COMPLETE, (loss(default),)), Origin.BASELINE))
    return method_runs.drive(search, trials, lambda number, one: told(number, one, outcome(one)))


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.4, 0.5, 0.7, 0.9])
def test_the_ratio_is_exact(tmp_path, ratio):
    suggestions = drive(centaur(tmp_path, ratio=ratio, warmup=0), 200)
    turns = [s.origin is Origin.LLM for s in suggestions]
    for k in range(1, 201):
        assert abs(sum(turns[:k]) - ratio * k) <= 1, k


def test_the_ratio_is_made_up_for_after_slots_that_went_out_again(tmp_path):
    outcomes = iter([Outcome(Status.OOM), None, None] * 99)
    search = centaur(tmp_path, ratio=0.3, warmup=0)
    suggestions = drive(search, 200, lambda s: next(outcomes) if s.origin is Origin.LLM else None)
    assert abs(sum(s.origin is Origin.LLM for s in suggestions) - 60) <= 1


@pytest.mark.parametrize(("ratio", "turns"), [(0.0, 0), (1.0, 50)])
def test_the_ends_of_the_ratio(tmp_path, ratio, turns):
    suggestions = drive(centaur(tmp_path, ratio=ratio, warmup=0), 50)
    assert sum(s.origin is Origin.LLM for s in suggestions) == turns


def test_the_published_schedule_is_every_third_trial_from_the_twelfth(tmp_path):
    suggestions = drive(centaur(tmp_path, preset="paper"), 40)
    turns = [number for number, s in enumerate(suggestions, 1) if s.origin is Origin.LLM]
    assert turns == list(range(12, 41, 3))


def test_the_published_schedule_rounds_its_ratio():
    def turns(ratio):
        return [count for count in range(30) if Interval(ratio).next(count)]

    assert turns(0.4) == turns(0.5)
    assert turns(0.7) == turns(1.0) == list(range(30))
    assert turns(0.3) == list(range(0, 30, 3))


def test_a_preset_yields_to_what_is_given():
    assert CentaurOptions(preset="paper", ratio=0.5).ratio == 0.5
    assert CentaurOptions(preset="paper").injection == "raw"
    assert CentaurOptions(core="cmaes").injection == "clipped"


@pytest.mark.parametrize("bad", [{"ratio": 1.5}, {"ratio": -0.1}, {"schedule": "interval", "ratio": "auto"}])
def test_options_that_contradict_each_other_are_refused(bad):
    with pytest.raises(ValueError, match="ratio"):
        CentaurOptions(**bad)


def mean_and_covariance(search):
    state = search.explain()
    return state["generation"], state["mean"], state["covariance"], state["sigma"]


def test_a_failed_trial_of_the_model_never_moves_the_covariance(tmp_path):
    """With and without failing model trials, CMA-ES goes through the same states."""

    def fails(suggestion):
        return Outcome(Status.OOM, error="memory") if suggestion.origin is Origin.LLM else None

    mixed = centaur(tmp_path / "a", ratio=0.5, warmup=0)
    pure = centaur(tmp_path / "b", ratio=0.0, warmup=0)
    states = {}
    for search in (pure, mixed):
        seen = states.setdefault(search is pure, {})
        for number in range(1, 200):
            (suggestion,) = search.ask(1)
            search.tell(told(number, suggestion, fails(suggestion)))
            generation, *rest = mean_and_covariance(search)
            seen[generation] = rest
    shared = set(states[True]) & set(states[False])
    assert len(shared) > 8
    for generation in shared:
        assert states[True][generation] == states[False][generation]


def test_a_failed_trial_of_the_model_is_told_where_the_preset_says_so(tmp_path):
    def fails(suggestion):
        return Outcome(Status.OOM, error="memory") if suggestion.origin is Origin.LLM else None

    search = centaur(tmp_path, preset="paper")
    drive(search, 42, fails)
    popsize = search.explain()["popsize"]
    assert search.explain()["generation"] == 42 // popsize


def test_an_unreadable_reply_becomes_a_tagged_candidate_of_cmaes(tmp_path):
    search, pure = (
        centaur(tmp_path / "a", lambda *_: "no idea", ratio=1.0, warmup=0),
        centaur(tmp_path / "b", ratio=0.0),
    )
    for number in range(1, 20):
        (mixed,), (own,) = search.ask(1), pure.ask(1)
        assert (mixed.origin, own.origin) == (Origin.FALLBACK, Origin.CMAES)
        assert mixed.params == own.params
        assert "no JSON" in mixed.note["reason"]
        search.tell(told(number, mixed))
        pure.tell(told(number, own))


def test_a_repeated_configuration_becomes_a_candidate_of_cmaes(tmp_path):
    search = centaur(tmp_path, lambda *_: json.dumps([0.02, 5, 64, "a"]), ratio=1.0, warmup=0)
    origins = [s.origin for s in drive(search, 5)]
    assert origins == [Origin.LLM] + [Origin.FALLBACK] * 4


def test_fallback_stop_ends_the_run(tmp_path):
    with pytest.raises(ModelUnavailable, match="fallback=stop"):
        drive(centaur(tmp_path, lambda *_: "no", preset="paper"), 40)


def test_parallel_slots_are_filled_in_any_order(tmp_path):
    search, rng = centaur(tmp_path, ratio=0.4), np.random.default_rng(5)
    flying, number = [], 1
    for _ in range(60):
        flying.extend(search.ask(3 - len(flying)))
        assert flying
        suggestion = flying.pop(rng.integers(len(flying)))
        outcome = Outcome(Status.OOM) if rng.random() < 0.2 else None
        search.tell(told(number, suggestion, outcome))
        number += 1


def test_a_useless_model_loses_its_share_and_a_good_one_gains():
    useless, equal, better = AdaptiveShare(), AdaptiveShare(), AdaptiveShare()
    useless.learn(0.0)
    assert useless.ratio == pytest.approx(AdaptiveShare.START / 16)
    for _ in range(10):
        useless.learn(0.0)
        equal.learn(0.5)
        better.learn(0.9)
    assert useless.ratio < 0.001
    assert equal.ratio == pytest.approx(AdaptiveShare.START)
    assert better.ratio == AdaptiveShare.MOST


def test_a_turn_that_gave_no_trial_weighs_a_quarter():
    missed, failed = AdaptiveShare(), AdaptiveShare()
    failed.learn(0.0)
    missed.missed()
    assert failed.ratio < missed.ratio < AdaptiveShare.START
    assert missed.mean_score == pytest.approx(0.5 / 1.25)


def test_a_model_that_was_right_once_and_is_wrong_now_loses_its_share():
    share = AdaptiveShare()
    for _ in range(30):
        share.learn(1.0)
    for _ in range(8):
        share.learn(0.0)
    assert share.ratio < AdaptiveShare.START / 10


@pytest.mark.parametrize(
    ("loss", "others", "expected"),
    [(1.0, [2.0, 0.5], 0.5), (1.0, [1.0, None], 0.75), (None, [None], 0.0), (1.0, [], 0.5)],
)
def test_a_score_is_the_share_of_trials_that_are_beaten(loss, others, expected):
    assert score(loss, others) == expected


def seen(*trials):
    """Returns what a search knows: the trials as pairs of a depth and a loss, None for one that failed."""
    known = Seen(PROBLEM)
    for number, (depth, value) in enumerate(trials):
        outcome = Outcome(Status.OOM) if value is None else Outcome(Status.COMPLETE, (value,))
        known.add(Trial(number, {"lr": 0.01, "depth": depth, "batch": 64, "act": "a"}, outcome, Origin.CMAES))
    return known


def test_a_neighbourhood_is_the_mean_rank_of_the_three_nearest_trials():
    trials = seen((1, 3.0), (2, 1.0), (3, 2.0), (10, 4.0), (11, None), (12, None))
    at = {"lr": 0.01, "batch": 64, "act": "a"}
    assert trials.neighbourhood({**at, "depth": 1}) == pytest.approx((3 + 1 + 2) / 3 / 7)
    assert trials.neighbourhood({**at, "depth": 12}) == pytest.approx((4 + 5.5 + 5.5) / 3 / 7)
    assert seen().neighbourhood({**at, "depth": 1}) == 0.5


def test_another_choice_is_as_far_as_the_other_end_of_a_range():
    trials = seen((1, 1.0), (2, 1.0), (12, 5.0))
    trials.add(
        Trial(3, {"lr": 0.01, "depth": 1, "batch": 64, "act": "b"}, Outcome(Status.COMPLETE, (9.0,)), Origin.CMAES)
    )
    nearest_three = trials.neighbourhood({"lr": 0.01, "depth": 1, "batch": 64, "act": "a"})
    assert nearest_three == pytest.approx((1.5 + 1.5 + 3) / 3 / 5), "the trial with b is the farthest"


def far(_, view):
    """Proposes the far corner, a little different with each call."""
    return json.dumps({"values": [0.9 - view["call"] / 1e4, 1, 256, "a"]})


def test_what_lies_among_poor_trials_is_not_run(tmp_path):
    search = centaur(tmp_path, far, warmup=20)
    suggestions = drive(search, 80)
    assert {s.origin for s in suggestions} == {Origin.CMAES, Origin.FALLBACK}
    assert "poor neighbourhood" in {s.note["reason"] for s in suggestions if s.origin is Origin.FALLBACK}
    assert search.explain()["share"] < AdaptiveShare.START / 5


def test_what_lies_among_good_trials_is_run_and_earns_a_share(tmp_path):
    suggestions = drive(centaur(tmp_path, warmup=20), 80)
    turns = [s for s in suggestions if s.origin is Origin.LLM]
    assert len(turns) > 5
    looked_at = [s for s in suggestions if "calls" in s.note][:3]
    assert {s.note["reason"] for s in looked_at} == {"looked at only"}


def test_a_useless_model_costs_its_trials_and_nothing_else(tmp_path):
    """CMA-ES's own trials are those that it would have made alone, in the same order."""
    pure = drive(centaur(tmp_path / "a", ratio=0.0), 80)
    mixed = drive(centaur(tmp_path / "b", far, screen="none"), 80)
    own = [s.params for s in mixed if s.origin is not Origin.LLM]
    assert 0 < len(mixed) - len(own) < 6
    assert own == [s.params for s in pure][: len(own)]


def test_a_fixed_ratio_is_the_users_word():
    fixed, followed = CentaurOptions(core="cmaes", ratio=0.3), CentaurOptions(core="cmaes")
    assert (fixed.screen, fixed.poor) == ("none", "tell")
    assert (followed.screen, followed.poor) == ("neighbours", "reissue")
    assert CentaurOptions(core="cmaes", ratio=0.3, screen="neighbours").screen == "neighbours"


def test_error_diffusion_never_drifts():
    share = ErrorDiffusion(1 / 3)
    assert sum(share.next(0) for _ in range(3000)) in (999, 1000)


def test_cmaes_draws_the_same_numbers_with_every_sampler(tmp_path):
    firsts = []
    for sampler in ("llm", "incumbent", "uniform", "advisor"):
        suggestions = drive(centaur(tmp_path / sampler, ratio=0.5, warmup=0, sampler=sampler), 6)
        firsts.append([s.params for s in suggestions if s.origin is Origin.CMAES][:3])
    assert all(first == firsts[0] for first in firsts)


def prompts_of(method, tmp_path, **options):
    search = building(method, tmp_path, model := Model(good), **options)(PROBLEM, 0)
    drive(search, 26, lambda s: Outcome(Status.OOM) if s.params["depth"] > 8 else None)
    return model.asked()


@pytest.mark.parametrize(
    ("name", "method", "options"),
    [
        ("centaur-propose", Centaur, {"core": "cmaes", "ratio": 0.5}),
        ("centaur-process", Centaur, {"ratio": 0.5}),
        ("centaur-paper", Centaur, {"preset": "paper"}),
        ("llm-propose", LlmSearch, {"recent": 5}),
    ],
)
def test_prompts_are_as_they_were_reviewed(name, method, options, tmp_path):
    prompt = prompts_of(method, tmp_path, **options)[-1]
    assert prompt == reviewed(name, prompt)


def test_the_text_before_the_state_stays_the_same_over_several_prompts(tmp_path):
    """What prefix caching lives on: consecutive prompts share all but their end most of the time."""
    prompts = prompts_of(LlmSearch, tmp_path, recent=10)
    fixed = prompts[-1].index("# Trials so far")
    assert all(prompt[:fixed] == prompts[-1][:fixed] for prompt in prompts)
    shared = [len(shared_start(a, b)) / len(a) for a, b in pairwise(prompts[10:])]
    assert np.mean([share > 0.5 for share in shared]) > 0.8
