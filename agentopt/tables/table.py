"""What a table of all configurations of a space gives: a task whose evaluation is a look-up, its best, its front."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

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

Column: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]
Columns: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Repeat: TypeAlias = Literal["mean", "random"]


class Table(Hashable, Protocol):
    """A table in a Python package: hashable, and not read before it is needed."""

    @property
    def file(self) -> str:
        """The table's name in its package."""

    @property
    def space(self) -> SearchSpace:
        """A space without continuous parameters."""

    @property
    def module(self) -> str:
        """The module of the package."""

    @property
    def distribution(self) -> str:
        """The package as pip knows it."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What can be optimized: by itself the first."""

    def read(self) -> dict[str, Columns]:
        """Returns the objectives and further metrics, each of shape (configurations, repeats).

        The last parameter counts up first. NaN stands where a repeat is missing; a configuration may lack them all.
        """


@dataclass(frozen=True)
class Extremes:
    """What is known of one objective over all configurations of a table, each at the mean of its repeats."""

    optimum: float
    median: float
    reference: float
    """What nine in ten configurations are better than: where hypervolumes are measured from."""
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
    objectives: str | Sequence[str] | None = None,
    repeat: Repeat = "mean",
) -> FunctionTask:
    """Returns the task of a table.

    Args:
        name: the task's name.
        table: the table.
        known: the file with what `extremes` found, so that a table is not read before it is needed.
        description: what the task is about.
        facts: source and licence.
        objectives: which of the table's objectives to optimize, as a list or separated by commas; None: its first.
        repeat: `mean`: the mean of the stored repeats; `random`: one of them, picked by the seed of the evaluation.

    """
    if find_spec(table.module) is None:
        raise UsageError(f"Task {name} needs {table.distribution}: pip install 'agentopt[bench]'")
    if repeat not in ("mean", "random"):
        raise UsageError(f"Task {name}: repeat = {repeat!r:.40} must be mean or random.")
    known_objectives = [objective.name for objective in table.objectives]
    chosen = choose_objectives(name, known_objectives, known_objectives[:1] if objectives is None else objectives)
    found = read_known(known)[table.file]
    several = len(chosen) > 1

    def look_up(params: Params, seed: int) -> dict[str, float]:
        columns = read_table(table)
        row = position(table.space, params)
        if all(np.isnan(column[row]).all() for column in columns.values()):
            raise LookupError(f"the table has no entry for {params}")
        return {metric: _value(column[row], seed, repeat) for metric, column in columns.items()}

    return FunctionTask(
        name=name,
        space=table.space,
        function=look_up,
        objectives=tuple(replace(o, reference=found[o.name].reference) for o in _named(table, chosen)),
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


def _named(table: Table, chosen: Sequence[str]) -> list[Objective]:
    by_name = {objective.name: objective for objective in table.objectives}
    return [by_name[name] for name in chosen]


def position(space: SearchSpace, params: Params) -> int:
    """Returns the row of a configuration: the last parameter counts up first."""
    row = 0
    for parameter in space.parameters:
        levels = levels_of(parameter)
        row = row * len(levels) + levels.index(parameter.clip(params[parameter.name]))
    return row


def levels_of(parameter: Parameter) -> Sequence[Value]:
    """Returns all values of a parameter, in their order."""
    levels = parameter.choices if isinstance(parameter, Choice) else parameter.grid
    assert levels is not None, f"{parameter.name} has no end of values"
    return levels


def means(column: Columns) -> Column:
    """Returns the mean of each row over the repeats that it has, summed in their order: the same on every machine.

    That of a row without any is NaN.
    """
    total: Column = np.zeros(len(column))
    for repeat in column.T:
        total += np.where(np.isnan(repeat), 0.0, repeat)
    counts = np.sum(~np.isnan(column), axis=1)
    np.divide(total, counts, out=total, where=counts > 0)
    total[counts == 0] = np.nan
    return total


@cache
def read_table(table: Table) -> dict[str, Columns]:
    """Returns what `table.read` does, and keeps it."""
    return table.read()


def extremes(table: Table) -> dict[str, Extremes]:
    """Returns what `known.json` holds of a table, per objective; the best is the first of those that are equal."""
    found = {}
    levels = [levels_of(p) for p in table.space.parameters]
    for objective in table.objectives:
        values, sign = means(read_table(table)[objective.name]), objective.loss(1.0)
        best = int(np.nanargmin(sign * values))
        at = np.unravel_index(best, [len(values) for values in levels])
        params = {name: level[int(i)] for name, level, i in zip(table.space.names, levels, at, strict=True)}
        there = sign * values[~np.isnan(values)]
        reference = sign * float(np.sort(there)[int(0.9 * len(there))])
        found[objective.name] = Extremes(float(values[best]), sign * float(np.median(there)), reference, params)
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
    columns, signs = read_table(table), _signs(table, chosen)
    points = np.column_stack([means(columns[objective]) for objective in chosen])
    points = points[~np.isnan(points).any(axis=1)]
    front: list[list[float]] = points[front_mask(signs * points)].tolist()
    return front


def _signs(table: Table, chosen: Sequence[str]) -> Column:
    """Returns what turns each objective into one that is minimised: 1 or -1."""
    return np.array([objective.loss(1.0) for objective in _named(table, chosen)])


def hypervolumes(table: Table) -> dict[str, float]:
    """Returns what `fronts.json` holds of a table, per combination of objectives, their names with commas between."""
    known, found = extremes(table), {}
    for count in range(2, len(table.objectives) + 1):
        for combination in combinations(table.objectives, count):
            chosen = [objective.name for objective in combination]
            signs, reference = _signs(table, chosen), [known[name].reference for name in chosen]
            losses = signs * np.array(front_of(table, chosen))
            found[",".join(chosen)] = hypervolume(losses, signs * np.array(reference))
    return found


def hypervolume_of(known: Path, table: Table, chosen: Sequence[str]) -> float:
    """Returns the hypervolume of the front of some objectives over all configurations."""
    order = [objective.name for objective in table.objectives]
    return _read_fronts(known.with_name(FRONTS_FILE))[table.file][",".join(sorted(chosen, key=order.index))]


@cache
def _read_fronts(path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return found
