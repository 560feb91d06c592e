"""How Optuna is told a space: its distributions, and positions for the values that it has none for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentopt.space.parameters import Choice, Float, Int, Parameter
from agentopt.trial import Params, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distributions(parameters: Sequence[Parameter]) -> dict[str, BaseDistribution]:
    """Returns Optuna's distribution of each parameter, by name.

    Listed values and powers become their positions, since Optuna has no ordered distribution over them.
    """
    from optuna import distributions as od

    out: dict[str, BaseDistribution] = {}
    for p in parameters:
        if (listed := _listed(p)) is not None:
            out[p.name] = od.IntDistribution(0, len(listed) - 1)
        elif isinstance(p, Float):
            out[p.name] = od.FloatDistribution(p.low, p.high, log=p.log)
        elif isinstance(p, Int):
            out[p.name] = od.IntDistribution(p.grid[0], p.grid[-1], log=p.log, step=1 if p.log else p.step)
        else:
            out[p.name] = od.CategoricalDistribution(p.choices)
    return out


def listed_to_positions(parameters: Sequence[Parameter], params: Params) -> dict[str, Value]:
    """Returns a configuration as Optuna is told it: listed values and powers by their position."""
    out = {p.name: params[p.name] for p in parameters}
    for p in parameters:
        if (listed := _listed(p)) is not None:
            out[p.name] = listed.index(p.clip(params[p.name]))
    return out


def positions_to_listed(parameters: Sequence[Parameter], params: Params) -> dict[str, Value]:
    """Returns what Optuna's parameters stand for: the values at the positions, and the others as they are."""
    found = dict(params)
    for p in parameters:
        if (listed := _listed(p)) is not None:
            found[p.name] = listed[int(params[p.name])]
    return found


def _listed(parameter: Parameter) -> Sequence[Value] | None:
    """Returns the values of a parameter whose values are ordered, but not evenly spaced."""
    if isinstance(parameter, Choice):
        return None
    powers = isinstance(parameter, Int) and parameter.powers_of is not None
    return parameter.grid if powers else parameter.values
