"""The method auto: whose turn it is, what each of its searches is told, and what an ask costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from method_runs import building, plane

from agentopt.optimizers.auto import FEW, MANY, Auto
from agentopt.optimizers.gp.process import Process
from agentopt.protocols import Objective
from agentopt.testing.simulation import session
from agentopt.trial import Origin, Outcome, Status, Trial

BEST = {"x": 0.3, "y": 0.3}
SEVERAL = (Objective("near"), Objective("far"))


def begun(tmp_path, told=0, *, planned=None, objectives=None, seed=0, losses=None, **options):
    """A simulated run, after so many trials of others: uniform ones, the first of them better than the others."""
    problem = replace(plane(), trials=planned, objectives=objectives or plane().objectives)
    run = session(building(Auto, tmp_path, prior="none", **options), problem, seed)
    rng = np.random.default_rng(99)
    for i in range(told):
        params = problem.space.sample(rng) if i else BEST
        value = float(i > 0) if losses is None else losses[i]
        outcome = run.judge(i, params) if objectives else Outcome(Status.COMPLETE, (value,))
        run.take(Trial(i, params, outcome, Origin.USER))
    return run


def searches(run):
    return {name: state["asked"] for name, state in run.optimizer.explain()["searches"].items()}


@pytest.fixture
def fits(monkeypatch):
    """Counts how often a process is fitted."""
    counted, fit = [], Process.fit

    def counting(process, rows, *given):
        counted.append(len(rows))
        fit(process, rows, *given)

    monkeypatch.setattr(Process, "fit", counting)
    return counted


def test_the_process_asks_first(tmp_path):
    run = begun(tmp_path).run(20)
    assert searches(run) == {"gp": 20}
    assert {one.origin for one in run.asked} <= {Origin.RANDOM, Origin.GP, Origin.LOCAL}
    assert not any("why" in one.note for one in run.asked)
    assert run.optimizer.explain()["process"]["trials"] == 20


@pytest.mark.parametrize("planned", [None, 400, MANY - 1])
def test_after_many_trials_cmaes_goes_on_from_the_best_point(tmp_path, planned):
    run = begun(tmp_path, FEW - 1, planned=planned, losses=[0.0] + [1.0 - i * 1e-3 for i in range(FEW)])
    run.run(1)
    assert searches(run)["gp"] == 1
    run.run(20)
    cmaes = run.asked[-20:]
    assert {one.origin for one in cmaes} == {Origin.CMAES}
    assert {one.note["why"] for one in cmaes} == {"many trials"}
    points = np.array([list(one.params.values()) for one in cmaes])
    assert np.abs(np.median(points[:6], axis=0) - 0.3).max() < 0.15
    assert searches(run) == {"gp": 1, "cmaes": 20}


def test_where_thousands_are_planned_it_is_half_as_many(tmp_path):
    run = begun(tmp_path, FEW // 2, planned=MANY).run(1)
    assert searches(run) == {"gp": 0, "cmaes": 1}
    assert searches(begun(tmp_path, FEW // 2, planned=MANY - 1).run(1))["gp"] == 1


def test_the_tail_takes_ever_smaller_steps_around_the_best(tmp_path):
    run = begun(tmp_path, 360, planned=400)
    run.judge = lambda *_: Outcome(Status.COMPLETE, (1.0,))
    run.run(40)
    assert {(one.origin, one.note["why"]) for one in run.asked} == {(Origin.LOCAL, "the last tenth of the budget")}
    away = [max(abs(one.params[name] - BEST[name]) for name in BEST) for one in run.asked]
    assert 0 < np.mean(away[-10:]) < np.mean(away[15:25]) / 2 < np.mean(away[:10]) / 4
    assert max(away[-5:]) < 0.01
    assert "steps of the tail 40" in run.optimizer.explain()["in_words"]
    assert begun(tmp_path, 359, planned=400).run(1).asked[0].origin is Origin.CMAES
    assert begun(tmp_path, 299, planned=300).run(1).asked[0].note.get("why") != "the last tenth of the budget"


def test_several_objectives_are_left_to_nsga2_after_many_trials(tmp_path):
    run = begun(tmp_path, FEW - 1, planned=FEW + 10, objectives=SEVERAL).run(9)
    assert [one.origin for one in run.asked[1:]] == [Origin.NSGA2] * 8, "and there is no tail"
    assert searches(run) == {"gp": 1, "nsga2": 8}


def test_tpe_takes_turns_after_a_stall_alone(tmp_path):
    improving = begun(tmp_path, 40, losses=[-float(i) for i in range(40)])
    improving.judge = lambda number, _: Outcome(Status.COMPLETE, (-100.0 - number,))
    assert searches(improving.run(15)) == {"gp": 15}
    stalled = begun(tmp_path, 40)
    stalled.judge = lambda *_: Outcome(Status.COMPLETE, (1.0,))
    found = searches(stalled.run(30))
    assert 1 <= found["tpe"] <= 15
    turns = [one for one in stalled.asked if "why" in one.note]
    assert len(turns) == found["tpe"]
    assert turns[0].note["why"].startswith("no better trial for ")
    assert stalled.optimizer.explain()["since_best"] == 69


@pytest.mark.parametrize("width", [1, 3])
def test_every_search_is_told_every_trial(tmp_path, width):
    run = begun(tmp_path, 40)
    run.judge = lambda *_: Outcome(Status.COMPLETE, (1.0,))
    run.run(30, width=width, order=np.random.default_rng(0))
    arms = run.optimizer._arms
    assert arms["gp"].search.explain()["trials"] == 70
    assert len(arms["tpe"].search._search._study.trials) == 70 + arms["tpe"].search.explain()["pending"]
    waiting = len(run.pending)
    assert len(arms["gp"].search._pending) + arms["tpe"].search.explain()["pending"] == waiting
    assert arms["tpe"].asked > 0


@pytest.mark.parametrize("before", [FEW, FEW + 60])
def test_a_search_that_joins_late_is_told_all_before(tmp_path, before):
    run = begun(tmp_path, before, objectives=SEVERAL).run(5)
    study = run.optimizer._arms["nsga2"].search._search._study
    assert len(study.trials) == before + 5
    assert run.optimizer.explain()["process"]["trials"] == before + 5


def test_of_many_trials_an_ask_costs_no_fit(tmp_path, fits):
    run = begun(tmp_path, 140, planned=MANY).run(10)
    assert 1 <= len(fits) <= 10
    fits.clear()
    run.run(300)
    assert fits == []
    assert searches(run)["cmaes"] == 300


def test_of_many_trials_the_process_stands_in_alone_while_a_generation_waits(tmp_path, fits):
    run = begun(tmp_path, 150, planned=MANY).run(40, width=4)
    waited = [one for one in run.asked if one.note["why"] == "cmaes waits"]
    assert 0 < len(waited) < len(run.asked) / 2
    assert len(fits) <= len(waited)
    assert searches(run)["gp"] == len(waited)


@pytest.mark.parametrize(("told", "objectives"), [(5, None), (FEW, None), (FEW, SEVERAL), (60, None)])
def test_the_seed_decides(tmp_path, told, objectives):
    first, same, other = (begun(tmp_path, told, objectives=objectives, seed=seed).run(12).asked for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_it_says_whom_it_asked(tmp_path):
    run = begun(tmp_path).run(8)
    state = run.optimizer.explain()
    assert state["in_words"].startswith("Trials asked of: gp 8.")
    assert 0 <= state["searches"]["gp"]["worth"] <= 1
    assert set(state) == {"searches", "since_best", "process", "in_words"}
