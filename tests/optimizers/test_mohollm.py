"""MOHOLLM: cells by the hypervolume that they hold, batches by what they promise together, and the contract of both."""

from __future__ import annotations

import json

import numpy as np
import pytest
from method_runs import SQUARE, Model, building, inside, turns

from agentopt.optimizers.mohollm import FAR, Mohollm, MohollmOptions, tamed
from agentopt.pareto import front_mask, hypervolume
from agentopt.partition.scores import cell_contributions
from agentopt.partition.tree import grow
from agentopt.protocols import Objective, Problem, stated_reference
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.testing.contracts import OPTIMIZER_CHECKS
from agentopt.testing.simulation import session
from agentopt.trial import Origin, Outcome, Status

TWO = Problem(SQUARE, (Objective("cost"), Objective("speed", "maximize")), "", 40)
MIXED = Problem(
    SearchSpace((Float("rate", 1e-5, 1e-1, log=True), Int("layers", 1, 6), Choice("kind", ("a", "b", "c")))),
    (Objective("loss"), Objective("size"), Objective("speed", "maximize")),
    "A test function.",
    20,
)


def two(_, params):
    """Two objectives in losses: the distances to two places."""
    x, y = params["x"], params["y"]
    return Outcome(Status.COMPLETE, ((x - 0.2) ** 2 + y / 9, (x - 0.8) ** 2 + y / 9))


def oracle(scale=1.0):
    """Draws in the cell, and predicts what the task will say, in its units."""

    def answer(_, view):
        rows = inside(view)
        values = [two(0, row).values for row in rows]
        items = [
            {"values": row, "predicted": [a * scale, -b * scale]} for row, (a, b) in zip(rows, values, strict=True)
        ]
        return {"candidates": items}

    return answer


VARIANTS = [
    {},
    {"preset": "paper"},
    {"preset": "code", "sampler": "uniform", "surrogate": "neighbours"},
    {"partition": "none", "surrogate": "none", "batch": 3},
]


