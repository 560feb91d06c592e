"""Cells of mixed spaces: every configuration is in one, and what is said of a cell is true of it."""

from __future__ import annotations

import re

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentopt.partition import Cell, partition, whole_space
from agentopt.partition.cells import MOST_LEVELS, encoding_of
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace

RULES = ["median", "mean", "midpoint"]
NUMBER = re.compile(r"-?\d[\d.]*(?:e[+-]?\d+)?")
KINDS = [
    Float("x", -2.0, 3.0),
    Float("x", 1000.0, 1000.5),
    Float("x", 1e-8, 10.0, log=True),
    Float("x", values=(1e-8, 7.5e-6, 0.01, 1.0)),
    Int("x", -3, 9),
    Int("x", 0, 100, step=7),
    Int("x", 1, 4096, powers_of=4),
    Int("x", 1, 300, log=True),
    Int("x", 0, 10 * MOST_LEVELS),
    Int("x", 1, 1_000_000, log=True),
    Int("x", 0, 3 * MOST_LEVELS, step=2),
    Choice("x", ("a", "b", "c", "d", "e")),
    Choice("x", (True, 2, 0.5, "z")),
]


@st.composite
def spaces(draw):
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    return SearchSpace(tuple(_renamed(kind, f"p{i}") for i, kind in enumerate(kinds)))


def _renamed(kind, name):
    given = {key: getattr(kind, key) for key in type(kind).__dataclass_fields__ if key not in ("name", "type", "_")}
    return type(kind)(name=name, **given)


@st.composite
def partitions(draw):
    """A space, configurations that were observed in it, and the cells along them."""
    space, rng = draw(spaces()), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 40))
    observed = [space.decode(u) for u in _points(rng, count, len(space), draw(st.sampled_from(["spread", "near"])))]
    losses = rng.normal(size=count)
    losses[rng.random(count) < 0.2] = np.nan
    return space, observed, partition(space, observed, losses.tolist(), draw(st.integers(1, 6)), draw(RULE)), rng


RULE = st.sampled_from(RULES)


def _points(rng, count, d, kind):
    """Points of the unit cube, corners among them; `near` ones crowd around a place, so that cells become narrow."""
    points = rng.random((count, d))
    if kind == "near":
        points = np.clip(rng.random(d) + (points - 0.5) * 10.0 ** -rng.uniform(0, 9, (count, 1)), 0, 1)
    corners = rng.random(count) < 0.2
    points[corners] = np.round(points[corners])
    return points


def cells(parts):
    return [parts.cell(k) for k in range(len(parts.leaves))]


@given(partitions())
def test_every_configuration_is_in_exactly_one_cell(made):
    space, observed, parts, rng = made
    found = cells(parts)
    for params in [*observed, *map(space.decode, _points(rng, 20, len(space), "spread"))]:
        assert sum(cell.contains(params) for cell in found) == 1


@given(partitions())
def test_an_observation_is_in_the_cell_that_holds_it(made):
    _, observed, parts, _ = made
    for k, cell in enumerate(cells(parts)):
        for i in parts.leaves.order[parts.leaves.start[k] : parts.leaves.start[k + 1]]:
            assert cell.contains(observed[i])


@given(partitions())
def test_cells_hold_whole_levels_and_each_level_stays_where_it_can_be_reached(made):
    """Along an axis, the cells that differ in it alone hold each level once; all cells together hold every level."""
    space, _, parts, _ = made
    found = cells(parts)
    for axis, parameter in enumerate(space.parameters):
        if parameter.levels is None:
            assert all(cell.held[axis] is None for cell in found)
            continue
        assert all(len(cell.held[axis]) for cell in found)
        reached = set().union(*(map(_typed, cell.held[axis]) for cell in found if len(cell.held[axis]) < 5000))
        if parameter.levels <= 5000:
            values = parameter.choices if isinstance(parameter, Choice) else parameter.grid
            assert reached == set(map(_typed, values))


def _typed(value):
    return type(value).__name__, value


