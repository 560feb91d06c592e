"""The search space: values and coordinates are each other's picture, and a wrong definition says what is wrong."""

from __future__ import annotations

import json
import math
import warnings

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentopt.errors import UsageError
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace, as_space

UNIT = st.floats(0, 1)
REAL = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def floats(draw, name="x"):
    kind = draw(st.sampled_from(["plain", "log", "values"]))
    if kind == "values":
        return Float(name, values=tuple(sorted(draw(st.sets(REAL, min_size=2, max_size=8)))))
    if kind == "log":
        low = draw(st.floats(1e-9, 1e3))
        return Float(name, low, low * draw(st.floats(1.01, 1e6)), log=True)
    low = draw(REAL)
    return Float(name, low, low + draw(st.floats(1e-3, 1e6)))


@st.composite
def integers(draw, name="n"):
    kind = draw(st.sampled_from(["plain", "log", "step", "powers", "values"]))
    if kind == "values":
        return Int(name, values=tuple(sorted(draw(st.sets(st.integers(-1000, 1000), min_size=2, max_size=8)))))
    if kind == "powers":
        base = draw(st.integers(2, 10))
        first = draw(st.integers(0, 3))
        last = first + draw(st.integers(1, 5))
        return Int(name, base**first, base**last, powers_of=base)
    low = draw(st.integers(1 if kind == "log" else -1000, 1000))
    step = draw(st.integers(2, 7)) if kind == "step" else 1
    return Int(name, low, low + draw(st.integers(step, 3000)), log=kind == "log", step=step)


CHOICE_VALUES = st.booleans() | st.integers(2, 9) | st.sampled_from([0.25, 2.5, "", "a", "B c", "ü", "1", "True"])


@st.composite
def choices(draw, name="c"):
    return Choice(name, tuple(draw(st.lists(CHOICE_VALUES, min_size=2, max_size=6, unique_by=repr))))


PARAMETERS = floats() | integers() | choices()
SPACES = st.lists(st.sampled_from([floats, integers, choices]), min_size=1, max_size=6).flatmap(
    lambda kinds: st.tuples(*(kind(f"p{i}") for i, kind in enumerate(kinds))).map(SearchSpace)
)


@given(PARAMETERS, UNIT)
def test_a_decoded_value_is_admissible_and_encodes_to_where_it_came_from(parameter, u):
    value = parameter.decode(u)
    again = parameter.decode(parameter.encode(value))
    assert parameter.clip(value) == value
    assert 0 <= parameter.encode(value) <= 1
    if parameter.levels is None:
        assert math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-9 * (parameter.high - parameter.low))
    else:
        assert again == value
        assert type(again) is type(value)


@given(PARAMETERS)
def test_the_edges_of_the_cube_are_the_edges_of_the_range(parameter):
    low, high = parameter.decode(0.0), parameter.decode(1.0)
    assert (parameter.decode(-3.0), parameter.decode(7.0)) == (low, high)
    if parameter.levels is None:
        assert math.isclose(low, parameter.low, rel_tol=1e-12)
        assert math.isclose(high, parameter.high, rel_tol=1e-12)
    elif not isinstance(parameter, Choice):
        assert (low, high) == (parameter.grid[0], parameter.grid[-1])
    else:
        assert (low, high) == (parameter.choices[0], parameter.choices[-1])


