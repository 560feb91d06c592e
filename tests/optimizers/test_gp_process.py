"""What the Gaussian process is made of: rows of a space, the kernel, the process over them, what a row promises."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import invgamma, multivariate_normal, norm

from agentopt.optimizers.gp.acquisition import expected_improvement, log_improvement
from agentopt.optimizers.gp.kernel import Distances
from agentopt.optimizers.gp.model import MOST, Model, Observations
from agentopt.optimizers.gp.process import Process
from agentopt.optimizers.gp.rows import RowSpace
from agentopt.protocols import Objective
from agentopt.space import SearchSpace
from agentopt.testing.simulation import PROBLEMS

SPACES = {name: problem.space for name, problem in PROBLEMS.items()}
MIXED = np.array([False, False, True])
spaces, seeds = st.sampled_from(sorted(SPACES)), st.integers(0, 2**32 - 1)


def decoded(space, row):
    """The configuration of a row as it stands, without repairs."""
    one = SearchSpace(space.parameters)
    return RowSpace(one).params(row)


def mixed_rows(n, rng):
    """Rows of two numbers and a choice of three."""
    return np.column_stack([rng.random((n, 2)), rng.integers(3, size=n)]).astype(float)


def surface(rows):
    """A value for each of `mixed_rows`."""
    return 3.0 + (rows[:, 0] - 0.3) ** 2 + 0.2 * rows[:, 1] + 0.1 * (rows[:, 2] == 1)


@settings(max_examples=30)
@given(spaces, seeds)
def test_rows_and_configurations_stand_for_each_other(name, seed):
    space, rng = SPACES[name], np.random.default_rng(seed)
    rows, drawn = RowSpace(space), [space.sample(rng) for _ in range(5)]
    back = [rows.params(row) for row in rows.rows(drawn)]
    for params, again in zip(drawn, back, strict=True):
        for p in space.parameters:
            assert again[p.name] == (pytest.approx(params[p.name]) if p.levels is None else params[p.name])
    assert rows.rows(back) == pytest.approx(rows.rows(drawn))


@settings(max_examples=60)
@given(spaces, seeds, st.sampled_from((1e-4, 0.1, 3.0)), st.sampled_from((0.01, 0.4, 1.0)))
def test_steps_stay_in_the_space_and_change_something(name, seed, width, move):
    space, rng = SPACES[name], np.random.default_rng(seed)
    rows = RowSpace(space)
    start = rows.draw(12, rng)
    before, stepped = start.copy(), rows.steps(start, rng, move=move, width=width)
    assert np.array_equal(start, before), "the rows that it steps from are left as they are"
    assert stepped.min() >= 0
    assert np.all(stepped <= np.where(rows.choices, rows.levels - 1, 1))
    for row, near in zip(start, stepped, strict=True):
        params = decoded(space, near)
        assert params == space.repair(params), "a repair is not made"
        assert rows.row(params) == pytest.approx(near), "a number is off its grid"
        assert space.repairs or params != rows.params(row)


def test_a_step_is_undone_by_a_repair_alone():
    rows, rng = RowSpace(SPACES["repairs"]), np.random.default_rng(0)
    start = rows.draw(200, rng)
    same = np.all(rows.steps(start, rng, move=0.25, width=0.1) == start, axis=1)
    params = [rows.params(row) for row in start[same]]
    assert 0 < same.sum() < 100
    assert all(p["high"] == p["low"] or p["width"] < 16 * p["heads"] + 16 for p in params), "none of them is bound"


def test_steps_over_an_edge_come_back():
    rows, rng = RowSpace(SPACES["one-real"]), np.random.default_rng(0)
    ends = np.repeat([[0.0], [1.0]], 200, axis=0)
    low, high = rows.steps(ends, rng, move=1.0, width=0.1).reshape(2, 200)
    for away in (low, 1 - high):
        assert away.min() > 0
        assert np.sqrt(np.mean(away**2)) == pytest.approx(0.1, rel=0.2)


@settings(max_examples=25)
@given(seeds)
def test_the_kernel_is_a_kernel(seed):
    rng = np.random.default_rng(seed)
    a, b, scales = mixed_rows(15, rng), mixed_rows(4, rng), rng.uniform(-5, 4, 3)
    square = Distances(a, a, MIXED).kernel(scales)
    assert np.array_equal(square, square.T)
    assert np.diag(square) == pytest.approx(np.ones(15))
    assert np.linalg.eigvalsh(square).min() > -1e-10
    assert Distances(a, b, MIXED).kernel(scales) == pytest.approx(matern(a, b, scales))


def matern(a, b, scales):
    """The kernel as it is defined, pair by pair."""

    def alike(x, y):
        r = math.sqrt(5 * sum(((x[j] - y[j]) / math.exp(scales[j])) ** 2 for j in (0, 1)))
        return (1 + r + r * r / 3) * math.exp(-r) * (math.exp(-math.exp(scales[2])) if x[2] != y[2] else 1.0)

    return np.array([[alike(x, y) for y in b] for x in a])


def test_a_process_is_the_textbook_one():
    """Where no step is taken its hyperparameters are the prior's means, with three shifts of the warp."""
    rng = np.random.default_rng(1)
    rows, others = mixed_rows(12, rng), mixed_rows(5, rng)
    values = surface(rows)
    process = Process(MIXED, rng)
    process.fit(rows, values, 0)
    assert min(m.h[-1] for m in process.members) == -3.0
    scores, expected = [], []
    for member, found in zip(process.members, process.predict(others), strict=True):
        assert member.h[:4] == pytest.approx([-0.1 + math.log(2) / 2] * 2 + [-0.7, -5.0])
        shift = math.exp(member.h[-1])
        logs = np.log((values - values.min()) / (np.median(values) - values.min()) + shift)
        z = (logs - logs.mean()) / logs.std()
        kernel = matern(rows, rows, member.h) + math.exp(-5) * np.eye(12)
        cross, solved = matern(others, rows, member.h), np.linalg.solve(kernel, z)
        variance = (z @ solved + 2) / (12 + 2)
        std = np.sqrt((1 - np.sum(cross * np.linalg.solve(kernel, cross.T).T, axis=1)) * variance)
        assert found.mean == pytest.approx(cross @ solved)
        assert found.std == pytest.approx(std)
        assert found.best == pytest.approx((matern(rows, rows, member.h) @ solved).min())
        scores.append(member.score)
        expected.append(log_posterior(values, z, kernel, member))
    assert len(scores) > 1
    assert np.diff(scores) == pytest.approx(np.diff(expected), abs=1e-5)
    weights = np.exp(np.array(scores) - max(scores))
    assert [m.weight for m in process.members] == pytest.approx(weights / weights.sum(), abs=0.05)