@given(st.sampled_from([kind for kind in KINDS if kind.levels and kind.levels <= MOST_LEVELS]), st.data())
def test_on_one_axis_each_level_is_in_one_cell(kind, data):
    space = SearchSpace((kind,))
    values = list(kind.choices if isinstance(kind, Choice) else kind.grid)
    observed = [{"x": value} for value in data.draw(st.lists(st.sampled_from(values), max_size=20))]
    losses = data.draw(st.lists(st.floats(-1, 1), min_size=len(observed), max_size=len(observed)))
    held = [cell.held[0] for cell in cells(partition(space, observed, losses, 2, data.draw(RULE)))]
    assert sorted(map(repr, (value for own in held for value in own))) == sorted(map(repr, values))


@given(partitions())
def test_what_is_drawn_from_a_cell_lies_in_it(made):
    space, _, parts, rng = made
    for cell in cells(parts):
        for params in cell.sample(rng, 3):
            assert cell.contains(params)
            assert space.contains(params)
            assert tuple(params) == space.names


def ends(cell):
    """Configurations at the ends of what a cell says that it holds: of its ranges, its words and its schema."""
    space = cell.encoding.space
    words, properties = cell.describe(), cell.schema("object")["properties"]
    rows = [[], [], []]
    for parameter, held, ranges, text in zip(space.parameters, cell.held, cell.ranges, words, strict=True):
        schema = properties[parameter.name]
        rows[0].append([held[0], held[-1]] if held is not None else [float(end) for end in ranges])
        options = schema.get("enum") or [schema["minimum"], schema["maximum"]]
        rows[1].append([options[0], options[-1]])
        rows[2].append(_spoken(parameter, text))
    for row in rows:
        for end in (0, -1):
            yield {p.name: values[end] for p, values in zip(space.parameters, row, strict=True)}


def _spoken(parameter, text):
    """The ends of a range in words."""
    if isinstance(parameter, Choice):
        named = text.removeprefix("one of ").split(", ")
        return [next(c for c in parameter.choices if str(c) == word) for word in (named[0], named[-1])]
    numbers = [float(word) for word in NUMBER.findall(text.split(", log")[0].split(", in steps")[0])]
    return [numbers[0], numbers[-1]] if isinstance(parameter, Float) else [int(numbers[0]), int(numbers[-1])]


@given(partitions())
@settings(max_examples=200)
def test_what_a_prompt_and_a_schema_say_of_a_cell_lies_in_it(made):
    space, _, parts, _ = made
    for cell in cells(parts):
        for params in ends(cell):
            assert space.contains(params), params
            assert cell.contains(params), params


@pytest.mark.parametrize("kind", [Float("x", -2.0, 3.0), Float("x", 1e4, 1e4 + 1), Float("x", 1e-8, 10.0, log=True)])
@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9, 1e-11])
def test_narrow_cells_are_told_with_as_many_digits_as_it_takes(kind, width):
    space = SearchSpace((kind,))
    for low in np.random.default_rng(0).random(30) * (1 - width):
        cell = Cell(encoding_of(space), np.array([low]), np.array([low + width]))
        for params in ends(cell):
            assert cell.contains(params), (cell.describe(), width)
        (shown,) = cell.ranges
        true = kind.decode(low + width) - kind.decode(low)
        assert shown[1] - shown[0] > 0.9 * true or width < 1e-10


def test_ranges_are_short_to_read():
    space = SearchSpace((Float("x", 0.0, 1.0), Float("rate", 1e-5, 1e-1, log=True), Int("n", 0, 50_000)))
    cell = Cell(encoding_of(space), np.full(3, 1 / 3), np.full(3, 2 / 3))
    assert cell.describe() == [
        "real, 0.334 to 0.666",
        "real, 0.000216 to 0.004641, log scale",
        "integer, 16667 to 33333",
    ]
    assert whole_space(space).describe() == [p.describe() for p in space.parameters]


def test_a_long_range_with_steps_keeps_its_words_and_its_schema_stays_short():
    space = SearchSpace((Int("n", 0, 3 * MOST_LEVELS, step=2), Int("m", 0, 700, step=7)))
    cell = Cell(encoding_of(space), np.full(2, 0.25), np.full(2, 0.75))
    assert cell.describe()[0].startswith("integer, 3072 to 92")
    assert len(str(cell.schema("array"))) < 500


