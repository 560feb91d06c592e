"""Scores of cells: their bounds, what they must not depend on, what must raise them, and the choice that they make."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from agentopt.pareto import contributions, front_mask, hypervolume
from agentopt.partition.scores import (
    SINGLE_VARIANCE,
    _unknown,
    annealed,
    capacity,
    cell_contributions,
    choose,
    hypervolume_terms,
    long_run,
    minmax,
    probabilities,
    single_terms,
    softmax,
    variances,
    volumes,
    worth,
)
from agentopt.partition.tree import grow

FORMS = st.sampled_from(["budget", "count"])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def scored(draw, least=1, objectives=1):
    """Leaves, and the losses of the points in them: some failed, some huge, sometimes all the same."""
    n, d = draw(st.integers(least, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(SEEDS))
    leaves = grow(rng.random((n, d)), draw(st.integers(1, 5)))
    kind = draw(st.sampled_from(["normal", "wild", "same"]))
    losses = np.full((n, objectives), 2.5) if kind == "same" else rng.normal(size=(n, objectives))
    if kind == "wild":
        losses *= 10.0 ** rng.integers(-9, 9, (n, objectives))
    losses[rng.random(n) < draw(st.sampled_from([0.0, 0.3]))] = np.nan
    return leaves, losses[:, 0] if objectives == 1 else losses


def at_places(leaves, losses):
    """The worths of all points, leaf after leaf."""
    return worth(losses)[leaves.order]


@given(scored(), FORMS, st.floats(0, 1), st.integers(1, 300), st.floats(0, 0.5))
def test_scores_are_finite_and_not_negative_and_chances_sum_to_one(made, form, alpha, total, floor):
    leaves, losses = made
    terms = single_terms(leaves, losses, total=total, form=form)
    for values in (terms.exploitation, terms.volume, terms.unknown):
        assert ((values >= 0) & (values <= 1)).all()
    score = terms.score(alpha)
    assert (score >= 0).all()
    chances = probabilities(score, floor)
    assert chances.sum() == pytest.approx(1.0)
    assert (chances >= floor / len(leaves) - 1e-12).all()


@given(scored(least=4), FORMS, st.floats(1e-2, 1e6), st.floats(-10, 10))
def test_the_unit_of_the_loss_does_not_matter(made, form, factor, shift):
    leaves, losses = made
    losses = np.clip(losses, -1e3, 1e3)
    known = losses[np.isfinite(losses)]
    assume(len(known) and np.ptp(known) > 1e-3)  # or the shift takes what little difference there is
    first = single_terms(leaves, losses, total=60, form=form)
    moved = single_terms(leaves, factor * losses + shift, total=60, form=form)
    np.testing.assert_allclose(moved.score(0.7), first.score(0.7), atol=1e-5)


@given(scored(), SEEDS)
def test_the_numbers_of_the_leaves_do_not_matter(made, seed):
    leaves, losses = made
    order = np.random.default_rng(seed).permutation(len(leaves))
    parts = [leaves.order[leaves.start[k] : leaves.start[k + 1]] for k in order]
    other = replace(
        leaves,
        order=np.concatenate(parts),
        start=np.concatenate([[0], np.cumsum(leaves.counts[order])]),
        lower=leaves.lower[order],
        upper=leaves.upper[order],
    )
    first, second = (single_terms(one, losses, total=60).score(0.5) for one in (leaves, other))
    np.testing.assert_allclose(second, first[order], atol=1e-9)


@given(scored(), SEEDS)
def test_the_order_of_the_parameters_does_not_matter(made, seed):
    leaves, losses = made
    axes = np.random.default_rng(seed).permutation(leaves.lower.shape[1])
    other = replace(leaves, lower=leaves.lower[:, axes], upper=leaves.upper[:, axes])
    first, second = (single_terms(one, losses, total=60).score(0.5) for one in (leaves, other))
    np.testing.assert_allclose(second, first, atol=1e-9)


@given(scored(least=2), st.data())
def test_a_better_trial_never_makes_its_cell_look_worse_than_another(made, data):
    leaves, losses = made
    losses = np.nan_to_num(losses, nan=1.0)
    k = data.draw(st.integers(0, len(leaves) - 1))
    own = leaves.order[leaves.start[k] : leaves.start[k + 1]]
    improved, best = losses.copy(), losses[own].min()
    improved[own[int(np.argmin(losses[own]))]] = max(losses.min(), best - data.draw(st.floats(0, 2)) * abs(best))
    before, after = (single_terms(leaves, some, total=60).score(0.0) for some in (losses, improved))
    assert (after[k] >= after)[before[k] >= before].all()


@given(scored(least=2), st.data(), st.floats(0, 1))
def test_a_larger_cell_never_looks_worse_than_another_one(made, data, alpha):
    leaves, losses = made
    k, axis = data.draw(st.integers(0, len(leaves) - 1)), data.draw(st.integers(0, leaves.lower.shape[1] - 1))
    upper = leaves.upper.copy()
    upper[k, axis] += data.draw(st.floats(0, 1))
    before = single_terms(leaves, losses, total=60)
    after = single_terms(replace(leaves, upper=upper), losses, total=60)
    assert (after.volume[k] >= after.volume)[before.volume[k] >= before.volume].all()
    np.testing.assert_array_equal(after.exploitation, before.exploitation)
    np.testing.assert_array_equal(after.unknown, before.unknown)


def leaf_of(values):
    """One leaf on a line that holds points with these worths, beside one that holds three."""
    count = len(values)
    leaves = grow(np.concatenate([np.linspace(0.1, 0.3, count), [0.7, 0.8, 0.9]])[:, None], max(3, count), "midpoint")
    assert leaves.counts.tolist() == [count, 3]
    return leaves, np.concatenate([values, [0.2, 0.4, 0.9]])


@given(st.lists(st.floats(0, 1), min_size=4, max_size=12))
def test_a_trial_that_is_like_the_others_makes_a_cell_less_unknown(values):
    values = np.array(values)
    for form, total in (("budget", 200), ("budget", 40)):
        before, after = (
            _unknown(*leaf_of(some), total, form, 1.0)[0] for some in (values, np.append(values, values.mean()))
        )
        assert after < before or before == 0


def test_the_uncertainty_by_hand():
    leaves, value = leaf_of(np.array([0.1, 0.5, 0.6, 0.8]))
    bonus = math.log(50 / (2 * 4))
    expected = math.sqrt(2 * np.var([0.1, 0.5, 0.6, 0.8], ddof=1) * bonus / 4) + 3.0 * bonus / 4
    assert _unknown(leaves, value, 50, "budget", 3.0)[0] == pytest.approx(expected)
    held = np.array([4, 3])
    bonus = np.maximum(0.0, np.log(7 / (2 * held)))
    expected = np.sqrt(2 * variances(leaves, value) * bonus / held) + bonus / held
    np.testing.assert_allclose(_unknown(leaves, value, 50, "count", 1.0), expected)
    assert _unknown(leaves, value, 50, "count", 1.0)[0] == 0, "more than average occupancy leaves no bonus"


def test_a_budget_that_is_overrun_counts_as_what_was_run():
    leaves, value = leaf_of(np.array([0.1, 0.5, 0.6, 0.8]))
    np.testing.assert_array_equal(_unknown(leaves, value, 1, "budget", 1.0), _unknown(leaves, value, 7, "count", 1.0))


@given(scored(least=2))
def test_variances_are_the_unbiased_ones_of_what_is_known(made):
    leaves, losses = made
    value = at_places(leaves, losses)
    found = variances(leaves, value)
    for k in range(len(leaves)):
        own = value[leaves.start[k] : leaves.start[k + 1]]
        own = own[~np.isnan(own)]
        assert found[k] == pytest.approx(np.var(own, ddof=1) if len(own) > 1 else SINGLE_VARIANCE)


@given(scored())
def test_without_exploration_the_best_cell_holds_the_incumbent(made):
    leaves, losses = made
    assume(np.isfinite(losses).any())
    score = single_terms(leaves, losses, total=60).score(0.0)
    incumbent = int(np.nanargmin(losses))
    position = int(np.flatnonzero(leaves.order == incumbent)[0])
    k = int(np.searchsorted(leaves.start, position, side="right") - 1)
    assert score[k] == score.max()


def test_one_cell_is_certain_and_no_trials_are_no_problem():
    for n in (0, 1, 5):
        leaves = grow(np.random.default_rng(0).random((n, 2)), 9)
        terms = single_terms(leaves, np.arange(n, dtype=float), total=20)
        assert terms.score(1.0).tolist() == [0.0]
        assert probabilities(terms.score(1.0)).tolist() == [1.0]
        assert choose(probabilities(terms.score(1.0)), 5, np.random.default_rng(0)).tolist() == [0]


@given(scored(), st.sampled_from([np.nan, np.inf, 3.0, 0.0, 1e308]))
def test_where_all_trials_are_the_same_only_size_and_number_count(made, value):
    leaves, losses = made
    terms = single_terms(leaves, np.full(len(losses), value), total=60)
    assert len(set(terms.exploitation.tolist())) == 1


def test_failures_count_as_trials_and_have_no_value():
    points = np.array([[0.1], [0.2], [0.3], [0.7], [0.8], [0.9]])
    leaves = grow(points, 3)
    losses = np.array([1.0, 2.0, np.nan, 1.0, 2.0, 1.5])
    terms = single_terms(leaves, losses, total=60)
    assert terms.exploitation.tolist() == [0.0, 0.0]
    value = at_places(leaves, losses)
    assert variances(leaves, value)[0] == pytest.approx(np.var(worth(losses)[[0, 1]], ddof=1))
    none = single_terms(leaves, np.array([np.nan] * 3 + [9.0, 8.0, 7.0]), total=60)
    assert none.exploitation.tolist() == [0.0, 1.0], "a cell of failures is no better than the worst"


def test_one_disaster_does_not_make_all_others_alike():
    losses = np.array([1.0, 2.0, 3.0, 4.0, 1e9])
    found = worth(losses)
    assert found[0] == 1
    assert found[4] == 0
    assert np.diff(found[:4]).max() < -0.1
    assert worth(np.array([1e308, -1e308, 0.0])).tolist() == [0.0, 1.0, 0.5]
    assert np.isnan(worth(np.array([np.inf, np.nan]))).all()


def test_volumes_are_the_geometric_mean_of_the_sides_in_any_dimension():
    leaves = grow(np.random.default_rng(0).random((300, 100)), 2)
    assert (volumes(leaves) > 0.9).all(), "as products of a hundred sides they differ by 2 to the power of the depth"
    square = grow(np.array([[0.1, 0.5], [0.9, 0.5]]), 1, "midpoint")
    np.testing.assert_allclose(volumes(square), np.sqrt([0.5, 0.5]))


@given(st.integers(1, 400), st.floats(0, 2), st.floats(0, 0.5))
def test_alpha_falls_from_its_highest_to_its_lowest_by_evaluations(total, span, lowest):
    highest = lowest + span
    path = [annealed(t, total, highest, lowest) for t in range(total + 5)]
    assert path[0] == pytest.approx(highest)
    assert path[total] == pytest.approx(lowest)
    assert all(b <= a + 1e-12 for a, b in pairwise(path))
    assert min(path) >= lowest - 1e-12
    assert annealed(7, 0) == pytest.approx(0.01)


def test_alpha_is_what_the_released_code_has():
    assert annealed(5, 100) == pytest.approx(0.994, abs=5e-4)
    assert annealed(97, 100) == pytest.approx(0.012, abs=5e-4)


def test_capacities():
    assert [capacity(3, 0.0, t) for t in (0, 50, 5000)] == [3, 3, 3]
    assert capacity(3, 2.0, 0) == 3
    assert capacity(3, 2.0, 50) == 3 + math.ceil(2 * math.log(51))
    assert capacity(0, 0.0, 9) == 1
    assert [long_run(7, t) for t in (100, 201, 10_000)] == [7, 8, 50]


@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_cells_are_drawn_as_often_as_their_chances_say(floor):
    """Chi-square over twenty thousand draws of one cell, and the chances of a second one after it."""
    rng = np.random.default_rng(3)
    chances = probabilities(np.array([0.0 if floor else 0.1, 0.5, 1.0, 2.0]), floor)
    drawn = np.array([choose(chances, 2, rng) for _ in range(20_000)])
    first = np.bincount(drawn[:, 0], minlength=4)
    assert stats.chisquare(first, 20_000 * chances).pvalue > 1e-3
    pairs = np.array([[0 if i == j else p * q / (1 - p) for j, q in enumerate(chances)] for i, p in enumerate(chances)])
    counted = np.zeros((4, 4))
    np.add.at(counted, (drawn[:, 0], drawn[:, 1]), 1)
    there = pairs > 0
    assert stats.chisquare(counted[there], 20_000 * pairs[there]).pvalue > 1e-3
    assert counted[~there].sum() == 0


@given(hnp.arrays(float, st.integers(1, 30), elements=st.floats(0, 1)), st.integers(1, 8), SEEDS)
def test_chosen_cells_differ_and_the_seed_decides(score, count, seed):
    chances = probabilities(score, 0.0)
    chosen = choose(chances, count, np.random.default_rng(seed))
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(score))
    assert chosen.tolist() == choose(chances, count, np.random.default_rng(seed)).tolist()
    if np.count_nonzero(chances) >= count:
        assert (chances[chosen] > 0).all() or len(score) <= count


@given(hnp.arrays(float, st.integers(1, 30), elements=st.floats(-1e6, 1e6)), st.floats(0.1, 10))
def test_terms_are_made_comparable(values, temperature):
    scaled, shares = minmax(values), softmax(values, temperature)
    assert shares.sum() == pytest.approx(1.0)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert shares[int(np.argmax(values))] == shares.max()
    if np.ptp(values) == 0:
        assert (scaled == 0).all()
        np.testing.assert_allclose(shares, 1 / len(values))


REFERENCE = {2: np.full(2, 1.1), 3: np.full(3, 1.1)}


@st.composite
def fronts_in_cells(draw):
    n, m, d = draw(st.integers(1, 14)), draw(st.sampled_from([2, 3])), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(SEEDS))
    losses = rng.integers(0, 5, (n, m)) / 4 if draw(st.booleans()) else rng.random((n, m))
    losses[rng.random(n) < 0.2] = np.nan
    return grow(rng.random((n, d)), draw(st.integers(1, 4))), losses, REFERENCE[m]


@given(fronts_in_cells())
def test_what_a_cell_holds_of_the_hypervolume_is_what_is_lost_without_it(made):
    leaves, losses, reference = made
    alive = ~np.isnan(losses).any(axis=1)
    front = np.zeros(len(losses), dtype=bool)
    front[alive] = front_mask(losses[alive])
    for rule, counted in (("all", alive), ("front", front)):
        found = cell_contributions(leaves, losses, reference, hypervolume, rule)
        whole = hypervolume(losses[alive], reference)
        for k in range(len(leaves)):
            own = np.zeros(len(losses), dtype=bool)
            own[leaves.order[leaves.start[k] : leaves.start[k + 1]]] = True
            rest = losses[counted & ~own]
            assert found[k] == pytest.approx(whole - hypervolume(rest, reference), abs=1e-12)
            if not front[own].any():
                assert found[k] == 0
        assert (found >= 0).all()
        if rule == "all":
            assert found.sum() <= whole + 1e-9
        if len(leaves) == 1:
            assert found[0] == pytest.approx(whole)


@given(fronts_in_cells())
def test_the_front_loses_no_less_than_all_trials(made):
    leaves, losses, reference = made
    front, every = (cell_contributions(leaves, losses, reference, hypervolume, rule) for rule in ("front", "all"))
    assert (front >= every - 1e-12).all()


@given(fronts_in_cells(), SEEDS, st.sampled_from(["front", "all"]))
def test_neither_units_nor_the_order_of_objectives_matter(made, seed, rule):
    leaves, losses, reference = made
    rng, m = np.random.default_rng(seed), len(reference)
    factor, shift, order = rng.uniform(0.5, 2, m), rng.normal(size=m), rng.permutation(m)
    first = cell_contributions(leaves, losses, reference, hypervolume, rule)
    moved = cell_contributions(
        leaves, (losses * factor + shift)[:, order], (reference * factor + shift)[order], hypervolume, rule
    )
    np.testing.assert_allclose(moved, first * np.prod(factor), rtol=1e-6, atol=1e-9)


@given(fronts_in_cells(), st.sampled_from(["minmax", "softmax"]), FORMS)
@settings(max_examples=50)
def test_terms_of_several_objectives_are_finite_and_not_negative(made, norm, form):
    leaves, losses, reference = made
    gains = cell_contributions(leaves, losses, reference, hypervolume, "front")
    each, alive = np.full(len(losses), np.nan), ~np.isnan(losses).any(axis=1)
    each[alive] = contributions(losses[alive], reference)
    terms = hypervolume_terms(leaves, gains, each, total=60, form=form, norm=norm)
    for values in (terms.exploitation, terms.volume, terms.unknown):
        assert ((values >= 0) & (values <= 1)).all()
    assert (terms.score(0.5) >= 0).all()


def test_where_most_losses_are_the_same_the_others_are_still_worse():
    assert worth(np.array([1.0] * 8 + [3.0, 5.0])).tolist() == [1.0] * 8 + [0.5, 0.0]


def test_a_low_temperature_tells_cells_apart():
    leaves = grow(np.array([[0.1], [0.9]]), 1)
    gains, each = np.array([0.0, 0.3]), np.array([0.0, 0.3])
    warm, cold = (
        hypervolume_terms(leaves, gains, each, total=9, norm="softmax", temperature=t).exploitation for t in (1.0, 0.1)
    )
    assert cold[1] / cold[0] == pytest.approx(math.exp(3.0))
    assert warm[1] / warm[0] == pytest.approx(math.exp(0.3))
