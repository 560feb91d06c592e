"""The k-d tree: cells tile the box, hold what they should, and do not depend on what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import KDTree

from agentopt.partition.tree import grow

RULES = ["median", "mean", "midpoint"]
rules = st.sampled_from(RULES)


def inside(lower, upper, point):
    """Which boxes hold a point: lower faces belong to a box, upper ones only where they are the unit box's."""
    return ((lower <= point) & ((point < upper) | ((upper == 1.0) & (point <= 1.0)))).all(axis=-1)


@st.composite
def clouds(draw, least=0, most=60):
    """Points of all sorts: spread out, on a grid with many ties, on the faces, all the same."""
    n, d = draw(st.integers(least, most)), draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["spread", "grid", "faces", "same"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "grid":
        return rng.integers(0, 4, (n, d)) / 4
    if kind == "faces":
        return rng.integers(0, 2, (n, d)).astype(float)
    if kind == "same":
        return np.repeat(rng.random((1, d)), n, axis=0)
    return rng.random((n, d))


@given(clouds(), st.integers(1, 9), rules)
def test_every_point_is_in_one_leaf_and_inside_its_box(points, capacity, rule):
    leaves = grow(points, capacity, rule)
    assert sorted(leaves.order.tolist()) == list(range(len(points)))
    assert leaves.start[0] == 0
    assert leaves.start[-1] == len(points)
    assert (leaves.counts >= (1 if len(points) else 0)).all()
    for k in range(len(leaves)):
        own = points[leaves.order[leaves.start[k] : leaves.start[k + 1]]]
        assert all(inside(leaves.lower[k], leaves.upper[k], point) for point in own)


@given(clouds(), st.integers(1, 9), rules)
def test_the_boxes_tile_the_unit_box(points, capacity, rule):
    leaves = grow(points, capacity, rule)
    assert np.prod(leaves.upper - leaves.lower, axis=1).sum() == pytest.approx(1.0, rel=1e-9)
    lower, upper = leaves.lower, leaves.upper
    shared = np.minimum(upper[:, None], upper[None]) - np.maximum(lower[:, None], lower[None])
    overlaps = (shared > 1e-15).all(axis=2)
    assert not overlaps[~np.eye(len(leaves), dtype=bool)].any()


@given(clouds(), st.integers(1, 9), rules, st.integers(0, 2**32 - 1))
def test_any_place_is_in_exactly_one_leaf_faces_and_corners_too(points, capacity, rule, seed):
    leaves = grow(points, capacity, rule)
    rng, d = np.random.default_rng(seed), points.shape[1]
    corners = rng.integers(0, 2, (5, d)).astype(float)
    planes = rng.random((20, d))
    for row in planes:
        axis = rng.integers(d)
        row[axis] = rng.choice(leaves.lower[:, axis])
    for point in np.concatenate([corners, planes, rng.random((20, d))]):
        assert np.count_nonzero(inside(leaves.lower, leaves.upper, point)) == 1


@given(clouds(), st.integers(1, 9), rules)
def test_a_leaf_holds_no_more_than_its_capacity_unless_its_points_coincide(points, capacity, rule):
    leaves = grow(points, capacity, rule)
    for k in np.flatnonzero(leaves.counts > capacity):
        own = points[leaves.order[leaves.start[k] : leaves.start[k + 1]]]
        assert (own == own[0]).all()


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 4), st.integers(1, 6), rules)
def test_the_order_of_the_points_does_not_matter(seed, n, d, capacity, rule):
    rng = np.random.default_rng(seed)
    points = rng.random((n, d))
    first, second = grow(points, capacity, rule), grow(points[rng.permutation(n)], capacity, rule)
    assert len(first) == len(second)

    def boxes(leaves):
        table = np.hstack([leaves.lower, leaves.upper])
        return table[np.lexsort(np.round(table, 9).T)]

    np.testing.assert_allclose(boxes(first), boxes(second), atol=1e-9)


def test_the_median_halves_and_its_depth_is_the_logarithm():
    points = np.random.default_rng(0).random((1000, 3))
    leaves = grow(points, 4, "median")
    sides = -np.log2(np.maximum(leaves.counts, 1) / 1000)
    assert sides.max() <= math.ceil(math.log2(1000 / 4)) + 1
    assert leaves.counts.min() >= 2


def test_the_axis_is_that_of_the_largest_variance_or_extent():
    wide = np.array([[0.0, 0.45], [0.5, 0.5], [0.52, 0.52], [0.48, 0.48], [1.0, 0.55]])
    flat = np.array([[0.0, 0.5], [0.0, 0.1], [0.0, 0.9], [0.6, 0.1], [0.6, 0.9]])
    for points, rule, axis in ((wide, "midpoint", 0), (flat, "midpoint", 1), (flat, "median", 1), (wide, "mean", 0)):
        leaves = grow(points, 4, rule)
        assert len(leaves) == 2
        assert (leaves.upper[0] < 1).tolist() == [axis == 0, axis == 1], rule


def test_where_the_cut_lies():
    points = np.array([[0.0], [0.1], [0.2], [0.8]])
    places = {rule: grow(points, 3, rule).upper[0, 0] for rule in RULES}
    assert places == {"median": pytest.approx(0.15), "mean": pytest.approx(0.275), "midpoint": 0.4}


