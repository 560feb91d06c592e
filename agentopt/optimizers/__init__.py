"""The table of methods: each name, the class that implements it, and what it needs to be built.

A method is one file here and one line in `METHODS`. Its class has a `summary` and an `Options` model (every field
documented: that is what `agentopt show METHOD` prints), and is built as `Class(problem, options, rng)`, or as
`Class(problem, options, rng, gateway)` where `options.needs_model`; with `single_objective = True` it is refused for
tasks with several objectives, with `needs_code = True` for tasks that have no code to edit. Any `package.module:Class`
of the same shape is accepted too.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from agentopt.errors import UsageError, unknown
from agentopt.protocols import Optimizer, Problem

METHODS = {
    "auto": "agentopt.optimizers.auto:Auto",
    "random": "agentopt.optimizers.random:RandomSearch",
    "sobol": "agentopt.optimizers.sobol:Sobol",
    "local": "agentopt.optimizers.local:LocalSearch",
    "cmaes": "agentopt.optimizers.cmaes:CmaEs",
    "regularized-evolution": "agentopt.optimizers.aging:RegularizedEvolution",
    "tpe": "agentopt.optimizers.tpe:Tpe",
    "gp": "agentopt.optimizers.gp.method:Gp",
    "optuna-gp": "agentopt.optimizers.optuna_gp:OptunaGp",
    "optuna-cmaes": "agentopt.optimizers.optuna_cmaes:OptunaCmaEs",
    "smac": "agentopt.optimizers.smac:Smac",
    "nevergrad": "agentopt.optimizers.nevergrad:Nevergrad",
    "nsga2": "agentopt.optimizers.nsga2:Nsga2",
    "pymoo-nsga2": "agentopt.optimizers.pymoo_nsga2:PymooNsga2",
    "llm": "agentopt.optimizers.llm:LlmSearch",
    "centaur": "agentopt.optimizers.centaur:Centaur",
    "hollm": "agentopt.optimizers.hollm:Hollm",
    "mohollm": "agentopt.optimizers.mohollm:Mohollm",
    "llambo": "agentopt.optimizers.llambo:Llambo",
    "opro": "agentopt.optimizers.opro:Opro",
    "autoresearch": "agentopt.optimizers.autoresearch:Autoresearch",
}


class MethodOptions(BaseModel):
    """The options of a method; an unknown one is an error, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    reply_tokens: ClassVar[int] = 512
    """The longest reply that the method needs, where the user says nothing."""
    temperature: ClassVar[float] = 0.7
    """The sampling temperature of the model, where the user says nothing."""
    context: ClassVar[int] = 8192
    """The tokens of prompt and reply together that it needs, where the user says nothing."""

    with_model: ClassVar[Mapping[str, Any]] = {}
    """For a method that can do without a language model: the options that are set where the user names one."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """For a method with an option `preset`: the options that each of its values sets where they are not given."""

    unstated: ClassVar[Mapping[str, Any]] = {}
    """What options that came later were in runs that are stored without them, where their default is another one."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, given: Any) -> Any:
        if not cls.presets or not isinstance(given, Mapping):
            return given
        return {**cls.presets.get(str(given.get("preset", "default")), {}), **given}

    @property
    def needs_model(self) -> bool:
        """Whether the method asks a language model with these options."""
        return False


class Method(Protocol):
    """What a method's class offers besides being an `Optimizer`."""

    Options: ClassVar[type[MethodOptions]]
    """Its options, with a description for each."""
    summary: ClassVar[str]
    """One line on what it does, with its source."""

    def __call__(self, problem: Problem, options: Any, rng: np.random.Generator, *gateway: Any) -> Optimizer:
        """Builds the optimizer."""


def load_method(name: str) -> Method:
    """Returns the class of a method; raises UsageError with the nearest name."""
    if name not in METHODS and ":" not in name:
        raise unknown("method", name, METHODS)
    module, _, attribute = METHODS.get(name, name).partition(":")
    if name not in METHODS:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UsageError(f"Cannot import the method {name}: {error}.") from error
        if not hasattr(found, attribute):
            raise UsageError(f"{module} has no {attribute!r}.")
    else:
        found = importlib.import_module(module)
    method: Method = getattr(found, attribute)
    return method
