"""HW-GPT-Bench's tasks: what they need no data for, and, where the nets are at hand, the published values."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hwgpt_data import MISSING, hwgpt_folder
from hypothesis import given
from hypothesis import strategies as st

from agentopt.errors import UsageError
from agentopt.pareto import hypervolume
from agentopt.problems.hwgpt import DEFAULT, SCALES, canonical, hwgpt_space, positions
from agentopt.problems.hwgpt_devices import CALIBRATED, DEVICES, Load, calibrate
from agentopt.problems.hwgpt_nets import NETS, RANGES, VARIABLE, WEIGHTS, one_hot, scaled
from agentopt.task import load_task
from agentopt.trial import Status

needs_data = pytest.mark.skipif(hwgpt_folder() is None, reason=MISSING)
LETTERS = tuple(SCALES)


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(hwgpt_folder()))


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Nets and ranges of the right shapes with random numbers, so that no data is needed."""
    rng, arrays = np.random.default_rng(0), {}
    for letter, scale in SCALES.items():
        for key in NETS.values():
            first = 8 + 6 * scale.most if key == "perplexity" else 3 + 2 * scale.most
            widths = [first, 128, 128, 128, 128, 1]
            for i in range(5):
                name = f"{key}/{letter}/fc{i + 1}"
                arrays[f"{name}.weight"] = rng.standard_normal((widths[i + 1], widths[i])).astype(np.float32) / 10
                arrays[f"{name}.bias"] = np.full(widths[i + 1], 0.5, dtype=np.float32)
    np.savez(tmp_path / WEIGHTS, **arrays)
    ranges = {
        f"n_{kind}_{letter}_{device}": {"min": 10.0, "max": 100.0}
        for kind in ("latencies", "energies")
        for letter in SCALES
        for device in DEVICES
    }
    (tmp_path / RANGES).write_text(json.dumps(ranges))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def refused(name, **options):
    with pytest.raises(UsageError) as caught:
        load_task(name, **options)
    return str(caught.value)


def extreme(scale, *, largest):
    """The architecture with the highest value everywhere and biases, or the lowest and none."""
    numbers = {p.name: (p.high if largest else p.low) for p in hwgpt_space(scale).parameters[:-1]}
    return {**numbers, "bias": largest}


def rows(letter, params):
    scale = SCALES[letter]
    return np.array([positions(scale, hwgpt_space(scale), params)])


@pytest.mark.parametrize("letter", LETTERS)
def test_layers_that_are_not_there_change_nothing(letter, made_up):
    task, rng = load_task(f"hwgpt-{letter}"), np.random.default_rng(0)
    scale = SCALES[letter]
    for depth in scale.layers:
        one, other = ({**task.space.sample(rng), "n_layers": depth} for _ in range(2))
        present = {f"{name}_{i}" for i in range(1, depth + 1) for name in ("mlp_ratio", "heads")}
        shared = present | {"embedding", "bias", "n_layers"}
        other |= {f"mlp_ratio_{scale.most}": 2 if one[f"mlp_ratio_{scale.most}"] != 2 else 3}
        other |= {name: one[name] for name in shared}
        assert task.evaluate(one) == task.evaluate(other)
        assert task.repair(one) == task.repair(other)
        assert task.evaluate(task.repair(one)) == task.evaluate(one)
        assert all(task.repair(one)[name] == one[name] for name in shared)
        assert (one == other) == (depth == scale.most)
    changed = {**one, "mlp_ratio_1": 2 if one["mlp_ratio_1"] != 2 else 3}
    assert task.evaluate(changed) != task.evaluate(one)


@given(st.sampled_from(LETTERS), st.integers(0, 2**32 - 1))
def test_the_repair_is_idempotent_and_leaves_its_argument_alone(letter, seed):
    scale = SCALES[letter]
    params = hwgpt_space(scale).sample(np.random.default_rng(seed))
    repaired = canonical(scale)(dict(params))
    assert canonical(scale)(dict(repaired)) == repaired
    assert hwgpt_space(scale).contains(repaired)


def test_an_architecture_as_the_nets_take_it():
    params = {
        **{f"mlp_ratio_{i}": (2, 3, 4)[i % 3] for i in range(1, 13)},
        **{f"heads_{i}": (4, 8, 12)[i % 3] for i in range(1, 13)},
        "embedding": 384,
        "n_layers": 10,
        "bias": True,
    }
    (plain,) = scaled(rows("s", params), SCALES["s"].embeddings)
    assert plain[:2] == pytest.approx([1 / 3, 0.0])
    assert plain[2:14].tolist() == plain[14:26].tolist() == [0.5, 1, 0, 0.5, 1, 0, 0.5, 1, 0, 0.5, -1, -1]
    assert plain[26] == 1
    (hot,) = one_hot(rows("s", params))
    assert len(hot) == 80
    assert hot[:9].tolist() == [0, 1, 0, 1, 0, 0, 0, 1, 0]
    assert hot[-2:].tolist() == [1, 0]
    assert hot.sum() == 2 + 2 * 10 + 1
    assert one_hot(rows("s", {**params, "bias": False}))[0, -2:].tolist() == [0, 1]


