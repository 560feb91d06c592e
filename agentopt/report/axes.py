"""Where the axes of parameters are marked."""

from __future__ import annotations

import math

from agentopt.space import Choice, Float, Int, Parameter

_TICKS = 5
_FEW = 8
_NEAR = 1e-9
_LONG = 1e7


def is_log(parameter: Parameter) -> bool:
    """Whether an axis of the parameter is logarithmic."""
    if isinstance(parameter, Choice):
        return False
    return parameter.log or (isinstance(parameter, Int) and parameter.powers_of is not None)


def log_marks(parameter: Float | Int) -> tuple[list[float], list[str]]:
    """Returns where to mark a logarithmic axis and how: at few values each, else at 1, 3, 10, 30 and so on."""
    if parameter.grid is not None and len(parameter.grid) <= _FEW:
        places = list(map(float, parameter.grid))
    else:
        low, high = (math.floor(math.log10(parameter.low)), math.ceil(math.log10(parameter.high)))
        steps = (1, 3) if high - low <= 3 else (1,)
        decades = [step * 10.0**decade for decade in range(low, high + 1) for step in steps]
        places = [place for place in decades if parameter.low * (1 - _NEAR) <= place <= parameter.high * (1 + _NEAR)]
    return places, [f"{int(v)}" if v.is_integer() and v < _LONG else f"{v:g}" for v in places]


def unit_marks(parameter: Parameter) -> tuple[list[float], list[str]]:
    """Returns places on the unit interval, and what stands there in the parameter's own units."""
    levels = parameter.levels
    count = levels if levels is not None and levels <= _FEW else _TICKS
    at = [(i + 0.5) / count for i in range(count)] if count == levels else [i / (count - 1) for i in range(count)]
    return at, [f"{v:.3g}" if isinstance(v, float) else str(v) for v in map(parameter.decode, at)]
