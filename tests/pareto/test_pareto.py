"""Fronts, hypervolumes and measures of fronts, beside brute force and beside the library."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.pareto import (
    Archive,
    attainment,
    choose_batch,
    contributions,
    epsilon,
    estimated_reference,
    front_mask,
    front_ranks,
    hypervolume,
    hypervolume_curve,
    igd_plus,
    improvements,
)
from agentopt.pareto.hypervolume import exact


@st.composite
def sets(draw, least=1, most=12, objectives=(2, 3, 4)):
    """Points in the unit box, some with ties and duplicates."""
    n, m = draw(st.integers(least, most)), draw(st.sampled_from(objectives))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, 5, (n, m)) / 4 if draw(st.booleans()) else rng.random((n, m))


def dominates(a, b):
    return bool((a <= b).all() and (a < b).any())


def inclusion_exclusion(points, reference):
    """The volume of a union of boxes, by the book."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for some in itertools.combinations(points, size):
            total += (-1) ** (size + 1) * np.prod(np.maximum(0.0, reference - np.max(some, axis=0)))
    return total


@given(sets(most=30))
def test_the_front_is_what_nothing_dominates_of_equal_points_the_first(points):
    mask = front_mask(points)
    for i, point in enumerate(points):
        free = not any(dominates(other, point) for other in points)
        first = not any((other == point).all() for other in points[:i])
        assert mask[i] == (free and first)


def test_large_fronts_take_more_than_one_block():
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(900, 3)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert front_mask(points).all()
    assert not front_mask(np.vstack([points, points + 0.01]))[900:].any()


@given(sets(most=20))
def test_ranks_peel_front_after_front(points):
    ranks = front_ranks(points)
    for i, j in itertools.permutations(range(len(points)), 2):
        if dominates(points[i], points[j]):
            assert ranks[i] < ranks[j]
        if (points[i] == points[j]).all():
            assert ranks[i] == ranks[j]
    for i in np.flatnonzero(ranks):
        assert any(dominates(points[j], points[i]) for j in np.flatnonzero(ranks == ranks[i] - 1))


@given(sets(most=8))
def test_the_hypervolume_is_that_of_the_union_of_boxes(points):
    reference = np.full(points.shape[1], 1.1)
    assert hypervolume(points, reference) == pytest.approx(inclusion_exclusion(points, reference), abs=1e-9)


@given(sets(most=25, objectives=(2, 3, 4, 5)))
def test_with_and_without_the_library_it_is_the_same(points):
    pytest.importorskip("moocore")
    reference = np.full(points.shape[1], 1.1)
    own = points[front_mask(points)]
    assert exact(own, reference) == pytest.approx(hypervolume(points, reference), rel=1e-10)


@given(sets())
def test_more_points_never_lower_it_and_useless_ones_change_nothing(points):
    m = points.shape[1]
    reference = np.full(m, 1.1)
    whole = hypervolume(points, reference)
    assert hypervolume(points[:-1], reference) <= whole + 1e-12
    same = np.vstack([points, points, points + 0.01, np.full((1, m), 2.0), np.full((1, m), np.nan)])
    assert hypervolume(same, reference) == pytest.approx(whole, rel=1e-12)


@given(sets(), st.integers(0, 2**32 - 1))
def test_scaling_and_reordering_objectives_scale_it(points, seed):
    rng, m = np.random.default_rng(seed), points.shape[1]
    factors, shift, order = rng.uniform(0.5, 2, m), rng.normal(size=m), rng.permutation(m)
    reference = np.full(m, 1.1)
    moved = hypervolume((points * factors + shift)[:, order], (reference * factors + shift)[order])
    assert moved == pytest.approx(hypervolume(points, reference) * np.prod(factors), rel=1e-9)


@given(sets(most=8))
def test_contributions_are_what_is_lost_without_a_point(points):
    reference = np.full(points.shape[1], 1.1)
    found = contributions(points, reference)
    whole = hypervolume(points, reference)
    for i in range(len(points)):
        assert found[i] == pytest.approx(whole - hypervolume(np.delete(points, i, axis=0), reference), abs=1e-12)
    assert found.sum() <= whole + 1e-9


