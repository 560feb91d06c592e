"""How a published formula with several objectives becomes a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentopt.errors import UsageError
from agentopt.protocols import Objective
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask
from agentopt.trial import Params


def formula_task(
    name: str,
    space: SearchSpace,
    formula: Callable[[Sequence[float]], Sequence[float]],
    objectives: Sequence[Objective],
    *,
    description: str,
    facts: Mapping[str, str],
    optimum: float | None = None,
    best_known: float | None = None,
    front: Callable[[], Sequence[Sequence[float]]] | None = None,
) -> FunctionTask:
    """Returns the task of a formula of real numbers.

    Args:
        name: the task's name.
        space: its real parameters.
        formula: returns one number per objective for the parameters' values in order.
        objectives: each with the reference that hypervolumes are measured from.
        description: what it is about.
        facts: source and the like.
        optimum: the hypervolume of the true front, where it is known.
        best_known: the largest hypervolume that is known otherwise.
        front: gives points of the true front.

    """
    names = space.names

    def evaluate(params: Params) -> list[float]:
        return list(formula([float(params[name]) for name in names]))

    return FunctionTask(
        name=name,
        space=space,
        function=evaluate,
        objectives=tuple(objectives),
        description=description,
        optimum=optimum,
        best_known=best_known,
        front=front,
        facts=facts,
    )


def unit_box(count: int) -> SearchSpace:
    """Returns the space of `count` real numbers from 0 to 1, named x1, x2, ..."""
    return SearchSpace(tuple(Float(f"x{i}", 0.0, 1.0) for i in range(1, count + 1)))


def whole(task: str, option: str, given: object, low: int, high: int) -> int:
    """Returns an option that is an integer in [low, high]; raises UsageError for any other value."""
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise UsageError(f"Task {task}: {option} is an integer from {low} to {high}, not {given!r:.40}.")
    return given
