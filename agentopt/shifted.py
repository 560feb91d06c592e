"""Test functions in any dimension, their minimum shifted so that a start in the centre of the box gains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentopt.errors import UsageError
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask, sampled_median


def shifted_task(
    family: str,
    variant: str,
    function: Callable[[Sequence[float]], float],
    *,
    half: float,
    least: int = 1,
    description: str,
    formula: str,
) -> FunctionTask:
    """Returns the task `family-d`, where the variant is the dimension d, 5 if it is empty.

    Args:
        family: the name of the functions.
        variant: the dimension in digits.
        function: the function of z = x - s, with its minimum of 0 at z = 0; s is the shift.
        half: half the width of the box, which is centred at 0.
        least: the smallest dimension.
        description: what it is about, with `{d}` for the dimension.
        formula: the function in x, z and s, for people.

    """
    d = _dimension(family, variant or "5", least)
    minimum, names = _shift(d, half), [f"x{i}" for i in range(1, d + 1)]

    def evaluate(params: Mapping[str, float]) -> float:
        return function([params[name] - s for name, s in zip(names, minimum, strict=True)])

    space = SearchSpace(tuple(Float(name, -half, half) for name in names))
    return FunctionTask(
        name=f"{family}-{d}",
        space=space,
        function=evaluate,
        description=description.format(d=d),
        optimum=0.0,
        median=sampled_median(space, evaluate),
        best_params=dict(zip(names, minimum, strict=True)),
        facts={
            "median": "of 1001 uniform points",
            "formula": formula,
            "shift s": ", ".join(f"{s:.3f}" for s in minimum),
        },
    )


def _dimension(family: str, variant: str, least: int) -> int:
    """Returns the number of parameters that a variant names."""
    if not (variant.isascii() and variant.isdigit() and least <= int(variant) <= 1000):
        raise UsageError(f"Task {family}-{variant}: give the dimension, {least} to 1000, as in {family}-14.")
    return int(variant)


def _shift(d: int, half: float) -> list[float]:
    """Returns where the minimum is: 20 to 60 percent of the way from the centre to alternating edges of the box.

    The share is 0.2 + 0.4 frac(i phi) with the golden ratio phi = 0.618..., i = 1..d, so no two are alike.
    """
    shares = [0.2 + 0.4 * (i * 0.6180339887498949 % 1.0) for i in range(1, d + 1)]
    return [half * share * (-1) ** i for i, share in enumerate(shares)]
