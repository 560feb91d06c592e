"""How somebody states what is to be optimized: as objectives, or by their names."""

from __future__ import annotations

from collections.abc import Iterable

from agentopt.errors import UsageError
from agentopt.protocols import Objective

_DIRECTIONS = ("minimize", "maximize", "minimise", "maximise")


def named(name: str, where: str) -> str:
    """Returns the name of an objective; raises UsageError for a direction that stands in its place."""
    if name in _DIRECTIONS:
        direction = name.replace("ise", "ize")
        raise UsageError(
            f"{where}: objectives: {name!r} is a direction, and the name of the objective is needed, too:"
            f' objectives = [Objective("value", "{direction}")], in a task.toml'
            f' objectives = [{{name = "value", direction = "{direction}"}}].'
        )
    return name


def as_objectives(given: Iterable[Objective | str] | None, where: str) -> tuple[Objective, ...]:
    """Returns the objectives that a module states: `Objective`s or names to be minimised; else `value`."""
    if given is None:
        return (Objective(),)
    objectives = []
    if not isinstance(given, Iterable | Objective):
        raise UsageError(f"{where}: objectives: it must be a list of Objectives or names (given {given!r:.60}).")
    for item in [given] if isinstance(given, (str, Objective)) else given:
        if not isinstance(item, (str, Objective)):
            raise UsageError(f"{where}: objectives: {item!r:.80} is neither an Objective nor a name.")
        objectives.append(Objective(named(item, where)) if isinstance(item, str) else item)
    names = [objective.name for objective in objectives]
    if not objectives or len(set(names)) < len(names):
        raise UsageError(f"{where}: objectives: one or more with different names are needed, not {names}.")
    return tuple(objectives)