def log_posterior(values, z, kernel, member):
    """The log density of the values and of the shift, the signal variance integrated out by quadrature."""

    def density(variance):
        return multivariate_normal.pdf(z, cov=variance * kernel) * invgamma.pdf(variance, 1)

    w, apart = member.warp, 1e-6
    ends = [
        ((np.log((values + side * apart - 2 * w.lowest) / (2 * w.scale) + w.shift) - w.centre) / w.spread)
        for side in (-1, 1)
    ]
    slopes = (ends[1] - ends[0]) / (2 * apart)
    return math.log(quad(density, 0, np.inf)[0]) + np.log(slopes).sum() + norm.logpdf(member.h[-1], scale=3)


def test_the_units_of_the_objective_do_not_count():
    rows = mixed_rows(20, np.random.default_rng(2))
    values = surface(rows)
    processes = [Process(MIXED, np.random.default_rng(3)) for _ in range(2)]
    processes[0].fit(rows, values, 30)
    processes[1].fit(rows, 1024 * values - 7, 30)
    for one, other in zip(*(p.members for p in processes), strict=True):
        assert other.h == pytest.approx(one.h)
        assert other.score == pytest.approx(one.score)
        assert one.warp.back(one.z) == pytest.approx(values)
        assert other.warp.back(other.z) == pytest.approx(1024 * values - 7)


@pytest.mark.parametrize("u", [4.0, 0.0, -1.0, -4.9, -5.1, -8.0, -29.0, -31.0, -40.0, -1000.0])
def test_the_improvement_is_the_integral(u):
    integral, _ = quad(lambda t: t * math.exp(t * u - t * t / 2), 0, 20 if u > -1 else 40 / -u)
    expected = math.log(integral) + norm.logpdf(u) + math.log(0.5)
    assert log_improvement(np.array([3.0 - 0.5 * u]), np.array([0.5]), 3.0)[0] == pytest.approx(expected, abs=1e-4)


def test_less_promise_is_never_more_improvement():
    means = np.linspace(0, 60, 20001)
    assert np.all(np.diff(log_improvement(means, np.ones(len(means)), 5.0)) < 0)