@given(integers() | choices())
def test_every_level_has_a_coordinate_and_they_are_in_order(parameter):
    levels = parameter.choices if isinstance(parameter, Choice) else parameter.grid
    step = max(1, len(levels) // 50)
    points = [parameter.encode(level) for level in levels[::step]]
    assert [parameter.decode(u) for u in points] == list(levels[::step])
    assert points == sorted(set(points))
    assert parameter.levels == len(levels)


@given(integers(), REAL)
def test_clipping_an_integer_gives_the_nearest_level_and_ties_go_down(parameter, x):
    expected = min(parameter.grid, key=lambda level: (abs(level - x), level))
    assert parameter.clip(x) == expected


@given(floats(), REAL)
def test_clipping_a_real_gives_the_nearest_value(parameter, x):
    if parameter.grid is None:
        assert parameter.clip(x) == min(max(x, parameter.low), parameter.high)
    else:
        clipped = parameter.clip(x)
        assert clipped in parameter.grid
        inside = min(max(x, parameter.low), parameter.high)
        assert abs(clipped - inside) == min(abs(level - inside) for level in parameter.grid)


def test_listed_values_have_equal_cells_and_the_range_follows_from_them():
    rate, size = Float("rate", values=(1e-8, 0.001, 1)), Int("size", values=[4, 6, 10, 16])
    assert (rate.low, rate.high, rate.levels, rate.grid) == (1e-8, 1.0, 3, (1e-8, 0.001, 1.0))
    assert (size.low, size.high, size.levels, size.grid) == (4, 16, 4, (4, 6, 10, 16))
    assert [rate.encode(v) for v in rate.grid] == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert [size.decode(u) for u in (0.0, 0.24, 0.26, 0.51, 0.76, 1.0)] == [4, 4, 6, 10, 16, 16]
    assert [size.clip(x) for x in (0, 5, 5.01, 8, 13, 99)] == [4, 4, 6, 6, 10, 16]
    assert rate.clip(0.4) == 0.001
    assert Float("rate", 1e-8, 1, values=(1e-8, 0.001, 1)) == rate
    assert rate.schema() == {"type": "number", "enum": [1e-8, 0.001, 1.0]}
    assert size.schema() == {"type": "integer", "enum": [4, 6, 10, 16]}
    assert rate.describe() == "one of 1e-08, 0.001, 1.0"
    assert size.describe() == "one of 4, 6, 10, 16"


def test_a_repair_raises_a_listed_number_to_one_that_is_enough():
    space = SearchSpace((Float("a", values=(0.1, 0.5, 2.0)), Float("b", 0, 3)), (AtLeast("a", "b"),))
    assert space.repair({"a": 0.1, "b": 0.6})["a"] == 2.0
    assert space.repair({"a": 0.1, "b": 2.5})["a"] == 2.0


def test_optuna_is_told_the_positions_of_listed_values_and_of_powers():
    space = as_space([Float("a", values=(0.1, 0.5, 2.0)), Int("n", values=(3, 7)), Int("p", 2, 64, powers_of=2)])
    space = as_space([*space.parameters, Float("x", 0, 1), Int("s", 0, 30, step=10)])
    distributions = space.to_optuna()
    assert [(d.low, d.high) for d in distributions.values()] == [(0, 2), (0, 1), (0, 5), (0.0, 1.0), (0, 30)]
    params = {"a": 2.0, "n": 3, "p": 16, "x": 0.25, "s": 20}
    assert space.optuna_params(params) == {"a": 2, "n": 0, "p": 3, "x": 0.25, "s": 20}
    assert space.from_optuna(space.optuna_params(params)) == params


@pytest.mark.parametrize("parameter", [Float("x", 0, 1), Int("x", 0, 9)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "3", None, True, [1], 10**400, 1j])
def test_what_is_no_finite_number_is_refused_by_name(parameter, value):
    with pytest.raises(ValueError, match=r"^x: "):
        parameter.clip(value)
    assert not SearchSpace((parameter,)).contains({"x": value})


def test_a_choice_tells_true_from_one_and_takes_one_for_one_point_zero():
    choice = Choice("c", (True, 1, "1"))
    assert [choice.index(v) for v in (True, 1, 1.0, "1")] == [0, 1, 1, 2]
    with pytest.raises(ValueError, match="c: 'x' is not one of True, 1, 1"):
        choice.clip("x")


@given(SPACES, st.integers(0, 2**32 - 1))
def test_samples_are_members_in_every_form(space, seed):
    params = space.sample(np.random.default_rng(seed))
    written = json.loads(json.dumps(params))
    assert space.contains(params)
    assert space.contains(written)
    assert space.complete(dict(reversed(written.items()))) == params
    assert tuple(space.complete(written)) == space.names
    jsonschema.validate(written, space.json_schema())
    jsonschema.validate(list(written.values()), space.json_schema("array"), cls=jsonschema.Draft202012Validator)
    assert space.encode(params).shape == (len(space),)
    assert space.key(params) == space.key(space.complete(written))


@given(SPACES)
def test_json_brings_a_space_back(space):
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@given(SPACES, st.integers(0, 2**32 - 1), st.data())
def test_the_schema_refuses_what_is_no_member(space, seed, data):
    params = space.sample(np.random.default_rng(seed))
    name = data.draw(st.sampled_from(space.names))
    outside = {
        Float: lambda p: p.high + abs(p.high) + 1,
        Int: lambda p: p.high + 1,
        Choice: lambda _: "no such choice",
    }
    wrong = {**params, name: outside[type(space[name])](space[name])}
    for bad in (wrong, {**params, "more": 1}, {k: v for k, v in params.items() if k != name}):
        assert not space.contains(bad)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, space.json_schema())


