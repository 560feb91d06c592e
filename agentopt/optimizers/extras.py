"""Which methods need an extra to be installed, and whether it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from agentopt.errors import UsageError


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of the package, and the modules that it brings."""

    name: str
    modules: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that cannot be imported here."""
        return tuple(module for module in self.modules if find_spec(module) is None)

    @property
    def fix(self) -> str:
        """The command that installs it."""
        return f"pip install 'agentopt[{self.name}]'"


EXTRAS: Mapping[str, Extra] = {
    "optuna-gp": Extra("optuna-gp", ("torch", "greenlet")),
    "optuna-cmaes": Extra("optuna-cmaes", ("cmaes",)),
    "pymoo-nsga2": Extra("pymoo", ("pymoo",)),
    "smac": Extra("smac", ("smac",)),
    "nevergrad": Extra("nevergrad", ("nevergrad",)),
}
"""The extra of each method that needs one."""


def require(method: str) -> None:
    """Raises UsageError with the command to run where a method's extra is not installed."""
    extra = EXTRAS[method]
    if extra.missing:
        raise UsageError(f"Method {method} needs {', '.join(extra.missing)}: {extra.fix}")