def test_what_is_being_evaluated_is_no_longer_uncertain():
    rng = np.random.default_rng(4)
    rows, pending, others = mixed_rows(10, rng), mixed_rows(2, rng), mixed_rows(6, rng)
    process = Process(MIXED, rng)
    process.fit(rows, surface(rows), 20)
    asked = np.concatenate([pending, others])
    before = process.predict(asked)
    process.suppose(pending)
    after = process.predict(asked)
    for one, other in zip(before, after, strict=True):
        assert other.mean == pytest.approx(one.mean, abs=1e-6)
        assert np.all(other.std[:2] < one.std[:2] / 1.2)
        assert np.all(other.std <= one.std + 1e-12)
    assert np.all(expected_improvement(after)[:2] < expected_improvement(before)[:2])


VALUES = {
    "constant": [2.0] * 8,
    "zero": [0.0] * 8,
    "huge": [1e308, 0.5e308, 1.1e308, 0.0, 1e307, 1.7e308, 3.0, 1.2e308],
    "both ends": [1.7e308, -1.7e308, 1.6e308, 1.7e308, -1e308, 1.0, 1.7e308, 1.5e308],
    "mostly the lowest": [0.0] * 6 + [1e308, 1e300],
    "far above the median": [0.0, 0.0, 1e-310, 1e-310, 1e-310, 1e-300, 1.0, 1e308],
    "tiny": [1e-320 * i for i in range(8)],
    "alike": [1.0 + 1e-15 * (i % 2) for i in range(8)],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_any_values_can_be_fitted(values):
    rng = np.random.default_rng(5)
    rows, found = mixed_rows(8, rng), np.array(values)
    process = Process(MIXED, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        process.fit(rows, found, 20)
        predictions = process.predict(mixed_rows(4, rng))
        backs = [member.warp.back(member.z) for member in process.members]
    assert sum(p.weight for p in predictions) == pytest.approx(1, abs=0.2)
    assert all(np.all(np.isfinite([*p.mean, *p.std, p.best])) and np.all(p.std > 0) for p in predictions)
    assert all(np.all(np.isfinite(back)) for back in backs)
    assert np.all(np.isfinite(expected_improvement(predictions)))


@pytest.mark.parametrize(
    ("rows", "choices"),
    [
        (np.linspace(0, 1, 8)[:, None], [False]),
        (np.array([[i % 2, i // 2] for i in range(8)], dtype=float), [True, True]),
        (np.full((8, 2), 0.5), [False, False]),
    ],
    ids=["one column", "choices alone", "one row again and again"],
)
def test_any_rows_can_be_fitted(rows, choices):
    process = Process(np.array(choices), np.random.default_rng(6))
    process.fit(rows, np.sin(np.arange(8.0)), 30)
    process.suppose(rows[:1])
    for p in process.predict(rows):
        assert np.all(np.isfinite([*p.mean, *p.std, p.best]))
        assert np.all(p.std > 0)


def test_observations_grow():
    data, rng = Observations(2, (Objective(), Objective())), np.random.default_rng(7)
    rows, values = rng.random((200, 2)), rng.random((200, 2))
    for i in range(200):
        data.add(rows[i], () if i == 130 else tuple(values[i]))
    assert data.count == 200
    assert np.array_equal(data.rows, rows)
    losses = data.losses(np.array([0.5, 0.5]))
    assert np.flatnonzero(~np.isfinite(losses)).tolist() == [130]


def test_of_many_trials_the_best_and_the_latest_are_kept():
    rng = np.random.default_rng(8)
    losses = rng.random(1000)
    losses[rng.random(1000) < 0.2] = np.inf
    complete = np.flatnonzero(np.isfinite(losses))
    chosen = Model(MIXED, rng)._chosen(complete, losses)
    assert len(set(chosen.tolist())) == MOST
    assert np.all(np.isfinite(losses[chosen]))
    assert set(np.argsort(losses)[:100]) <= set(chosen)
    assert set(complete[-50:]) <= set(chosen)
    few = complete[:MOST]
    assert np.array_equal(Model(MIXED, rng)._chosen(few, losses), few)


def test_where_trials_fail_success_is_improbable():
    rng = np.random.default_rng(9)
    rows = rng.random((40, 2))
    losses = np.where(rows[:, 0] > 0.5, np.inf, rows[:, 1])
    model = Model(np.zeros(2, dtype=bool), rng)
    model.fit(rows, losses)
    assert model.failing == pytest.approx(np.mean(rows[:, 0] > 0.5), abs=0.03)
    left, right = np.array([[0.2, 0.5], [0.3, 0.2]]), np.array([[0.8, 0.5], [0.9, 0.2]])
    assert np.exp(model.log_success(left)).min() > 0.8
    assert np.exp(model.log_success(right)).max() < 0.2
    assert np.all(np.isinf(model.ranked(right)))
    model.fit(rows, rows[:, 1])
    assert model.failing is None
    assert np.array_equal(model.log_success(right), np.zeros(2))