@given(SPACES, st.integers(0, 2**32 - 1))
def test_optuna_admits_every_sample(space, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distributions = space.to_optuna()
    sample = space.sample(np.random.default_rng(seed))
    params = space.optuna_params(sample)
    assert space.from_optuna(params) == sample
    assert tuple(distributions) == tuple(params) == space.names
    for name, distribution in distributions.items():
        assert distribution._contains(distribution.to_internal_repr(params[name])), (name, params[name], distribution)
        assert distribution.to_external_repr(distribution.to_internal_repr(params[name])) == params[name]


@st.composite
def repaired_spaces(draw):
    names = ("a", "b", "c", "d")
    parameters = tuple(
        draw(st.sampled_from([Float(n, 0, 10), Int(n, 0, 12), Int(n, 1, 64, powers_of=2)])) for n in names
    )
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=4))
    rules = tuple(AtLeast(max(p), min(p), draw(st.sampled_from([0.5, 1.0, 1.5, 3.0]))) for p in pairs if p[0] != p[1])
    return SearchSpace(parameters, tuple(draw(st.permutations(rules))))


@given(repaired_spaces(), st.lists(UNIT, min_size=4, max_size=4))
def test_repairs_are_kept_idempotent_and_inside(space, u):
    params = space.decode(u)
    given_params = dict(params)
    repaired = space.repair(params)
    assert params == given_params
    assert space.contains(repaired)
    assert space.repair(repaired) == repaired
    for rule in space.repairs:
        parameter, least = space[rule.name], rule.times * repaired[rule.other]
        top = parameter.high if isinstance(parameter, Float) else parameter.grid[-1]
        assert repaired[rule.name] >= min(least, top)


def test_a_chain_of_repairs_holds_in_any_order():
    rules = (AtLeast("a", "b"), AtLeast("b", "c"))
    for order in (rules, rules[::-1]):
        space = SearchSpace((Int("a", 0, 9), Int("b", 0, 9), Int("c", 0, 9)), order)
        assert space.repair({"a": 0, "b": 0, "c": 5}) == {"a": 5, "b": 5, "c": 5}


def test_a_repair_raises_an_integer_to_a_level_that_is_enough():
    space = SearchSpace((Int("a", 1, 64, powers_of=2), Float("b", 0, 100)), (AtLeast("a", "b"),))
    assert space.repair({"a": 1, "b": 5.0})["a"] == 8
    assert space.repair({"a": 1, "b": 90.0})["a"] == 64
    assert "b" in space.repairs[0].describe()


BAD = {
    "low (1) must be below high (1)": lambda: Float("x", 1, 1),
    "low (2) must be below high (1)": lambda: Int("x", 2, 1),
    "a log scale needs low above 0": lambda: Float("x", 0, 1, log=True),
    "default 3 is outside [0, 1]": lambda: Float("x", 0, 1, default=3),
    "fewer than two values": lambda: Int("x", 3, 5, powers_of=4),
    "default 5 is not one of its values": lambda: Int("x", 1, 64, powers_of=2, default=5),
    "step and powers_of": lambda: Int("x", 1, 64, powers_of=2, step=2),
    "step and log": lambda: Int("x", 1, 64, log=True, step=2),
    "give low and high, or values": lambda: Float("x", 0),
    "Int 'x': give low and high, or values": lambda: Int("x"),
    "values must ascend": lambda: Float("x", values=(1, 3, 2)),
    "Int 'x': values must ascend": lambda: Int("x", values=(1, 2, 2, 3)),
    "first and the last of values": lambda: Int("x", 0, 9, values=(1, 2, 9)),
    "values and log": lambda: Float("x", values=(1, 2), log=True),
    "values cannot be given with step": lambda: Int("x", values=(1, 2), step=2),
    "default 1.5 is not one of its values": lambda: Float("x", values=(1, 2), default=1.5),
    "default 3 is not one of its values": lambda: Int("x", values=(1, 2, 4), default=3),
    "needs two values or more": lambda: Choice("x", ("a",)),
    "has a value twice": lambda: Choice("x", (1, 1.0)),
    "default 'z' is not one of its choices": lambda: Choice("x", ("a", "b"), default="z"),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_parameter_is_refused_with_its_name_and_the_field(message):
    with pytest.raises(ValidationError) as caught:
        BAD[message]()
    assert message in str(caught.value)
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Float("x y", 0, 1), "name"),
        (lambda: Float("", 0, 1), "name"),
        (lambda: Float("x", math.nan, 1), "low"),
        (lambda: Float("x", 0, math.inf), "high"),
        (lambda: Int("x", 0.5, 3), "low"),
        (lambda: Int("x", 0, 3, step=0), "step"),
        (lambda: Int("x", 0, 3, powers_of=1), "powers_of"),
        (lambda: Int("x", values=(1, 2.5)), "values"),
        (lambda: Float("x", values=(1, math.inf)), "values"),
        (lambda: Float("x", values=()), "values"),
        (lambda: Int("x", values=(1,)), "values"),
        (lambda: Int("x", values=3), "values"),
        (lambda: Choice("x", "ab"), "choices"),
        (lambda: AtLeast("x", "y", 0), "times"),
        (lambda: Float("x", 0, 1, lgo=True), "lgo"),
    ],
)
def test_a_bad_field_is_named(make, field):
    with pytest.raises(ValidationError) as caught:
        make()
    assert field in [str(place) for error in caught.value.errors() for place in error["loc"]]


