"""How a function that somebody wrote is called: with one dict of all parameters, and `seed` where it takes that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial

from agentopt.errors import UsageError

Function = Callable[..., object]


def called(function: Function) -> Function:
    """Returns what a partial calls in the end; any other function as it is."""
    while isinstance(function, partial):
        function = function.func
    return function


def name_of(function: Function) -> str:
    """Returns the name of a function, or of the class of an object that can be called."""
    inner = called(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def takes_seed(function: Function) -> bool:
    """Whether the function has an argument that `seed=...` fills."""
    signature = _signature(function)
    if signature is None:
        return False
    found = signature.parameters.get("seed")
    by_name = found is not None and found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY)
    return by_name or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())


def check_function(function: object, where: str, parameters: Sequence[str]) -> None:
    """Raises UsageError for what cannot be called with one dict of the `parameters`, with the fix.

    What has no signature, as some functions written in C, is not looked at.
    """
    if not callable(function):
        raise UsageError(f"{where}: {function!r:.60} is no function.")
    signature, extra = _signature(function), {"seed": 0} if takes_seed(function) else {}
    if signature is None or _binds(signature, {}, **extra):
        return
    name = name_of(function)
    written = name if name.isidentifier() else "f"
    wrapped = _binds(signature, **dict.fromkeys(parameters), **extra)
    raise UsageError(
        f"{where}: {name}{signature!s:.80} cannot be evaluated: it is called with one dict of all parameters. Write "
        f" def {written}(params)  and use {', '.join(f'params[{one!r}]' for one in parameters[:2])}"
        + (f", or wrap it:  lambda params: {written}(**params)." if wrapped else ".")
    )


def _signature(function: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _binds(signature: inspect.Signature, *args: object, **kwargs: object) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