@given(sets(most=10, objectives=(1, 2, 3, 4)))
def test_a_curve_is_the_hypervolume_of_each_beginning(points):
    points = np.vstack([points, np.full((1, points.shape[1]), np.nan), points[:1]])
    reference = np.full(points.shape[1], 0.9)
    curve = hypervolume_curve(points, reference)
    assert curve == pytest.approx([hypervolume(points[: i + 1], reference) for i in range(len(points))], abs=1e-12)
    assert (np.diff(curve) >= 0).all()
    archive = Archive(reference)
    kept = np.array([archive.add(point) for point in points])
    front = points[front_mask(points)]
    assert sorted(archive.front.tolist()) == sorted(front.tolist())
    assert not kept[-2:].any()


@given(sets(most=8, objectives=(2, 3, 4)), st.integers(0, 2**32 - 1))
def test_what_a_candidate_adds_is_the_difference_of_two_hypervolumes(points, seed):
    m = points.shape[1]
    reference = np.full(m, 1.1)
    candidates = np.vstack([np.random.default_rng(seed).random((5, m)) * 1.2, points])
    base = hypervolume(points, reference)
    expected = [hypervolume(np.vstack([points, row]), reference) - base for row in candidates]
    found = improvements(candidates, points, reference)
    assert found == pytest.approx(expected, abs=1e-9)
    assert (found[5:] == 0).all()


@given(sets(most=6, objectives=(2, 3)), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_batch_is_chosen_jointly(points, seed, count):
    rng, m = np.random.default_rng(seed), points.shape[1]
    reference, candidates = np.full(m, 1.1), rng.random((6, m))
    chosen = choose_batch(candidates, points, reference, count)
    assert len(set(chosen)) == count
    alone = improvements(candidates, points, reference)
    if alone.max() > 0:
        assert chosen[0] == int(np.argmax(alone))
    together = hypervolume(np.vstack([points, candidates[chosen]]), reference)
    assert together >= hypervolume(points, reference) + alone.max() - 1e-12


def test_near_copies_are_not_chosen_together():
    points = np.array([[0.9, 0.9]])
    candidates = np.array([[0.2, 0.5], [0.2001, 0.5001], [0.6, 0.1]])
    assert choose_batch(candidates, points, np.ones(2), 2) == [0, 2]


def test_candidates_that_add_nothing_are_taken_where_they_are_new():
    points, candidates = np.array([[0.0, 0.0]]), np.array([[0.3, 0.3], [0.1, 0.6], [0.6, 0.1]])
    assert len(choose_batch(candidates, points, np.ones(2), 2)) == 2


def test_igd_plus_and_epsilon_by_hand():
    target = np.array([[0.0, 1.0], [1.0, 0.0]])
    front = np.array([[0.5, 0.5]])
    assert igd_plus(front, target) == pytest.approx(0.5)
    assert epsilon(front, target) == pytest.approx(0.5)
    assert igd_plus(target, target) == epsilon(target, target) == 0.0
    assert igd_plus(np.zeros((0, 2)), target) == float("inf")


def test_an_attainment_surface_by_hand():
    fronts = [np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.5, 0.5]]), np.array([[0.5, 0.8]])]
    at = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(attainment(fronts, 0.5, at), [np.inf, 0.8, 0.5])
    np.testing.assert_allclose(attainment(fronts, 1.0, at), [np.inf, 1.0, 0.8])


def test_an_estimated_reference_lies_beyond_the_front():
    points = np.array([[0.0, 2.0], [1.0, 1.0], [9.0, 9.0], [np.nan, 0.0]])
    np.testing.assert_allclose(estimated_reference(points), [1.1, 2.1])
    np.testing.assert_allclose(estimated_reference(np.array([[2.0, 0.0]])), [2.2, 0.1])
    one_is_best = np.array([[1.0, 1.0], [3.0, 1.0], [2.0, 5.0]])
    np.testing.assert_allclose(estimated_reference(one_is_best), [3.2, 5.4])
    with pytest.raises(ValueError, match="no point"):
        estimated_reference(np.full((2, 2), np.nan))
