"""The scripted oracle: a model that knows where the optimum is, as well as it is said to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from agentopt.build import open_run, plan
from agentopt.errors import UsageError
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.task import FunctionTask, load_task
from agentopt.testing import models

WITH_OPTIMUM = ["sphere-5", "rosenbrock-5", "rastrigin-14", "hartmann6", "branin"]


def _proposals(task, script, count):
    return [script("", {"space": task.space, "task": task.name, "seed": seed})["values"] for seed in range(count)]


@pytest.mark.parametrize("name", WITH_OPTIMUM)
def test_the_best_configuration_has_the_optimum(name):
    task = load_task(name)
    assert task.evaluate(task.best_params).values[0] == pytest.approx(task.optimum, abs=1e-12)
    assert task.space.contains(task.best_params)
    assert task.median > task.optimum


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_numbers_are_off_by_the_stated_error(noise):
    task = load_task("sphere-5")
    best = task.space.encode(task.best_params)
    found = np.array([task.space.encode(p) for p in _proposals(task, models.make_oracle(noise), 400)])
    assert (found - best).std() == pytest.approx(noise, rel=0.1)
    assert abs((found - best).mean()) < 0.1 * noise


def test_choices_and_grids_are_right_or_another_value_and_no_error_gives_the_optimum(monkeypatch):
    space = SearchSpace((Choice("c", ("a", "b", "c", "d")), Int("n", values=(1, 5, 6)), Float("x", 0, 1)))
    task = FunctionTask("t", space, lambda _: 0.0, best_params={"c": "b", "n": 5, "x": 0.5})
    monkeypatch.setattr(models, "load_task", lambda _: task)
    models._best_params.cache_clear()
    exact, vague = models.make_oracle(0.0), models.make_oracle(0.125)
    assert _proposals(task, exact, 3) == [task.best_params] * 3
    found = _proposals(task, vague, 600)
    assert sum(p["c"] == "b" for p in found) / 600 == pytest.approx(0.683, abs=0.06), "P(|N(0, 1)| < 1)"
    assert {p["c"] for p in found} == {"a", "b", "c", "d"}
    assert all(space.contains(p) for p in found)
    models._best_params.cache_clear()


def test_a_task_without_a_known_optimum_is_refused_by_name():
    task = FunctionTask("", SearchSpace((Float("x", 0, 1),)), lambda _: 0.0)
    with pytest.raises(UsageError, match="not an unnamed one"):
        _proposals(task, models.oracle, 1)
    with pytest.raises(UsageError, match="not autoresearch-surrogate"):
        _proposals(load_task("autoresearch-surrogate"), models.oracle, 1)


def test_a_problem_states_the_name_of_its_task():
    assert plan({"method": "random", "task": "sphere-5"}).problem.task == "sphere-5"


def _regret(folder, method, seed, model=None):
    settings = {"method": method, "task": "sphere-14", "seed": seed, "trials": 40}
    if model is not None:
        settings["model"] = {"name": f"scripted:agentopt.testing.models:{model}"}
        settings["options"] = {"core": "cmaes"}
    with open_run(plan(settings), folder / f"{method}-{model}-{seed}") as run:
        run.execute()
        return min(trial.value for trial in run.journal.history.trials)


SEEDS = range(10)


@pytest.fixture(scope="module")
def cmaes(tmp_path_factory):
    """What CMA-ES comes to with each seed."""
    return [_regret(tmp_path_factory.mktemp("cmaes"), "cmaes", seed) for seed in SEEDS]


def test_centaur_with_cmaes_beats_its_parts_where_the_model_knows_something(tmp_path, cmaes):
    """The fast version of the comparison in docs/studies/centaur.md."""
    centaur = [_regret(tmp_path, "centaur", seed, "oracle") for seed in SEEDS]
    tpe = [_regret(tmp_path, "tpe", seed) for seed in SEEDS]
    for rival, theirs in (("cmaes", cmaes), ("tpe", tpe)):
        assert wilcoxon(centaur, theirs, alternative="two-sided").pvalue < 0.01, rival
        assert np.median(centaur) < np.median(theirs)


@pytest.mark.parametrize("model", ["uniform", "adversarial"])
def test_centaur_is_no_worse_than_cmaes_where_the_model_knows_nothing(tmp_path, cmaes, model):
    centaur = [_regret(tmp_path, "centaur", seed, model) for seed in SEEDS]
    assert np.median(centaur) <= 1.1 * np.median(cmaes)
