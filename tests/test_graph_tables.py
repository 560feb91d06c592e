"""The tables of NAS-Bench-Graph: beside the package they come from, and pickles that are not what they should be."""

from __future__ import annotations

import importlib.util
import os
import pickle

import numpy as np
import pytest

from agentopt import tables
from agentopt.errors import UsageError
from agentopt.pareto import hypervolume
from agentopt.protocols import stated_reference
from agentopt.suites import SUITES
from agentopt.tables.pickles import read_pickle
from agentopt.task import import_code, load_task, task_folders
from agentopt.trial import Status

needs_graphs = pytest.mark.skipif(importlib.util.find_spec("nas_bench_graph") is None, reason="needs nas-bench-graph")
FOLDER = task_folders()["nbgraph"]
CORA_BEST = 0.8193333333333334
"""The highest validation accuracy in the table of Cora."""


def _params(structure, *ops):
    return {"structure": "-".join(map(str, structure)), **{f"op{i}": op for i, op in enumerate(ops, 1)}}


def _theirs(data):
    from nas_bench_graph import light_read

    return light_read(data)


@needs_graphs
def test_the_best_of_cora_is_known():
    task = load_task("nbgraph-cora")
    (objective,) = task.objectives
    assert (objective.name, objective.direction) == ("accuracy", "maximize")
    assert task.optimum == CORA_BEST == max(entry["valid_perf"] for entry in _theirs("cora").values())
    found = task.evaluate(task.best_params)
    assert found.values == (CORA_BEST,)
    assert set(found.metrics) == {"latency", "parameters", "test_accuracy"}
    assert task.median < task.optimum


@needs_graphs
@pytest.mark.parametrize("name", SUITES["nbgraph"])
def test_every_network_has_the_packages_entry_and_the_known_values_are_those_of_the_table(name):
    from nas_bench_graph import Arch

    data = name.removeprefix("nbgraph-")
    table, theirs, task = import_code(str(FOLDER / "task.py")).TABLES[data], _theirs(data), load_task(name)
    assert tables.read_known(FOLDER / tables.KNOWN_FILE)[data] == tables.extremes(table)
    assert task.optimum == max(entry["valid_perf"] for entry in theirs.values())
    assert np.isnan(tables.read_table(table)["accuracy"]).sum() == 9, "one for each structure: skip on all four nodes"
    rng = np.random.default_rng(0)
    for _ in range(30):
        params = task.space.sample(rng)
        structure, *ops = params.values()
        entry = theirs[Arch([int(node) for node in structure.split("-")], ops).valid_hash()]
        found = task.evaluate(params)
        assert (*found.values, found.metrics["latency"]) == (entry["valid_perf"], entry["latency"])
        assert (found.metrics["parameters"], found.metrics["test_accuracy"]) == (entry["para"], entry["perf"])


@needs_graphs
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_params([0, 0, 0, 0], "gcn", "fc", "gat", "sage"), _params([0, 0, 0, 0], "sage", "gat", "fc", "gcn")),
        (_params([0, 1, 2, 2], "gcn", "fc", "gat", "sage"), _params([0, 1, 2, 2], "gcn", "fc", "sage", "gat")),
        (_params([0, 0, 1, 2], "gcn", "fc", "gat", "sage"), _params([0, 0, 1, 2], "fc", "gcn", "sage", "gat")),
        (_params([0, 1, 2, 3], "skip", "gcn", "gat", "fc"), _params([0, 1, 2, 3], "gcn", "gat", "skip", "fc")),
    ],
)
def test_networks_that_compute_the_same_have_the_same_values(one, other):
    task = load_task("nbgraph-cora", objectives="accuracy,latency,parameters")
    assert task.evaluate(one) == task.evaluate(other)
    assert task.evaluate(one).status is Status.COMPLETE


@needs_graphs
def test_a_network_without_an_entry_fails_in_words():
    found = load_task("nbgraph-proteins").evaluate(_params([0, 1, 2, 3], *["skip"] * 4))
    assert found.status is Status.FAILED
    assert "no entry for" in found.error


@needs_graphs
def test_the_front_of_a_maximised_and_a_minimised_objective_has_the_stated_hypervolume():
    task = load_task("nbgraph-cora", objectives=["accuracy", "parameters"])
    entries = np.array([(entry["valid_perf"], entry["para"]) for entry in _theirs("cora").values()])
    front = np.array(task.front())
    assert front[:, 0].max() == CORA_BEST
    for accuracy, parameters in front:
        better = (entries[:, 0] >= accuracy) & (entries[:, 1] <= parameters)
        assert np.array_equal(np.unique(entries[better], axis=0), [[accuracy, parameters]])
    table = import_code(str(FOLDER / "task.py")).TABLES["cora"]
    assert tables.hypervolumes(table)["accuracy,parameters"] == task.optimum
    losses = entries * [-1.0, 1.0]
    assert hypervolume(losses, stated_reference(task.objectives)) == pytest.approx(task.optimum, rel=1e-12)


@needs_graphs
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nbgraph", {}, "Did you mean 'nbgraph-"),
        ("nbgraph-coral", {}, "Did you mean 'nbgraph-cora'"),
        ("nbgraph-cora", {"objectives": "loss"}, "Known: accuracy, latency, parameters"),
    ],
)
def test_a_wrong_name_or_objective_is_refused_with_the_fix(name, options, said):
    with pytest.raises(UsageError) as caught:
        load_task(name, **options)
    assert said in str(caught.value)


class Evil:
    """Runs a command where its pickle is read by the standard library."""

    def __init__(self, folder):
        self.command = f"touch {folder / 'owned'}"

    def __reduce__(self):
        return os.system, (self.command,)


def _read(tmp_path, value):
    path = tmp_path / "bad.bench"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))
    return read_pickle(path, "some-package")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({0: print}, r"names \w+\.print"),
        ({0: np.array([1.0])}, "names numpy.*_reconstruct"),
        ({0: np.float32(1)}, "numbers of the type 'f4'"),
        ({0: np.dtype("O")}, "numbers of the type 'O8'"),
        ({0: np.dtype(">f8")}, "byte order '>'"),
        ([1.0], "it holds a list"),
        (pickle.dumps({0: 1.0})[:-3], "truncated|ran out"),
        (b"not a pickle at all", "invalid load key"),
    ],
)
def test_a_pickle_that_is_no_plain_table_is_refused(tmp_path, value, said):
    with pytest.raises(UsageError, match=rf"bad\.bench of some-package cannot be read .*({said}).*agentopt\[bench\]"):
        _read(tmp_path, value)


def test_an_evil_pickle_runs_nothing(tmp_path):
    with pytest.raises(UsageError, match=r"names (posix|nt)\.system"):
        _read(tmp_path, {0: Evil(tmp_path)})
    assert not (tmp_path / "owned").exists()


def test_numbers_of_numpy_are_read_as_they_are(tmp_path):
    assert _read(tmp_path, {1: {"a": np.float64(0.1), "b": 2.5}}) == {1: {"a": 0.1, "b": 2.5}}