@pytest.mark.parametrize("letter", LETTERS)
def test_the_default_is_perplexity_and_memory_and_the_rest_is_reported(letter, made_up):
    task = load_task(f"hwgpt-{letter}")
    assert tuple(o.name for o in task.objectives) == DEFAULT
    assert [o.direction for o in task.objectives] == ["minimize", "minimize"]
    assert task.best_known is not None
    assert len(task.space) == 3 + 2 * SCALES[letter].most
    outcome = task.evaluate(task.space.sample(np.random.default_rng(0)))
    assert outcome.status is Status.COMPLETE
    assert set(outcome.metrics) == {"parameters", "flops"}
    assert CALIBRATED not in task.describe()


def test_latency_and_energy_are_said_to_be_calibrated(made_up):
    task = load_task("hwgpt-s", objectives="perplexity,latency-h100, energy-cpu_amd_7502")
    assert [o.name for o in task.objectives] == ["perplexity", "latency-h100", "energy-cpu_amd_7502"]
    assert "latency-h100 (ms on h100; calibrated, not measured)" in task.describe()
    assert "energy-cpu_amd_7502 (Wh on cpu_amd_7502; calibrated, not measured)" in task.describe()
    assert task.facts[CALIBRATED].startswith("latency-h100, energy-cpu_amd_7502")
    assert (task.best_known, task.objectives[1].reference) == (None, 105.0)


@given(st.floats(0.1, 50), st.floats(1.05, 20), st.integers(10, 40), st.floats(0.1, 3), st.floats(2, 20))
def test_a_calibrated_cost_meets_the_published_range(low, ratio, layers, flops, growth):
    smallest, largest = Load(layers, flops), Load(layers + 2, flops * growth)
    cost = calibrate(low, low * ratio, smallest, largest)
    assert cost(largest) == pytest.approx(low * ratio)
    assert min(cost.per_layer, cost.per_flop) >= 0
    if cost.per_layer > 0:
        assert cost(smallest) == pytest.approx(low)
    else:
        assert cost(smallest) == pytest.approx(low * ratio / growth)


@pytest.mark.parametrize("low", [-200.0, 0.0])
def test_a_published_minimum_that_cannot_be_is_not_met(low):
    cost = calibrate(low, 3500.0, Load(34, 0.1), Load(36, 1.8))
    assert cost(Load(36, 1.8)) == pytest.approx(3500)
    assert cost(Load(34, 0.1)) > 0


def test_without_the_file_it_is_said_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "here"))
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    said = refused("hwgpt-s")
    for part in (
        WEIGHTS,
        str(tmp_path / "here"),
        str(tmp_path / "cache"),
        "automl/HW-GPT-Bench",
        "README.md",
        VARIABLE,
    ):
        assert part in said
    monkeypatch.delenv(VARIABLE)
    assert WEIGHTS in refused("hwgpt-m")


def test_the_file_is_found_in_the_cache(made_up, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    made_up.joinpath(WEIGHTS).rename(tmp_path / "moved")
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "data").mkdir()
    (tmp_path / "moved").rename(tmp_path / "cache" / "data" / WEIGHTS)
    assert load_task("hwgpt-s").evaluate(extreme(SCALES["s"], largest=True)).status is Status.COMPLETE
    monkeypatch.delenv(VARIABLE)
    assert load_task("hwgpt-l").name == "hwgpt-l"
    assert RANGES in refused("hwgpt-s", objectives="latency-h100")


def _truncated(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5000])


def _without_a_layer(folder):
    with np.load(folder / WEIGHTS) as file:
        arrays = {key: file[key] for key in file.files if key != "perplexity/s/fc3.weight"}
    np.savez(folder / WEIGHTS, **arrays)


def _of_another_scale(folder):
    with np.load(folder / WEIGHTS) as file:
        arrays = dict(file)
    arrays["params/s/fc1.weight"] = arrays["params/m/fc1.weight"]
    np.savez(folder / WEIGHTS, **arrays)


def _pickled(folder):
    np.save(folder / "a.npy", np.array([print]), allow_pickle=True)
    (folder / "a.npy").rename(folder / WEIGHTS)


