"""The tables of NAS-Bench-Graph in the package nas-bench-graph: networks for graphs by structure and operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import ClassVar

import numpy as np

from agentopt.protocols import Objective
from agentopt.space import Choice, SearchSpace
from agentopt.tables.pickles import package_folder, read_pickle
from agentopt.tables.table import Columns, levels_of

STRUCTURES = ("0-0-0-0", "0-0-0-1", "0-0-1-1", "0-0-1-2", "0-0-1-3", "0-1-1-1", "0-1-1-2", "0-1-2-2", "0-1-2-3")
"""The node that each of the four nodes takes its input from; 0 is the input of the network."""
_COLUMNS = {"accuracy": "valid_perf", "latency": "latency", "parameters": "para", "test_accuracy": "perf"}
"""Their names here, and those in the package."""


def graph_space(operations: tuple[str, ...]) -> SearchSpace:
    """Returns the space of a table: the structure, and the operation of each of its four nodes."""
    nodes = tuple(Choice(f"op{node}", operations) for node in range(1, 5))
    return SearchSpace((Choice("structure", STRUCTURES), *nodes))


@dataclass(frozen=True)
class GraphTable:
    """A table of nas-bench-graph.

    It has one entry for networks that compute the same. Of those that do nothing, with four times `skip`, it has none.
    """

    module: ClassVar[str] = "nas_bench_graph"
    distribution: ClassVar[str] = "nas-bench-graph"
    objectives: ClassVar[tuple[Objective, ...]] = (
        Objective("accuracy", "maximize"),
        Objective("latency"),
        Objective("parameters"),
    )

    file: str
    space: SearchSpace

    def read(self) -> dict[str, Columns]:
        """Returns the objectives and the test accuracy: shape (configurations, 1), NaN where there is no entry."""
        entries = read_pickle(package_folder(self.module) / "light" / f"{self.file}.bench", self.distribution)
        rows = {key: row for row, key in enumerate(entries)}
        wanted = [rows.get(key, -1) for key in _keys(self.space)]
        return {
            name: np.array([*(entry[theirs] for entry in entries.values()), np.nan])[wanted, np.newaxis]
            for name, theirs in _COLUMNS.items()
        }


@cache
def _keys(space: SearchSpace) -> list[int]:
    """Returns the key of each configuration, as the package makes it: the same for networks that compute the same."""
    from nas_bench_graph.architecture import Arch

    links = {structure: [int(node) for node in structure.split("-")] for structure in STRUCTURES}
    levels = [levels_of(parameter) for parameter in space.parameters]
    return [Arch(list(links[str(structure)]), list(ops)).valid_hash() for structure, *ops in product(*levels)]
