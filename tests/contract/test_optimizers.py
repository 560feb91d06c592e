from dataclasses import replace

import pytest
from method_runs import building
from peer_methods import QUICK, available

from agentopt.errors import UsageError
from agentopt.optimizers import METHODS, load_method
from agentopt.protocols import Objective
from agentopt.testing.contracts import CODE_PROBLEM, MERGED_PROBLEM, OPTIMIZER_CHECKS, PROBLEMS, repeats_nothing
from agentopt.testing.models import editor
from agentopt.testing.simulation import TRIALS, session
from agentopt.trial import Origin, Outcome, Status, Trial

VARIANTS = [
    *((name, QUICK.get(name, {})) for name in METHODS),
    ("gp", {}),
    ("tpe", {"multivariate": False}),
    ("tpe", {"group": True, "failed": "ignore", "n_startup_trials": 2}),
    ("tpe", {"constant_liar": False, "failed": 100, "n_startup_trials": 0}),
    *(
        ("centaur", {"core": "cmaes", "sampler": sampler, "ratio": 0.5, "warmup": 2})
        for sampler in ("incumbent", "uniform", "advisor")
    ),
    *(("centaur", {"core": "gp", "sampler": sampler, "ratio": 0.5}) for sampler in ("incumbent", "uniform")),
    ("centaur", {"core": "cmaes"}),
    ("centaur", {"preset": "paper", "warmup": 2}),
    ("centaur", {"core": "cmaes", "injection": "none", "duplicates": "run", "popsize": 6}),
    ("cmaes", {"start": "centre", "choices": "uniform"}),
    ("llm", {"sampler": "incumbent", "initial": 3}),
    ("hollm", {"preset": "paper", "surrogate": "labels", "batch": 6}),
    ("hollm", {"partition": "none", "surrogate": "llm"}),
    ("hollm", {"preset": "code", "sampler": "incumbent", "surrogate": "none"}),
    ("mohollm", {"preset": "code", "sampler": "uniform", "surrogate": "neighbours"}),
    ("llambo", {"preset": "optuna", "replies": 3, "batch": 3}),
    ("opro", {"surrogate": "neighbours", "batch": 2, "replies": 3, "candidates": 2, "initial": 0}),
    ("autoresearch", {"noise_floor": 0.0, "tune_every": 2, "tune_trials": 4, "patience": 2}),
    ("autoresearch", {"sampler": "incumbent", "tune_every": 3}),
    ("optuna-cmaes", {"with_margin": True, "popsize": 4, "failed": "ignore"}),
    ("optuna-cmaes", {"use_separable_cma": True, "failed": 100, "n_startup_trials": 5}),
    ("nsga2", {"population_size": 4, "mutation_prob": 0.5, "failed": "ignore"}),
    ("pymoo-nsga2", {"population": 5}),
    ("nevergrad", {"optimizer": "DE", "workers": 4, "failed": 100}),
    ("regularized-evolution", {"population": 4, "sample": 2}),
    ("local", {"initial": 0, "move": 1.0, "step": 3.0, "keep": 0.0}),
]


def _label(variant):
    name, options = variant
    return "-".join([name, *(f"{k}={v}" for k, v in options.items())])


def _problems(name, given):
    if getattr(load_method(name), "needs_code", False):
        return ("code",)
    if name in ("optuna-gp", "smac"):
        return ("grids", "choices")
    if name in ("llambo", "mohollm", "auto"):  # on the loop of hollm, and on gp and tpe, which run on all of them
        return ("mixed", "choices")
    if name == "nevergrad" and not given:  # of one number NGOpt takes Cobyla, which draws nothing: seeds do not count
        return [problem for problem in PROBLEMS if problem != "one-real"]
    if (name, given) == ("gp", {}):  # as it is used; with more first trials on all of them
        return ("mixed", "choices")
    return ("mixed", "choices") if given not in ({}, QUICK.get(name)) else PROBLEMS


