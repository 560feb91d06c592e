"""The CMA-ES distribution: slots in any order, foreign points, failures, restarts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.optimizers.choices import FLOOR, Choices, floored
from agentopt.optimizers.evolution import Evolution
from agentopt.space import Choice, Float, SearchSpace


def evolution(d=5, seed=0, **options):
    return Evolution(np.full(d, 0.4), 0.15, np.random.default_rng(seed), **options)


def sphere(point):
    return float(np.sum((point - 0.7) ** 2))


def generation(search, order=None, fail=(), foreign=None):
    """Fills one generation; `foreign` maps slot indices to points. Returns how many slots it had."""
    slots = []
    while (slot := search.next_slot()) is not None:
        slots.append(slot)
    losses = {}
    for i in range(len(slots)) if order is None else order:
        point = (foreign or {}).get(i, slots[i].point)
        losses[slots[i].token] = None if i in fail else sphere(point)
        full = search.settle(slots[i].token, point, foreign=i in (foreign or {}))
        assert full == (len(losses) == len(slots))
    search.update(losses)
    return len(slots)


def state(search):
    return np.concatenate([search.mean, [search.sigma], search.covariance.ravel()])


def test_slots_may_be_filled_in_any_order():
    ordered, shuffled = evolution(), evolution()
    for _ in range(5):
        generation(ordered)
        generation(shuffled, order=list(reversed(range(shuffled.popsize))))
    assert np.array_equal(state(ordered), state(shuffled))


def test_nothing_is_handed_out_while_a_generation_waits():
    search = evolution()
    slots = [search.next_slot() for _ in range(search.popsize)]
    assert None not in slots
    before = state(search)
    assert search.next_slot() is None
    search.reopen(slots[2].token)
    again = search.next_slot()
    assert (again.index, again.token) == (2, search.popsize)
    assert np.array_equal(again.point, slots[2].point)
    assert not search.holds(slots[2].token)
    assert search.next_slot() is None
    assert np.array_equal(before, state(search))


def test_it_converges_on_a_shifted_sphere():
    search = evolution()
    for _ in range(60):
        generation(search)
    assert sphere(search.mean) < 1e-4


def test_all_points_are_in_the_box_even_where_the_optimum_is_outside():
    search = Evolution(np.full(3, 0.95), 0.3, np.random.default_rng(1))
    for _ in range(30):
        slots = [search.next_slot() for _ in range(search.popsize)]
        for slot in slots:
            assert np.all((slot.point >= 0) & (slot.point <= 1))
            search.settle(slot.token, slot.point, foreign=False)
        search.update({slot.token: -float(slot.point.sum()) for slot in slots})
    assert np.all(search.mean > 0.95)


def test_a_foreign_point_counts_at_no_more_than_the_length_of_injected_points():
    """arXiv 1110.4181, section 3: the Mahalanobis length is at most sqrt(d) + 2 d / (d + 2)."""
    d = 5
    far, mean = np.full(d, 1.0), np.full(d, 0.4)
    longest = math.sqrt(d) + 2 * d / (d + 2)
    near = mean + (far - mean) * longest * 0.15 / np.linalg.norm(far - mean)

    def after(point, *, clip):
        search = evolution(d, clip_foreign=clip)
        slots = [search.next_slot() for _ in range(search.popsize)]
        for i, slot in enumerate(slots):
            chosen = point if i == 0 else slot.point
            search.settle(slot.token, chosen, foreign=i == 0)
        search.update({slot.token: float(i) for i, slot in enumerate(slots)})
        return state(search)

    assert np.linalg.norm((far - mean) / 0.15) > longest
    assert np.allclose(after(far, clip=True), after(near, clip=True), rtol=1e-3)
    assert not np.allclose(after(far, clip=False), after(far, clip=True), rtol=1e-2)
    assert np.array_equal(after(mean, clip=True), after(mean, clip=False))


def test_failures_rank_last_and_equal():
    some, others = evolution(), evolution()
    generation(some, fail=(0, 1))
    slots = [others.next_slot() for _ in range(others.popsize)]
    for slot in slots:
        others.settle(slot.token, slot.point, foreign=False)
    others.update({slot.token: 1e9 if i < 2 else sphere(slot.point) for i, slot in enumerate(slots)})
    assert np.allclose(state(some), state(others))


def test_a_generation_that_failed_whole_changes_nothing_but_its_number():
    search = evolution()
    before = state(search)
    assert generation(search, fail=range(99)) == search.popsize
    assert np.array_equal(before, state(search))
    assert search.generation == 1
    assert search.next_slot() is not None


def test_a_converged_distribution_restarts_with_twice_the_population():
    search = evolution(2)
    first = search.popsize
    for _ in range(400):
        generation(search)
        if search.restarts:
            break
    assert search.restarts == 1
    assert search.popsize == 2 * first


def test_one_dimension_works():
    search = evolution(1)
    for _ in range(30):
        generation(search)
    assert abs(search.mean[0] - 0.7) < 1e-2
    assert search.covariance.shape == (1, 1)


def test_the_numbers_come_from_its_own_generator_alone():
    before = np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002
    generation(evolution())
    assert np.random.get_state(legacy=False)["state"]["pos"] == before  # noqa: NPY002


def test_probabilities_of_choices_follow_what_ranks_well_and_never_vanish():
    space = SearchSpace((Float("x", 0, 1), Choice("c", ("a", "b", "c"))))
    choices = Choices(space, np.random.default_rng(0), "adaptive")
    for _ in range(50):
        choices.learn([{"x": 0, "c": "b"}, {"x": 0, "c": "a"}])
    weights = choices.explain()["c"]
    assert weights["b"] > 0.8
    assert min(weights.values()) > 0.05
    assert sum(weights.values()) == pytest.approx(1, abs=0.01)


@given(st.integers(2, 12), st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=8), max_size=60))
def test_no_probability_falls_below_its_floor(levels, generations):
    choice = Choice("c", tuple(range(levels)))
    choices = Choices(SearchSpace((choice,)), np.random.default_rng(0), "adaptive")
    for ranked in generations:
        choices.learn([{"c": c % levels} for c in ranked])
        weights = choices._weights["c"]
        assert weights.min() >= FLOOR / levels
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_floor_takes_from_the_others_in_proportion():
    assert floored(np.array([0.6, 0.3, 0.1, 0.0]), 0.1) == pytest.approx([0.8 * 0.6 / 0.9, 0.8 * 0.3 / 0.9, 0.1, 0.1])
    # The second falls below only once the third has taken its part.
    assert floored(np.array([0.79, 0.205, 0.005]), 0.2) == pytest.approx([0.6, 0.2, 0.2])
    kept = np.array([0.5, 0.25, 0.25])
    assert np.array_equal(floored(kept, 0.1), kept)


def test_uniform_choices_never_learn():
    space = SearchSpace((Choice("c", ("a", "b")),))
    choices = Choices(space, np.random.default_rng(0), "uniform")
    choices.learn([{"c": "a"}] * 4)
    assert choices.explain() == {"c": {"a": 0.5, "b": 0.5}}
