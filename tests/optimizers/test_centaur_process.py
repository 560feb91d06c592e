"""Centaur with a Gaussian process: what a model costs, which of its configurations are run, what it is shown."""

from __future__ import annotations

import json
import shutil

import method_runs
import numpy as np
import pytest
import tomli_w
from method_runs import PROBLEM, SPACE, building, loss

from agentopt.build import open_run, plan, resume_run
from agentopt.cli import main
from agentopt.config import load_config, read_toml
from agentopt.journal import read_history
from agentopt.optimizers.centaur import Centaur, CentaurOptions
from agentopt.optimizers.gp.method import Gp
from agentopt.optimizers.gp.rows import RowSpace
from agentopt.optimizers.screening import MARGIN
from agentopt.protocols import Objective, Problem
from agentopt.state import state_of
from agentopt.trial import Origin, Outcome, Status, Trial

WORST = {"lr": 1.0, "depth": 1, "batch": 256, "act": "b"}


def far(_, view):
    """Proposes what was shown to be worst, a little different with each call."""
    return json.dumps({"values": [0.99 - view["call"] / 1e4, 1, 256, "b"]})


def near(_, view):
    """Proposes a point near the optimum that differs with each call."""
    return json.dumps({"values": [0.03 + view["call"] / 1e4, 7, 64, "b"]})


def told(number, one, outcome=None):
    params = SPACE.repair(one.params)
    outcome = outcome or Outcome(Status.COMPLETE, (loss(params),))
    return Trial(number, params, outcome, one.origin, one.token, one.note)


def drive(search, trials, outcome=lambda _: None):
    """Runs two foreign trials and then `trials` more; returns the suggestions."""
    for number, params in enumerate((SPACE.defaults(), WORST)):
        search.tell(Trial(number, params, Outcome(Status.COMPLETE, (loss(params),)), Origin.USER))
    return method_runs.drive(search, trials, lambda number, one: told(number + 1, one, outcome(one)))


def centaur(tmp_path, script, **options):
    return building(Centaur, tmp_path, script, **options)(PROBLEM, 0)


@pytest.mark.parametrize(
    ("script", "reason"), [(lambda *_: "no idea", "no JSON"), (far, "little promise")], ids=["silent", "wrong"]
)
def test_a_model_none_of_whose_replies_is_run_leaves_the_process_as_it_is_alone(tmp_path, script, reason):
    alone = drive(building(Gp, tmp_path / "a")(PROBLEM, 0), 30)
    mixed = drive(centaur(tmp_path / "b", script), 30)
    assert [one.params for one in mixed] == [one.params for one in alone]
    replaced = [one for one in mixed if one.origin is Origin.FALLBACK]
    assert replaced
    assert all(reason in one.note["reason"] and one.note["calls"] for one in replaced)


def test_what_promises_enough_is_run_and_learned_from(tmp_path):
    search = centaur(tmp_path, near)
    suggestions = drive(search, 30)
    turns = [one for one in suggestions if one.origin is Origin.LLM]
    assert len(turns) > 2
    assert all(one.origin is not Origin.LLM for one in suggestions[:8])
    assert search.explain()["trials"] == 32
    assert search.explain()["expected_best"]["params"]["depth"] == 7


def test_the_promise_decides_beside_that_of_the_own_candidate(tmp_path):
    search = building(Gp, tmp_path, plain=0)(PROBLEM, 0)
    drive(search, 12)
    (own,) = search.ask(1)
    assert own.origin is Origin.GP
    assert search.promise(own.params) > search.promise(WORST) + MARGIN
    search = building(Gp, tmp_path, plain=1)(PROBLEM, 0)
    drive(search, 12)
    assert search.promise(search.ask(1)[0].params) is None, "a plain step is none of the process's"


def test_the_first_trials_are_the_processes_own(tmp_path):
    search = building(Gp, tmp_path / "a")(PROBLEM, 0)
    assert search.promise(search.ask(1)[0].params) is None
    early = centaur(tmp_path / "b", near, ratio=1.0, warmup=0)
    origins = [one.origin for one in drive(early, 12)]
    assert origins[:4].count(Origin.LLM) == 0, "two of the first six are the user's"
    assert origins[4:].count(Origin.LLM) >= 6