def _marks(name, given, problem):
    """Leaves to `make test-all` what says the least: the slowest methods on some problems, options on a second one."""
    if given != QUICK.get(name, {}):
        return pytest.mark.thorough if problem == "choices" else ()
    slow = {"nevergrad": problem != "mixed", "gp": problem == "mixed"}  # where gp has the options that it is used with
    return pytest.mark.thorough if slow.get(name, problem == "grids" and name in ("optuna-gp", "smac")) else ()


CASES = [
    pytest.param(variant, problem, marks=_marks(*variant, problem))
    for variant in VARIANTS
    for problem in _problems(*variant)
]


@pytest.mark.parametrize("check", OPTIMIZER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("variant", "problem"), CASES, ids=lambda x: x if isinstance(x, str) else _label(x))
def test_contract(variant, check, problem, tmp_path):
    name, given = variant
    available(name)
    build = building(load_method(name), tmp_path, editor, **given)
    check(build, CODE_PROBLEM if problem == "code" else PROBLEMS[problem])


CLASSICAL = (Origin.CMAES, Origin.GP, Origin.RANDOM, Origin.LOCAL, Origin.FALLBACK)
"""What the methods that ask a model run besides the model's configurations: a promise of theirs alone."""
NO_REPEATS = [
    ("local", {}, ()),
    ("hollm", {"initial": 2}, ()),
    ("hollm", {"initial": 2, "sampler": "uniform", "surrogate": "none"}, ()),
    ("hollm", {"initial": 2, "sampler": "incumbent", "surrogate": "neighbours"}, ()),
    ("mohollm", {}, ()),
    ("llambo", {"choices": "random"}, ()),
    ("opro", {"initial": 2}, ()),
    ("llm", {}, CLASSICAL),
    ("centaur", {"core": "cmaes", "ratio": 0.5, "warmup": 2}, CLASSICAL),
    ("centaur", {"core": "cmaes", "ratio": 0.5, "warmup": 2, "sampler": "incumbent"}, CLASSICAL),
    ("centaur", {"ratio": 0.5, "warmup": 2}, CLASSICAL),
]


@pytest.mark.parametrize(("name", "given", "free"), NO_REPEATS, ids=lambda x: str(x) if isinstance(x, dict) else None)
def test_what_a_repair_makes_equal_is_not_run_again(name, given, free, tmp_path):
    repeats_nothing(building(load_method(name), tmp_path, **given), MERGED_PROBLEM, free=free)


def test_a_child_is_run_as_another_than_its_parent(tmp_path):
    build = building(load_method("regularized-evolution"), tmp_path, population=4, sample=2)
    run = session(build, MERGED_PROBLEM).run(60)
    trials = {call.id: call for call in run.calls if isinstance(call, Trial)}
    children = [trial for trial in trials.values() if "parent" in trial.note]
    assert len(children) == 56
    assert all(child.params != trials[child.note["parent"]].params for child in children)


def _values(state, here=False):
    """Yields the numbers of a state that are values of trials."""
    if isinstance(state, dict):
        for name, inner in state.items():
            yield from _values(inner, name in ("value", "best", "worst", "front"))
    elif isinstance(state, list):
        for inner in state:
            yield from _values(inner, here)
    elif here and state is not None:
        yield state


@pytest.mark.parametrize("name", [*METHODS])
def test_the_state_is_in_the_users_units(name, tmp_path):
    """A run maximises values between 1 and 2, which optimizers are told with the other sign."""
    available(name)
    method = load_method(name)
    if getattr(method, "needs_code", False):
        pytest.skip("its values are those of code")
    problem = replace(PROBLEMS["mixed"], objectives=(Objective("score", "maximize"),))

    def judge(_, params):
        return Outcome(Status.COMPLETE, (-1.0 - abs(params["share"]),))

    run = session(building(method, tmp_path, editor, **QUICK.get(name, {})), problem, judge=judge).run(TRIALS)
    found = list(_values(dict(run.optimizer.explain())))
    assert all(1.0 <= value <= 2.0 for value in found), found


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'sobol'"):
        load_method("soobl")
    with pytest.raises(UsageError, match="Cannot import"):
        load_method("no_such_module_here:Thing")