@pytest.mark.parametrize("check", OPTIMIZER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("given", VARIANTS, ids=str)
def test_the_contract_holds_with_three_objectives(given, check, tmp_path):
    check(building(Mohollm, tmp_path, **given), MIXED)


def losses(run, upto):
    return np.array([run.judge(0, s.params).values for s in run.asked[:upto]])


@pytest.mark.parametrize("given", [{}, {"batch_by": "one"}])
def test_the_batch_is_what_promises_the_most_hypervolume(tmp_path, given):
    offered = {}

    def answer(_, view):
        """Two places in the cell, each with a near copy."""
        rows = inside(view, 2)
        offered[view["call"]] = [*rows, *({**row, "x": row["x"] + 1e-9} for row in rows)]
        values = [two(0, row).values for row in offered[view["call"]]]
        pairs = zip(offered[view["call"]], values, strict=True)
        return {"candidates": [{"values": row, "predicted": [a, -b]} for row, (a, b) in pairs]}

    run = session(building(Mohollm, tmp_path, answer, initial=12, batch=3, **given), TWO, seed=2, judge=two)
    run.run(12 + 3)
    told = losses(run, 12)
    rows = [row for call in sorted(offered) for row in offered[call]]
    pool = np.array([two(0, row).values for row in rows])
    every = np.vstack([told, pool])
    low, width = every.min(axis=0), np.ptp(every, axis=0)
    told, pool, reference = (told - low) / width, (pool - low) / width, np.full(2, 1.1)
    chosen, held = [], told
    for _ in range(3):
        base = told if given else held
        gains = [hypervolume(np.vstack([base, row]), reference) for row in pool]
        k = max((i for i in range(len(pool)) if i not in chosen), key=lambda i: gains[i])
        assert gains[k] > hypervolume(base, reference)
        chosen.append(k)
        held = np.vstack([held, pool[k]])
    assert [dict(s.params) for s in run.asked[12:15]] == [rows[k] for k in chosen]
    apart = np.abs(np.subtract.outer(*[[rows[k]["x"] for k in chosen]] * 2))[~np.eye(3, dtype=bool)].min()
    assert (apart < 1e-6) == bool(given), "near copies are taken by those that take one by one"


def test_predictions_are_shown_in_the_units_of_the_task(tmp_path):
    run = session(building(Mohollm, tmp_path, oracle()), TWO, judge=two).run(9)
    for suggestion in run.asked[5:]:
        a, b = two(0, suggestion.params).values
        assert suggestion.note["predicted"] == pytest.approx([a, -b])


@pytest.mark.parametrize(("rule", "cut"), [("front", "median"), ("all", "midpoint")])
def test_cells_are_scored_by_the_hypervolume_that_they_hold(tmp_path, rule, cut):
    """With exploitation alone, beside the numbers from scratch."""
    given = {"contribution": rule, "rule": cut, "alpha_max": 0.0, "alpha_min": 0.0, "floor": 0.0, "cells": 99}
    run = session(building(Mohollm, tmp_path, oracle(), **given), TWO, judge=two)
    run.run(5 + 20)
    shown = {note["cell"]: note["score"] for note in run.optimizer.explain()["chosen"]}
    count = run.optimizer.explain()["chosen"]
    held = sum(note["held"] for note in count)
    assert held == 21
    told = losses(run, held)
    leaves = grow(np.array([SQUARE.encode(s.params) for s in run.asked[:held]]), 2, cut)
    scaled = (told - told.min(axis=0)) / np.ptp(told, axis=0)
    gains, other = (
        cell_contributions(leaves, scaled, np.full(2, 1.1), hypervolume, one)
        for one in (rule, "all" if rule == "front" else "front")
    )
    assert not np.allclose(gains, other)
    expected = (gains - gains.min()) / np.ptp(gains)
    assert [shown[k] for k in range(len(leaves))] == pytest.approx(expected.tolist(), abs=2e-6)


def test_the_reference_is_the_tasks_where_it_states_one():
    stated = (Objective("cost", reference=5.0), Objective("speed", "maximize", reference=0.5))
    assert stated_reference(stated) == (5.0, -0.5)
    assert stated_reference((stated[0], Objective("speed", "maximize"))) is None


def test_trials_beyond_the_stated_reference_are_worth_nothing(tmp_path):
    """With exploitation alone: cells without a trial that is better than the reference score nothing."""
    objectives = (Objective("cost", reference=0.3), Objective("speed", "maximize", reference=-0.3))
    given = {"alpha_max": 0.0, "alpha_min": 0.0, "floor": 0.0, "cells": 99}
    run = session(building(Mohollm, tmp_path, oracle(), **given), Problem(SQUARE, objectives, "", 40), judge=two)
    run.run(5 + 20)
    chosen = run.optimizer.explain()["chosen"]
    told = losses(run, sum(note["held"] for note in chosen))
    leaves = grow(np.array([SQUARE.encode(s.params) for s in run.asked[: len(told)]]), 2)
    gains = cell_contributions(leaves, told, np.full(2, 0.3), hypervolume, "front")
    scores = [note["score"] for note in sorted(chosen, key=lambda note: note["cell"])]
    assert scores == pytest.approx((gains / gains.max()).tolist(), abs=2e-6)
    assert scores.count(0.0) > 2


def test_one_objective_is_taken_too(tmp_path):
    problem = Problem(SQUARE, (Objective("score", "maximize"),), "", 40)
    run = session(building(Mohollm, tmp_path, sampler="uniform", surrogate="neighbours"), problem).run(41)
    values = [run.judge(0, s.params).values[0] for s in run.asked]
    assert np.median(values[25:]) < np.median(values[:5])


def test_failed_trials_and_values_beyond_all_bounds_are_taken(tmp_path):
    def judge(number, params):
        if number % 3 == 0:
            return Outcome(Status.FAILED, error="no")
        return Outcome(Status.COMPLETE, (1e300 * params["x"], -1e300 if number % 2 else 1e-300))

    run = session(building(Mohollm, tmp_path, oracle(1e200)), TWO, judge=judge).run(33)
    assert len(run.asked) >= 33
    json.dumps(run.optimizer.explain(), allow_nan=False)


def test_a_guided_search_finds_a_better_front_than_a_blind_one(tmp_path):
    """Over five seeds, with the same initial trials: a model that predicts the truth, and draws without predictions."""
    guided, blind = [], []
    for seed in range(5):
        runs = (
            building(Mohollm, tmp_path / str(seed), oracle()),
            building(Mohollm, tmp_path, sampler="uniform", surrogate="none"),
        )
        for found, build in zip((guided, blind), runs, strict=True):
            run = session(build, TWO, seed=seed, judge=two).run(30)
            found.append(hypervolume(losses(run, 30), np.full(2, 1.5)))
    assert sum(guided) > sum(blind)
    assert sum(g > b for g, b in zip(guided, blind, strict=True)) >= 4


def test_presets_and_what_they_refuse():
    paper, code = MohollmOptions(preset="paper"), MohollmOptions(preset="code", norm="minmax")
    assert (paper.rule, paper.contribution, paper.capacity, paper.surrogate) == ("median", "front", 5, "llm")
    assert (code.rule, code.contribution, code.batch_by, code.norm) == ("midpoint", "all", "one", "minmax")
    with pytest.raises(ValueError, match="labels predicts one objective only"):
        MohollmOptions(surrogate="labels")


def test_predictions_of_all_objectives_come_from_further_calls(tmp_path):
    run = session(building(Mohollm, tmp_path, surrogate="llm", samples=2), TWO, judge=two).run(9)
    (first, *rest) = turns(run)[-1]
    assert len(first.note["predict_calls"]) == 4
    assert all(s.origin is Origin.LLM and len(s.note["predicted"]) == 2 for s in (first, *rest))


def test_the_prompt_speaks_of_all_objectives_and_shows_the_front_last(tmp_path):
    run = session(building(Mohollm, tmp_path, model := Model(oracle()), best=5), TWO, judge=two).run(30)
    prompt = model.asked()[-1]
    assert "measures cost, speed; lower cost, higher speed is better" in prompt
    assert '"predicted": [cost, speed]' in prompt
    block = prompt.split("# The best trials, best last\n")[1].split("\n\n")[0].splitlines()
    shown = np.array([[float(v) for v in line.split("-> ")[1].split(", ")] for line in block]) * [1, -1]
    told = losses(run, 25)
    front = told[front_mask(told)]
    assert len(block) == 5
    assert min(np.abs(front - shown[-1]).sum(axis=1)) < 1e-4, "the last of them is on the front"


def test_steps_around_the_front_are_new(tmp_path):
    run = session(building(Mohollm, tmp_path, sampler="incumbent", surrogate="neighbours"), MIXED).run(40)
    assert {s.origin for s in run.asked} == {Origin.RANDOM, Origin.CONTROL}
    assert len({MIXED.space.key(s.params) for s in run.asked}) == len(run.asked)


def test_a_wild_prediction_does_not_flatten_the_others():
    told = np.array([[0.0, 5.0], [2.0, 5.0]])
    wild = np.array([[1.0, 4.0], [1e300, -1e300], [-0.5, 6.0]])
    assert tamed(wild, told).tolist() == [[1.0, 4.0], [2.0 + FAR * 2.0, -1e300], [-0.5, 6.0]]
    assert (tamed(wild, told[:0]) == wild).all()