@given(partitions(), st.sampled_from(["object", "array"]))
def test_what_is_drawn_satisfies_the_schema(made, form):
    """But for reals between the shown ends and those of the cell, which are rounded inwards."""
    space, _, parts, rng = made
    for cell in cells(parts)[:4]:
        schema = cell.schema(form)
        jsonschema.Draft202012Validator.check_schema(schema)
        for params in cell.sample(rng, 1):
            shown = {
                name: params[name] if ends is None else min(ends[1], max(ends[0], params[name]))
                for name, ends in zip(space.names, cell.ranges, strict=True)
            }
            jsonschema.validate(shown if form == "object" else list(shown.values()), schema)


@pytest.mark.parametrize("kind", [k for k in KINDS if not isinstance(k, Choice)], ids=lambda k: repr(k)[:50])
def test_draws_from_the_whole_space_are_the_uniform_ones(kind):
    """The mean of the coordinates, against what the space itself draws: four standard errors."""
    space, rng = SearchSpace((kind,)), np.random.default_rng(0)
    mine = [kind.encode(params["x"]) for params in whole_space(space).sample(rng, 4000)]
    its = [kind.encode(space.sample(rng)["x"]) for _ in range(4000)]
    assert np.mean(mine) == pytest.approx(np.mean(its), abs=4 * np.std(its) * np.sqrt(2 / 4000))


def test_choices_are_put_in_order_by_what_they_gave():
    space = SearchSpace((Choice("act", ("a", "b", "c", "d")),))
    observed = [{"act": act} for act in ("a", "b", "b", "d")]
    encoding = encoding_of(space, observed, [3.0, 0.5, 1.5, float("nan")])
    assert encoding.choices["act"] == (1, 2, 3, 0), "b, then those without a value in the middle, then a"
    parts = partition(space, observed, [3.0, 0.5, 1.5, float("nan")], 2)
    assert "".join(value for cell in cells(parts) for value in cell.held[0]) == "bcda"


def test_scaling_an_axis_scales_the_cells():
    rng = np.random.default_rng(1)
    unit = SearchSpace((Float("a", 0.0, 1.0), Float("b", 0.0, 1.0)))
    wide = SearchSpace((Float("a", -500.0, 500.0), Float("b", 2.0, 2.001)))
    points, losses = rng.random((50, 2)), rng.normal(size=50).tolist()
    for rule in RULES:
        first = partition(unit, [unit.decode(u) for u in points], losses, 3, rule).leaves
        second = partition(wide, [wide.decode(u) for u in points], losses, 3, rule).leaves
        np.testing.assert_allclose(first.lower, second.lower, atol=1e-9)
        np.testing.assert_allclose(first.upper, second.upper, atol=1e-9)


def test_repairs_that_lead_out_of_a_cell_are_drawn_again():
    space = SearchSpace((Float("high", 0.0, 1.0), Float("low", 0.0, 1.0)), (AtLeast("high", "low"),))
    cell = Cell(encoding_of(space), np.array([0.0, 0.0]), np.array([0.5, 1.0]))
    for params in cell.sample(np.random.default_rng(0), 200):
        assert params["low"] <= params["high"] < 0.5


def test_a_narrow_cell_beside_a_repair_can_be_drawn_from():
    """Uniform draws would be raised out of it all but once in a thousand times."""
    space = SearchSpace(
        (Float("high", 0.0, 1.0), Int("low", 0, 1000), Float("lowest", 0.0, 500.0)),
        (AtLeast("high", "low", 1e-3), AtLeast("low", "lowest", 2.0)),
    )
    cell = Cell(encoding_of(space), np.zeros(3), np.array([0.004, 1.0, 1.0]))
    drawn = cell.sample(np.random.default_rng(0), 200)
    assert all(cell.contains(params) for params in drawn)
    assert {params["low"] for params in drawn} == {1, 2, 3}


@pytest.mark.parametrize("choices", [(16, 32, 64), (0.9, 0.5, 0.1)])
def test_numbers_in_order_stay_in_order(choices):
    space = SearchSpace((Choice("n", choices),))
    observed = [{"n": choice} for choice in choices]
    assert encoding_of(space, observed, [1.0, 0.0, 2.0]).choices["n"] == (0, 1, 2)


@pytest.mark.parametrize("choices", [(16, 64, 32), ("a", "b", "c"), (False, True, 2)])
def test_other_choices_do_not(choices):
    space = SearchSpace((Choice("n", choices),))
    observed = [{"n": choice} for choice in choices]
    assert encoding_of(space, observed, [1.0, 0.0, 2.0]).choices["n"] == (1, 0, 2)