def test_a_fixed_ratio_runs_all_that_the_model_proposes(tmp_path):
    turns = [one for one in drive(centaur(tmp_path, far, ratio=0.5), 40) if one.origin is Origin.LLM]
    assert len(turns) >= 14


def test_a_failed_trial_of_the_model_is_told_and_costs_its_share(tmp_path):
    def fails(one):
        return Outcome(Status.OOM, error="memory") if one.origin is Origin.LLM else None

    search = centaur(tmp_path, near)
    suggestions = drive(search, 30, fails)
    assert len({one.token for one in suggestions}) == 30
    failed = sum(one.origin is Origin.LLM for one in suggestions)
    assert failed
    assert search.explain()["failing"] == pytest.approx((failed + 1) / 33, abs=1e-3), "of the 31 before the last"
    assert search.explain()["share"] < 0.1


def test_what_is_run_in_place_of_a_suggestion_is_pending_and_leaves_the_suggestion_new(tmp_path):
    search = building(Gp, tmp_path, initial=1)(PROBLEM, 0)
    (own,) = search.ask(1)
    search.replace(own, WORST)
    later = [one.params for one in search.ask(8)]
    assert WORST not in later
    search.tell(told(0, own))
    assert search.explain()["trials"] == 1


def test_corners_are_where_the_process_knows_least_and_asking_changes_nothing(tmp_path):
    search, other = (building(Gp, tmp_path)(PROBLEM, 0) for _ in range(2))
    drive(search, 20)
    drive(other, 20)
    state = search.explain()
    assert len(state["unexplored"]) == 3
    assert state == search.explain()
    assert search.ask(3) == other.ask(3)
    rows = RowSpace(SPACE)
    corners = rows.rows([rows.params(row) for row in rows.rows(state["unexplored"])])
    apart = [np.abs(a - b).sum() for i, a in enumerate(corners) for b in corners[:i]]
    assert min(apart) > 0.3


def test_several_objectives_are_searched_too(tmp_path):
    problem = Problem(SPACE, (Objective("a"), Objective("b", "maximize")), "", 20)
    search = building(Centaur, tmp_path, near)(problem, 0)

    def trial(number, one):
        outcome = Outcome(Status.COMPLETE, (loss(one.params), float(one.params["depth"])))
        return Trial(number, one.params, outcome, one.origin, one.token, one.note)

    method_runs.drive(search, 20, trial)
    assert set(search.explain()["expected_best"]) == {"params"}


@pytest.mark.parametrize(
    "bad",
    [{"popsize": 6}, {"preset": "paper", "core": "gp"}, {"poor": "reissue"}, {"core": "cmaes", "screen": "promise"}],
)
def test_options_of_the_other_core_are_refused(bad):
    with pytest.raises(ValueError, match="core="):
        CentaurOptions(**bad)


def test_the_published_method_has_cma_es():
    assert CentaurOptions().core == "gp"
    assert CentaurOptions(preset="paper").core == "cmaes"


def test_a_run_that_is_older_than_the_choice_goes_on_with_cma_es(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"method": "centaur", "task": "sphere-2", "trials": 30, "options": {"core": "cmaes"}}
    whole, old = tmp_path / "whole", tmp_path / "old"
    with open_run(plan({**settings, "model": {"name": "scripted:agentopt.testing.models:oracle"}}), whole) as opened:
        opened.execute()
    shutil.copytree(whole, old)
    document = read_toml(old / "config.toml")
    del document["options"]["core"]
    (old / "config.toml").write_text(tomli_w.dumps(document))
    journal = (old / "journal.jsonl").read_bytes()
    (old / "journal.jsonl").write_bytes(journal[: len(journal) // 2])
    with resume_run(old) as opened:
        opened.execute()
    assert _trials(old) == _trials(whole)
    assert state_of(old)["state"] == state_of(whole)["state"]
    assert main(["run", "--config", "old/config.toml", "--name", "again", "--quiet"]) == 0
    assert load_config(tmp_path / "runs" / "again")[0].options["core"] == "cmaes"
    assert _trials(tmp_path / "runs" / "again") == _trials(whole)


def _trials(run):
    return [(t.id, dict(t.params), t.origin, t.values) for t in read_history(run).trials]