@pytest.mark.parametrize(
    ("parameters", "repairs", "message"),
    [
        ((), (), "no parameter"),
        ((Float("x", 0, 1), Int("x", 0, 1)), (), "two parameters named 'x'"),
        ((Float("x", 0, 1),), (AtLeast("x", "y"),), "names 'y', which is not a parameter"),
        ((Float("x", 0, 1), Int("n", 0, 9)), (AtLeast("x", "x", 2),), "compares 'x' with itself"),
        ((Float("x", 0, 1), Choice("c", ("a", "b"))), (AtLeast("x", "c"),), "'c', which is a choice"),
    ],
)
def test_a_bad_space_is_refused(parameters, repairs, message):
    with pytest.raises(ValidationError, match=message):
        SearchSpace(parameters, repairs)


def test_a_configuration_with_a_wrong_name_or_value_is_refused_with_the_fix():
    space = as_space([Float("rate", 0, 1), Int("depth", 1, 9), Choice("kind", ("a", "b"))])
    good = {"rate": 0.5, "depth": 2, "kind": "a"}
    with pytest.raises(UsageError, match=r"Unknown parameter 'rat'. Did you mean 'rate'"):
        space.complete({**good, "rat": 1})
    with pytest.raises(UsageError, match="lacks depth, kind"):
        space.complete({"rate": 0.5})
    with pytest.raises(UsageError, match="kind: 'c' is not one of a, b"):
        space.complete({**good, "kind": "c"})
    assert space.complete({**good, "rate": 7, "depth": 2.6}) == {"rate": 1.0, "depth": 3, "kind": "a"}
    assert as_space(space) is space
    with pytest.raises(KeyError):
        space["nothing"]


def test_defaults_are_there_when_every_parameter_has_one():
    first, second = Float("x", 0, 1, default=0.25), Int("n", 0, 9, default=0)
    assert SearchSpace((first, second)).defaults() == {"x": 0.25, "n": 0}
    assert SearchSpace((first, Int("n", 0, 9))).defaults() is None
    assert SearchSpace((first, second), (AtLeast("n", "x", 8),)).defaults() == {"x": 0.25, "n": 2}


def test_samples_are_uniform_in_the_cube():
    space = as_space([Float("x", 1e-4, 1, log=True), Int("n", 1, 4), Choice("c", ("a", "b", "c"))])
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(4000)]
    assert abs(sum(p["x"] < 1e-2 for p in drawn) / 4000 - 0.5) < 0.03
    assert all(abs(sum(p["n"] == n for p in drawn) / 4000 - 0.25) < 0.03 for n in (1, 2, 3, 4))
    assert all(abs(sum(p["c"] == c for p in drawn) / 4000 - 1 / 3) < 0.03 for c in "abc")


def test_every_parameter_describes_itself():
    texts = [p.describe() for p in (Float("x", 0, 1, log=False), Int("n", 1, 8, powers_of=2), Choice("c", ("a", 1)))]
    assert texts == ["real, 0 to 1", "one of 1, 2, 4, 8", "one of a, 1"]
    assert Int("n", 0, 100, step=10).describe() == "integer, 0 to 100, in steps of 10"
    assert Float("x", 1e-4, 1, log=True).describe() == "real, 0.0001 to 1, log scale"


def test_a_range_that_overflows_is_refused():
    with pytest.raises(ValueError, match="too wide"):
        Float("x", -1.7e308, 1.7e308)
