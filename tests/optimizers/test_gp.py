"""The method gp: its first trials, what it makes of a belief, of failures, and of the model that it asks once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from method_runs import PROBLEM, Model, flaky, plane, reviewed, searching

from agentopt.optimizers.gp.belief import Belief, consensus
from agentopt.optimizers.gp.method import Gp
from agentopt.optimizers.gp.opening import Opening
from agentopt.optimizers.gp.rows import RowSpace
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Trial

SPACE = SearchSpace((Float("x", 0.0, 1.0), Int("n", 1, 5), Choice("c", ("a", "b", "c"))))
ROWS = RowSpace(SPACE)
GOOD, BAD = {"x": 0.3, "y": 0.7}, {"x": 0.9, "y": 0.1}


def search(tmp_path, model=None, problem=None, judge=None, **options):
    """A simulated run of the method, not begun; by default on the plane, whose best point is `GOOD`."""
    chosen = {"prior": "none" if model is None else "model", **options}
    return searching(Gp, tmp_path, model or Model(), problem or plane(), judge or hill, **chosen)


def hill(_, params):
    return Outcome(Status.COMPLETE, (sum((params[name] - GOOD[name]) ** 2 for name in GOOD),))


def saying(params, spread=0.02):
    """A model that answers a configuration of the plane, each time a bit off."""

    def answer(_, view):
        off = np.random.default_rng(view["seed"]).normal(0, spread, 2)
        return {"values": {name: float(np.clip(v + o, 0, 1)) for (name, v), o in zip(params.items(), off, strict=True)}}

    return Model(answer)


def origins(run, *, first=6):
    return [one.origin for one in run.asked[:first]]


def believing(*configurations, strength=20.0):
    return Belief(ROWS, ROWS.rows(configurations), strength)


def told(belief, own=(), uniform=()):
    for loss in own:
        belief.learn(loss, own=True)
    for loss in uniform:
        belief.learn(loss, own=False)
    return belief


A, B = {"x": 0.2, "n": 2, "c": "a"}, {"x": 0.8, "n": 4, "c": "b"}


def test_what_answers_agree_on_is_the_median_and_the_most_frequent():
    answers = [{"x": x, "n": n, "c": c} for x, n, c in [(0.1, 1, "c"), (0.2, 4, "b"), (0.9, 4, "c"), (0.3, 5, "a")]]
    assert ROWS.params(consensus(ROWS, ROWS.rows(answers))) == {"x": 0.25, "n": 4, "c": "c"}
    between = [{"x": 0.5, "n": n, "c": "a"} for n in (1, 4)]
    row = consensus(ROWS, ROWS.rows(between))
    assert np.array_equal(ROWS.row(ROWS.params(row)), row), "a median between two levels is one of them"


@pytest.mark.parametrize(
    ("own", "uniform"),
    [((), ()), ((1.0,), ()), ((), (1.0,)), ((2.0, 3.0), (1.0, 0.5)), ((1.0,), (1.0,)), ((np.inf,), (np.inf, 1.0))],
)
def test_there_is_no_trust_without_evidence_or_against_it(own, uniform):
    belief = told(believing(A), own, uniform)
    assert belief.trust == 0
    assert belief.better <= 0.5
    assert belief.exponent(1) == 0


def test_trust_grows_with_evidence():
    beliefs = [told(believing(A), range(n), range(10, 10 + n)) for n in (1, 2, 4, 8)]
    assert np.all(np.diff([b.trust for b in beliefs]) > 0)
    assert np.all(np.diff([b.better for b in beliefs]) > 0)
    assert beliefs[-1].trust == pytest.approx(1, abs=0.01)
    assert told(believing(A), [1.0] * 4, [np.inf] * 4).trust == beliefs[2].trust, "a failure is worse than any value"


def test_the_exponent_decays_with_the_trials():
    belief = told(believing(A, strength=8.0), [0.0] * 8, [1.0] * 8)
    assert belief.exponent(4) == pytest.approx(2 * belief.trust)
    assert belief.exponent(0) == belief.exponent(1) == pytest.approx(100 * belief.exponent(100))


def test_the_density_is_one_over_the_space_and_higher_at_what_is_believed():
    belief = believing(A, B)
    draws = ROWS.draw(20000, np.random.default_rng(0))
    assert np.exp(belief.log_density(draws)).mean() == pytest.approx(0.9, abs=0.1), "some of it lies outside of the box"
    at, off = belief.log_density(ROWS.rows([A, {"x": 0.5, "n": 3, "c": "c"}]))
    assert at > 0 > off > np.log(0.19)


def test_an_opening_without_a_belief_fills_the_space():
    opening = Opening(ROWS, 10, np.random.default_rng(0))
    rows = np.array([opening.rows()[0][0] for _ in range(10)])
    assert sorted((rows[:, 0] * 10).astype(int)) == list(range(10))
    assert opening.rows()[1] == "uniform"
    assert len(opening.rows()[0]) > 1


def test_trials_in_flight_count_as_turns():
    opening = Opening(ROWS, 6, np.random.default_rng(0))
    opening.believe(believing(A, B))
    kinds = []
    for token in range(4):
        rows, kind = opening.rows()
        kinds.append(kind)
        opening.out(token, kind)
        assert kind == "uniform" or ROWS.params(rows[0]) == (A if token == 0 else B)
    assert kinds == ["belief", "uniform", "uniform", "belief"]
    opening.learn(None, 0.0)
    opening.learn(99, 0.0)
    assert opening.belief.counts == (0, 0), "trials of others say nothing of it"
    opening.learn(0, 0.0)
    opening.learn(1, 1.0)
    assert opening.belief.counts == (1, 1)
    assert opening.rows()[1] == "belief"


def test_a_belief_that_is_right_is_followed(tmp_path):
    run = search(tmp_path, saying(GOOD)).run(8)
    assert origins(run)[:2] == [Origin.LLM, Origin.RANDOM]
    assert origins(run).count(Origin.LLM) == 5
    state = run.optimizer.explain()
    assert state["in_words"].startswith("What the model expects to work was followed: its 5 trials were better than")
    assert state["belief"]["better_than_uniform"] > 0.6
    assert state["belief"]["trust"] > 0.5
    first = run.asked[0].params
    assert abs(first["x"] - GOOD["x"]) + abs(first["y"] - GOOD["y"]) < 0.03


def test_a_belief_that_is_wrong_costs_a_trial_or_two(tmp_path):
    run = search(tmp_path, saying(BAD)).run(25)
    assert origins(run, first=25).count(Origin.LLM) <= 2
    state = run.optimizer.explain()
    assert state["belief"]["trust"] == 0
    assert state["in_words"].startswith("What the model expects to work was dropped: ")
    assert min(hill(0, s.params).values[0] for s in run.asked) < 1e-3


def test_the_model_is_asked_once_for_sixteen_configurations(tmp_path):
    run = search(tmp_path, model := Model()).run(20)
    assert sorted(model.prompts) == list(range(16))
    assert len(set(model.prompts.values())) == 1
    assert run.asked[0].note == {"calls": list(range(16))}
    assert not any(one.note for one in run.asked[1:])
    space = RowSpace(run.problem.space)
    answers = np.array([list(model.answer("", model.views[i])["values"].values()) for i in range(16)])
    assert run.asked[0].params == pytest.approx(dict(zip("xy", np.median(answers, axis=0), strict=True)))
    assert space.row(run.asked[0].params) == pytest.approx(np.median(answers, axis=0))


def test_replies_that_cannot_be_read_leave_no_belief(tmp_path):
    run = search(tmp_path, model := Model(lambda *_: "I do not know."), replies=4).run(12)
    assert len(model.prompts) == 8, "each is repaired once"
    assert run.asked[0].note["lost"] == 4
    assert run.asked[0].note["reason"]
    assert run.asked[0].note["calls"] == list(range(8))
    assert origins(run) == [Origin.RANDOM] * 6
    assert "belief" not in run.optimizer.explain()
    assert Origin.LLM not in origins(run, first=12)


def test_the_default_that_takes_the_place_of_lost_replies_is_not_called_the_models(tmp_path):
    run = search(tmp_path, Model(lambda *_: "no"), PROBLEM, flaky).run(12)
    state = run.optimizer.explain()
    assert state["belief"]["trust"] >= 0
    assert state["in_words"].startswith("The neighbourhood of the default configuration was ")
    assert run.asked[0].origin is Origin.FALLBACK
    assert set(origins(run)) == {Origin.FALLBACK, Origin.RANDOM}


def test_a_step_around_what_the_model_said_is_not_called_the_models(tmp_path):
    run = search(tmp_path, saying(GOOD), replies=2, initial=12).run(12)
    assert origins(run, first=12).count(Origin.LLM) == 3, "what they agree on, and both of them"
    assert origins(run, first=12).count(Origin.LOCAL) >= 5


def test_some_replies_are_enough(tmp_path):
    model = Model(lambda prompt, view: {"values": GOOD} if view["call"] == 2 else "no")
    run = search(tmp_path, model, replies=4).run(3)
    assert run.asked[0].params == pytest.approx(GOOD)
    assert run.asked[0].note["lost"] == 3


def test_the_twin_of_the_model_asks_nobody(tmp_path):
    run = search(tmp_path, model := Model(), prior="uniform").run(8)
    assert model.prompts == {}
    assert set(origins(run)) == {Origin.CONTROL, Origin.RANDOM}
    assert run.asked[0].note == {}


def test_the_default_is_a_belief_unless_there_is_to_be_none(tmp_path):
    with_default = search(tmp_path, problem=PROBLEM, judge=flaky, prior="default").run(6)
    assert with_default.asked[0].params == pytest.approx(PROBLEM.space.defaults())
    assert with_default.asked[0].origin is Origin.LOCAL
    without = search(tmp_path, problem=PROBLEM, judge=flaky).run(6)
    assert origins(without) == [Origin.RANDOM] * 6
    assert "belief" not in without.optimizer.explain()


@pytest.mark.parametrize(("name", "problem"), [("gp-prior", PROBLEM), ("gp-prior-no-default", plane("maximize"))])
def test_the_prompt_is_as_it_was_reviewed(tmp_path, name, problem):
    search(tmp_path, model := Model(), problem, lambda *_: Outcome(Status.COMPLETE, (1.0,)), replies=1).run(1)
    assert model.asked() == [reviewed(name, model.asked()[0])]


def test_the_default_is_not_run_again(tmp_path):
    run = search(tmp_path, problem=PROBLEM, judge=flaky, prior="default")
    default = PROBLEM.space.defaults()
    run.take(Trial(0, default, flaky(0, default), Origin.BASELINE))
    assert not any(one.params == pytest.approx(default, abs=1e-9) for one in run.run(12).asked)


def test_where_trials_fail_it_does_not_go_again(tmp_path):
    space = SearchSpace(tuple(Float(name, 0.0, 1.0) for name in "xyvw"))

    def judge(_, params):
        if params["x"] > 0.5:
            return Outcome(Status.OOM, error="memory")
        loss = (params["x"] - 0.4) ** 2 + abs(params["y"] - 0.3) + abs(params["v"] - params["w"])
        return Outcome(Status.COMPLETE, (loss,))

    run = search(tmp_path, problem=replace(plane(), space=space), judge=judge).run(40)
    failed = [one.params["x"] > 0.5 for one in run.asked]
    assert sum(failed[:6]) >= 2
    assert sum(failed[-20:]) <= 4
    assert run.optimizer.explain()["failing"] < 0.4


def test_it_goes_on_where_everything_fails(tmp_path):
    run = search(tmp_path, saying(GOOD), judge=lambda *_: Outcome(Status.FAILED, error="no")).run(12)
    assert len({tuple(one.params.values()) for one in run.asked}) == 12
    assert run.optimizer.explain()["phase"] == "first trials"


def test_trials_in_flight_are_not_asked_for_again(tmp_path):
    run = search(tmp_path).run(10)
    batch = run.ask(4)
    points = np.array([list(one.params.values()) for one in batch])
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(4, 1)]
    assert apart.min() > 1e-3


def test_it_finds_the_best_of_a_plane_soon(tmp_path):
    run = search(tmp_path).run(25)
    assert min(hill(0, one.params).values[0] for one in run.asked) < 1e-4
    state = run.optimizer.explain()
    assert set(state["matters"]) == {"x", "y"}
    assert state["expected_best"]["from"] <= state["expected_best"]["value"] <= state["expected_best"]["to"]