@pytest.mark.parametrize("spoil", [_truncated, _without_a_layer, _of_another_scale, _pickled])
def test_a_file_that_holds_something_else_is_refused(spoil, made_up):
    spoil(made_up)
    said = refused("hwgpt-s")
    assert str(made_up / WEIGHTS) in said
    assert "README.md" in said


@pytest.mark.parametrize("content", ["{}", '{"n_latencies_s_h100": {"min": 1}}', "[", '{"n_latencies_s_h100": 3}'])
def test_ranges_that_cannot_be_read_are_refused(content, made_up):
    (made_up / RANGES).write_text(content)
    assert str(made_up / RANGES) in refused("hwgpt-s", objectives="perplexity,latency-h100")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hwgpt", {}, "Known: hwgpt-l, hwgpt-m, hwgpt-s"),
        ("hwgpt-xl", {}, "Did you mean 'hwgpt-"),
        ("hwgpt-s", {"objectives": "perplexity,latency-h10"}, "Did you mean 'latency-h100'"),
        ("hwgpt-s", {"objectives": "ppl"}, "Unknown objective of task hwgpt-s"),
        ("hwgpt-s", {"objectives": "memory,memory"}, "one or more different ones"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_one(name, options, said, made_up):
    assert said in refused(name, **options)


# The values that the authors' own nets gave: perplexity, MB, millions, 10^12 operations.
LARGEST = {"perplexity": 21.30, "memory": 1041, "parameters": 178.6, "flops": 2.34}
SMALLEST = {"perplexity": 43.02, "memory": 93.6, "parameters": 18.9, "flops": 0.212}
ROUNDED = {"perplexity": 0.01, "memory": 0.5, "parameters": 0.06, "flops": 0.006}


@needs_data
@pytest.mark.parametrize(("largest", "stored"), [(True, LARGEST), (False, SMALLEST)])
def test_the_largest_and_the_smallest_architecture_have_the_stored_values(largest, stored, data):
    task = load_task("hwgpt-s", objectives=list(stored))
    found = task.evaluate(extreme(SCALES["s"], largest=largest)).values
    for value, (name, expected) in zip(found, stored.items(), strict=True):
        assert value == pytest.approx(expected, abs=ROUNDED[name])


@needs_data
def test_the_published_ranges_of_perplexity_are_those_of_the_net(data):
    published = json.loads((hwgpt_folder() / RANGES).read_text())
    for letter, scale in SCALES.items():
        task, rng = load_task(f"hwgpt-{letter}"), np.random.default_rng(0)
        found = [task.evaluate(task.space.sample(rng)).values[0] for _ in range(200)]
        known = published[f"max_min_stats_perplexity_{letter}"]
        assert known["min"] - 0.2 < min(found) < max(found) < known["max"] + 0.2
        assert task.evaluate(extreme(scale, largest=True)).values[0] == pytest.approx(known["min"], abs=0.5)


@needs_data
@pytest.mark.parametrize("letter", LETTERS)
def test_a_thousand_evaluations_take_less_than_two_seconds(letter, data):
    task, rng = load_task(f"hwgpt-{letter}"), np.random.default_rng(0)
    points = [task.space.sample(rng) for _ in range(1000)]
    began = time.process_time()
    found = [task.evaluate(params).values for params in points]
    assert time.process_time() - began < 2
    share = hypervolume(found, [o.reference for o in task.objectives]) / task.best_known
    assert 0.75 < share < 0.98
    if letter == "s":  # measured by others in the box of 24 x 1020 above the reference: 0.651, sd 0.003
        assert share * task.best_known / (24 * 1020) == pytest.approx(0.651, abs=0.01)


@needs_data
@pytest.mark.parametrize("letter", LETTERS)
def test_every_device_has_a_latency_and_an_energy_that_grow_with_the_model(letter, data):
    scale = SCALES[letter]
    names = [f"{kind}-{device}" for kind in ("latency", "energy") for device in DEVICES]
    task = load_task(f"hwgpt-{letter}", objectives=names)
    low = task.evaluate(extreme(scale, largest=False)).values
    high = task.evaluate(extreme(scale, largest=True)).values
    published = json.loads((hwgpt_folder() / RANGES).read_text())
    kinds = {"latency": "latencies", "energy": "energies"}
    met = 0
    for name, lowest, highest in zip(names, low, high, strict=True):
        kind, device = name.split("-")
        known = published[f"n_{kinds[kind]}_{letter}_{device}"]
        assert 0 < lowest < highest
        assert highest == pytest.approx(known["max"])
        met += lowest == pytest.approx(known["min"])
    assert met >= len(names) // 2