@pytest.mark.parametrize("rule", RULES)
def test_two_points_are_cut_half_way(rule):
    leaves = grow(np.array([[0.0], [1.0]]), 1, rule)
    assert leaves.upper[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("shared", [0.0, 0.4, 1.0])
def test_a_median_that_most_points_share_is_cut_beside_them(shared):
    points = np.array([[0.2], [0.6], *[[shared]] * 5])
    leaves = grow(points, 5, "median")
    assert sorted(leaves.counts.tolist()) in ([2, 5], [1, 1, 5])


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 12))
def test_the_midpoint_rule_groups_points_as_scipy_does(seed, d, capacity):
    points = np.random.default_rng(seed).random((80, d))

    def groups(node):
        leaf = isinstance(node, KDTree.leafnode)
        return [frozenset(node.idx.tolist())] if leaf else groups(node.less) + groups(node.greater)

    leaves = grow(points, capacity, "midpoint")
    own = {frozenset(part.tolist()) for part in np.split(leaves.order, leaves.start[1:-1])}
    assert own == set(groups(KDTree(points, leafsize=capacity, balanced_tree=False).tree))


@given(clouds(), st.integers(1, 9), rules, st.integers(0, 2**32 - 1))
def test_locate_finds_the_box_that_holds_a_place(points, capacity, rule, seed):
    leaves = grow(points, capacity, rule)
    rng, d = np.random.default_rng(seed), points.shape[1]
    queries = np.concatenate([rng.random((30, d)), leaves.lower[:9], leaves.upper[:9], points])
    for query, leaf in zip(queries, leaves.locate(queries), strict=True):
        assert inside(leaves.lower[leaf], leaves.upper[leaf], query)


@pytest.mark.parametrize("rule", ["median", "mean", "midpoint"])
def test_scaling_an_axis_with_its_bounds_changes_nothing(rule):
    low, high = np.array([-5.0, 0.0, 1e3]), np.array([5.0, 1e-3, 1e6])
    raw = np.random.default_rng(0).uniform(low, high, (60, 3))
    first = grow((raw - low) / (high - low), 4, rule)
    factor, shift = np.array([8.0, 1024.0, 0.5]), np.array([16.0, 0.0, -64.0])
    moved, ends = raw * factor + shift, (low * factor + shift, high * factor + shift)
    second = grow((moved - ends[0]) / (ends[1] - ends[0]), 4, rule)
    assert first.order.tolist() == second.order.tolist()
    np.testing.assert_allclose(first.lower, second.lower, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_points_that_crowd_towards_a_corner_make_a_tree_as_deep_as_they_are_many(rule):
    points = 2.0 ** -np.arange(200)[:, None]
    leaves = grow(points, 1, rule)
    assert len(leaves) == 200
    assert sorted(leaves.locate(points).tolist()) == list(range(200))


@pytest.mark.parametrize("rule", RULES)
def test_few_points(rule):
    for points in (np.zeros((0, 3)), np.full((1, 3), 0.3), np.full((9, 3), 0.3)):
        leaves = grow(points, 2, rule)
        assert len(leaves) == 1
        assert leaves.counts.tolist() == [len(points)]
        assert (leaves.lower == 0).all()
        assert (leaves.upper == 1).all()
    exact = np.random.default_rng(0).random((5, 2))
    assert len(grow(exact, 5, rule)) == 1
    assert len(grow(exact, 4, rule)) == 2


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_axis_is_never_cut(rule):
    points = np.random.default_rng(0).random((50, 3))
    points[:, 1] = 0.25
    leaves = grow(points, 3, rule)
    assert (leaves.lower[:, 1] == 0).all()
    assert (leaves.upper[:, 1] == 1).all()


@given(st.integers(2, 9), st.lists(st.integers(0, 8), min_size=2, max_size=30), rules)
def test_cuts_of_a_discrete_axis_lie_between_its_levels(count, picked, rule):
    levels = (np.arange(count) + 0.5) / count
    points = levels[np.array(picked) % count][:, None]
    leaves = grow(points, 1, rule, [levels])
    cuts = leaves.lower[leaves.lower > 0] * count
    np.testing.assert_allclose(cuts, np.round(cuts), atol=1e-9)
    held = [np.count_nonzero(inside(leaves.lower[k], leaves.upper[k], levels[:, None])) for k in range(len(leaves))]
    assert min(held) >= 1
    assert sum(held) == count


@given(hnp.arrays(float, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(0, 1)), rules)
@settings(max_examples=200)
def test_no_floats_break_it(points, rule):
    leaves = grow(points, 2, rule)
    assert leaves.counts.sum() == len(points)
    found = leaves.locate(points)
    for k in range(len(leaves)):
        assert set(np.flatnonzero(found == k)) == set(leaves.order[leaves.start[k] : leaves.start[k + 1]].tolist())


@pytest.mark.parametrize("rule", RULES)
def test_a_hundred_thousand_points(rule):
    points = np.random.default_rng(0).random((100_000, 5))
    leaves = grow(points, 10, rule)
    assert leaves.counts.max() <= 10
    assert np.prod(leaves.upper - leaves.lower, axis=1).sum() == pytest.approx(1.0)
