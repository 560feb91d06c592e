"""Methods of other libraries: the same trials as the library alone, what they are told, and that they search."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import optuna
import pytest
from peer_methods import QUICK, available
from pydantic import ValidationError

from agentopt.errors import UsageError
from agentopt.optimizers import load_method
from agentopt.optimizers.aging import RegularizedEvolution, mutated
from agentopt.optimizers.extras import EXTRAS, require
from agentopt.optimizers.failed import FailedRule
from agentopt.outcomes import failure
from agentopt.protocols import Objective, Problem
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.testing.simulation import PROBLEMS, bowl, session
from agentopt.trial import Origin, Outcome, Status, Trial

NUMBERS = Problem(SearchSpace((Float("x", -5, 5), Float("y", 0.1, 10, log=True), Int("n", 1, 9))), (Objective(),))
MIXED = Problem(
    SearchSpace((Float("x", 0, 1), Int("p", 1, 64, powers_of=2), Choice("c", ("a", "b", "c")))),
    (Objective(),),
    trials=60,
)
PEERS = ("optuna-gp", "smac", "nevergrad", "optuna-cmaes", "nsga2", "pymoo-nsga2", "regularized-evolution")


def build(method, problem, seed=0, **options):
    available(method)
    kind = load_method(method)
    return kind(problem, kind.Options(**options), np.random.default_rng(seed))


def trial(number, params, *values, token=None):
    outcome = Outcome(Status.COMPLETE, values) if values else failure(Status.TIMEOUT, "slow")
    return Trial(number, params, outcome, Origin.USER, token)


@pytest.mark.parametrize("problem", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_optuna_cmaes_runs_the_trials_of_optunas_own_loop(problem):
    available("optuna-cmaes")
    judge, space = bowl(problem), problem.space
    ours = session(lambda p, s: build("optuna-cmaes", p, s), problem, 5).run(60)
    seed = int(np.random.default_rng(5).integers(2**32))
    sampler = optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sampler)

    def objective(asked):
        for name, distribution in space.to_optuna().items():
            asked._suggest(name, distribution)
        return judge(0, space.from_optuna(asked.params)).values[0]

    study.optimize(objective, n_trials=60)
    assert [dict(s.params) for s in ours.asked] == [space.from_optuna(t.params) for t in study.trials]
    assert ours.optimizer.explain()["best"][0]["value"] == study.best_value


def test_nsga2_runs_the_trials_of_optunas_own_loop():
    problem = Problem(MIXED.space, (Objective("a"), Objective("b")))
    judge, space = bowl(problem), problem.space
    ours = session(lambda p, s: build("nsga2", p, s, population_size=8), problem, 5).run(60)
    seed = int(np.random.default_rng(5).integers(2**32))
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=8)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * 2)
    for _ in range(60):
        asked = study.ask(space.to_optuna())
        study.tell(asked, judge(0, space.from_optuna(asked.params)).values)
    assert [dict(s.params) for s in ours.asked] == [space.from_optuna(t.params) for t in study.trials]


def test_smac_runs_the_trials_of_its_facade(tmp_path):
    available("smac")
    from smac import HyperparameterOptimizationFacade as Facade
    from smac import Scenario
    from smac.runhistory import TrialValue

    from agentopt.optimizers.smac import _Translation

    problem = PROBLEMS["mixed"]
    judge, translation = bowl(problem), _Translation(problem.space)
    ours = session(lambda p, s: build("smac", p, s, challengers=30), problem, 4).run(16)
    seed = int(np.random.default_rng(4).integers(2**31))
    scenario = Scenario(
        translation.space, output_directory=tmp_path, deterministic=True, n_trials=problem.trials, seed=seed
    )
    maximizer = Facade.get_acquisition_maximizer(scenario, challengers=30)
    facade = Facade(scenario, logging_level=False, overwrite=True, acquisition_maximizer=maximizer)
    theirs = []
    for number in range(16):
        info = facade.ask()
        theirs.append(translation.params(info.config))
        facade.tell(info, TrialValue(cost=judge(number, theirs[-1]).values[0]))
    assert [dict(s.params) for s in ours.asked] == theirs
    assert sum(s.note["by"].startswith("Initial Design") for s in ours.asked) == 5  # a quarter of the 20 trials


def test_smac_leaves_nothing_behind(tmp_path, monkeypatch, capfd):
    available("smac")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    level, handlers = logging.getLogger("smac").level, list(logging.getLogger().handlers)
    session(lambda p, s: build("smac", p, s, **QUICK["smac"]), MIXED).run(20)
    assert [path for path in Path().rglob("*") if path.name != "temporary"] == []
    assert (logging.getLogger("smac").level, logging.getLogger().handlers) == (level, handlers)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", PEERS)
def test_it_finds_lower_values_than_random_search(method):
    """Medians of three seeds at 60 trials of a bowl in three dimensions."""
    options = {"smac": {"challengers": 50, "retrain_after": 16}, "optuna-gp": {"n_startup_trials": 50}}.get(method, {})
    problem = Problem(NUMBERS.space, NUMBERS.objectives, trials=60)

    def best(name, seed, **options):
        run = session(lambda p, s: build(name, p, s, **options), problem, seed).run(60)
        return min(call.value for call in run.calls if isinstance(call, Trial))

    ours = median(best(method, seed, **options) for seed in range(3))
    assert ours < median(best("random", seed) for seed in range(3))


@pytest.mark.parametrize("method", ["nsga2", "pymoo-nsga2"])
def test_several_objectives_are_searched_as_a_front(method):
    problem = Problem(NUMBERS.space, (Objective("a"), Objective("b")))

    def told(name, seed, **options):
        run = session(lambda p, s: build(name, p, s, **options), problem, seed).run(150)
        return [call.values for call in run.calls if isinstance(call, Trial)][-50:]

    def distance(values):  # the optima are at 0.3 and 0.4 on each axis: 0.1 sqrt(3) apart
        return float(np.mean([np.sqrt(a) + np.sqrt(b) for a, b in values])) - 0.1 * 3**0.5

    assert distance(told(method, 0)) < 0.8 * distance(told("random", 0))


def test_a_repaired_or_failed_trial_fills_its_place_in_the_generation():
    options = {"popsize": 4, "n_startup_trials": 1}
    search = build("optuna-cmaes", NUMBERS, **options)
    for number in range(14):
        (suggestion,) = search.ask(1)
        changed = {**suggestion.params, "n": 1 + number % 9}
        values = () if number % 3 == 2 else (float(number),)
        search.tell(trial(number, changed, *values, token=suggestion.token))
    trials = [t for t in search._search._study.get_trials() if t.state.name == "COMPLETE"]
    assert [t.params["n"] for t in trials] == [1 + number % 9 for number in range(14)]
    generations = [t.system_attrs.get("cma:generation") for t in trials]
    assert generations == [None, *[0] * 4, *[1] * 4, *[2] * 4, 3]


def test_smac_is_told_what_was_run():
    smac = build("smac", MIXED, challengers=100)
    first, second, third = smac.ask(3)
    smac.tell(trial(0, first.params, token=first.token))
    assert smac.explain()["told"] == 0  # it waits for a worst value
    changed = {"x": 0.125, "p": 64, "c": "b"}
    smac.tell(trial(1, changed, 2.0, token=second.token))
    smac.tell(trial(2, third.params, 1.0, token=third.token))
    history = smac._smac.runhistory
    known = [
        (smac._translation.params(history.get_config(key.config_id)), value.cost, value.status.name)
        for key, value in history.items()
        if value.status.name != "RUNNING"
    ]
    assert sorted(known, key=lambda row: row[1:]) == sorted(
        [(changed, 2.0, "SUCCESS"), (dict(first.params), 2.0, "CRASHED"), (dict(third.params), 1.0, "SUCCESS")],
        key=lambda row: row[1:],
    )


def test_pymoo_takes_a_failure_for_infeasible_and_a_repair_as_it_was_run():
    search = build("pymoo-nsga2", MIXED, population=4)
    for number, suggestion in enumerate(search.ask(4)):
        changed = {**suggestion.params, "p": 64}
        search.tell(trial(number, changed, *(() if number == 0 else (float(number),)), token=suggestion.token))
    population = search._algorithm.pop
    assert sorted(float(i.F[0]) for i in population if i.CV[0] <= 0) == [1.0, 2.0, 3.0]
    assert [MIXED.space.decode(i.X)["p"] for i in population] == [64] * 4
    assert search.explain()["front"] == [[1.0]]


def test_a_failure_waits_for_the_worst_value_or_is_told_a_number_or_nothing():
    params = {"x": 0.5, "p": 1, "c": "a"}
    failed, good, better = trial(0, params), trial(1, params, 3.0), trial(2, params, 1.0)
    for rule, expected in (
        ("worst", [[], [3.0, 3.0], [1.0]]),
        ("ignore", [[], [3.0], [1.0]]),
        (9.0, [[9.0], [3.0], [1.0]]),
    ):
        told = FailedRule(rule, 1)
        assert [[values[0] for _, values in told.take(t)] for t in (failed, good, better)] == expected


@pytest.mark.parametrize(("failed", "losses"), [("worst", [1e20, 3.0, 3.0]), (100, [100.0, 3.0, 100.0])])
def test_nevergrad_is_told_failures_by_the_stated_rule(failed, losses):
    search = build("nevergrad", MIXED, failed=failed, optimizer="OnePlusOne")
    told = []
    for number, values in enumerate([(), (3.0,), ()]):
        (suggestion,) = search.ask(1)
        assert search.ask(1) == []  # one at a time
        search._optimizer.register_callback("tell", lambda _, __, loss: told.append(loss)) if number == 0 else None
        search.tell(trial(number, suggestion.params, *values, token=suggestion.token))
    assert told == losses


def test_nevergrad_says_which_optimizers_there_are():
    with pytest.raises(UsageError, match="Did you mean 'OnePlusOne'"):
        build("nevergrad", MIXED, optimizer="OnePlusTwo")


def test_evolution_mutates_one_parameter_of_the_best_of_a_sample():
    rng = np.random.default_rng(0)
    params = {"x": 0.5, "p": 8, "c": "a"}
    for _ in range(50):
        child = mutated(MIXED.space, params, rng)
        assert sum(child[name] != params[name] for name in params) == 1
    search = build("regularized-evolution", MIXED, population=3, sample=3)
    for number, suggestion in enumerate(search.ask(4)):
        search.tell(trial(number, suggestion.params, float(number), token=suggestion.token))
    assert search.explain() == {"asked": 4, "population": 3, "full": True, "best": 1.0, "worst": 3.0}  # 0.0 is too old
    parents = {s.note["parent"] for s in search.ask(60)}
    assert parents <= {1, 2, 3}
    assert 1 in parents
    search.tell(trial(9, params))
    assert search.explain()["worst"] == 3.0


def test_a_missing_extra_is_named_with_the_command(monkeypatch):
    for method, extra in EXTRAS.items():
        for module in extra.modules:
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UsageError, match=rf"Method {method} needs .*pip install 'agentopt\[{extra.name}\]'"):
            require(method)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("optuna-cmaes", {"with_margin": True, "use_separable_cma": True}, "cannot both"),
        ("regularized-evolution", {"sample": 30}, "larger than population"),
        ("nevergrad", {"failed": "ignore"}, "failed"),
        ("nsga2", {"population_size": 1}, "population_size"),
    ],
)
def test_options_that_cannot_be_are_refused(method, options, said):
    with pytest.raises(ValidationError, match=said):
        load_method(method).Options(**options)
    assert RegularizedEvolution.Options().population == 20


def test_nevergrad_knows_the_workers_of_the_run():
    problem = replace(NUMBERS, workers=3)
    search = build("nevergrad", problem)
    assert len(search.ask(9)) == 3
    assert search._optimizer.num_workers == 3
    assert len(build("nevergrad", problem, workers=2).ask(9)) == 2
