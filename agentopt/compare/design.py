"""What is compared: methods with their options and models, tasks, seeds, budgets, and the pairs that are tested."""

from __future__ import annotations

import hashlib
import json
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agentopt import build
from agentopt.config import parse_pairs
from agentopt.errors import UsageError
from agentopt.llm.models import default_model
from agentopt.optimizers import load_method
from agentopt.report.comparison.cells import Method
from agentopt.report.comparison.family import ASKERS, Family, family_pairs, seeds_needed
from agentopt.report.comparison.folder import VERSION, safe_name

DEFAULT_SEEDS = 10
"""As many seeds as leave room for a claim where a method is tested against up to 25 others."""
_MODEL = "model"
"""What stands in a method's brackets for the model that it asks; no method has an option of this name."""
_COUNT = re.compile(r"\d+")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class Contender:
    """One method with its options."""

    label: str
    """`method` or `method[option=value,...]`."""
    method: str
    options: Mapping[str, Any]
    control_of: str | None = None
    """The label of the LLM method whose model-free twin this is."""
    model: str | None = None
    """The model that it asks, where that is not the one of the whole comparison."""
    asks: bool = False
    """Whether it asks a language model; `checked` finds out."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How large a comparison was when it had results and was made larger."""

    methods: int
    tasks: int
    seeds: int


@dataclass(frozen=True)
class Design:
    """What is compared."""

    methods: tuple[Contender, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    trials: int | None
    budget: float | None = None
    baseline: bool = True
    model: Mapping[str, Any] | None = None
    """The settings of the model of all methods that ask one and name no other."""
    task_options: Mapping[str, Any] = field(default_factory=dict)
    max_failures: int | None = None
    """See `RunConfig`; None: its default."""
    family: Family = Family.FIRST
    stages: tuple[Stage, ...] = ()
    """Its sizes before it was made larger, each with results."""

    def to_json(self) -> dict[str, Any]:
        """Returns the comparison as its file holds it."""
        found: dict[str, Any] = json.loads(json.dumps({"version": VERSION, **asdict(self)}))
        return found

    def settings(self, contender: Contender, task: str, seed: int) -> dict[str, Any]:
        """Returns the settings of one cell's run."""
        own = {} if contender.model is None else {"name": contender.model}
        # The model of all is that of the methods that ask one as they stand: naming it makes none ask.
        optional = bool(load_method(contender.method).Options.with_model)
        common = self.model if contender.asks or own or not optional else None
        found = {"method": contender.method, "options": dict(contender.options), "task": task, "seed": seed}
        found |= {"trials": self.trials, "budget": self.budget, "default": self.baseline}
        found |= {"max_failures": self.max_failures}
        found |= {"model": {**(common or {}), **own} or None, "task_options": dict(self.task_options) or None}
        return {key: value for key, value in found.items() if value is not None}

    @property
    def contenders(self) -> list[Method]:
        """The methods as the report knows them: what is tested follows from them."""
        return [Method(c.label, c.method, c.options, c.control_of, c.asks) for c in self.methods]


def contender(text: str) -> Contender:
    """Returns the method of `centaur` or `centaur[ratio=0.1,model=qwen-4b]`; raises UsageError for anything else."""
    found = re.fullmatch(r"([^\[\]]+)(?:\[(.*)\])?", text.strip())
    if found is None:
        raise UsageError(f"{text!r} is not a method: write METHOD or METHOD[option=value,option=value].")
    method, inside = found[1].strip(), found[2] or ""
    options = parse_pairs(tuple(part.strip() for part in inside.split(",") if part.strip()), f"in {text},")
    label, model = _label(method, options), options.pop(_MODEL, None)
    return Contender(label, method, options, model=None if model is None else str(model))


def _label(method: str, options: Mapping[str, Any]) -> str:
    return method + (f"[{','.join(f'{k}={v}' for k, v in options.items())}]" if options else "")


def controls(of: Contender) -> list[Contender]:
    """Returns the model-free twins of an LLM method: the same schedule with whoever else it lets propose.

    A twin that is the method as it stands has no option for that: it is there once, whoever asks for it.
    """
    kind = load_method(of.method).Options
    options = of.options if of.model is None else {**kind.with_model, **of.options}
    made = [
        {key: value for key, value in {**of.options, option: name}.items() if (key, value) != (option, field.default)}
        for option, asks in ASKERS.items()
        if (field := kind.model_fields.get(option)) and options.get(option, field.default) == asks
        for name in typing.get_args(field.annotation)
        if name != asks
    ]
    return [Contender(_label(of.method, options), of.method, options, control_of=of.label) for options in made]


def with_controls(methods: Sequence[Contender]) -> tuple[Contender, ...]:
    """Returns the methods and their twins; a twin that is there already, or that two of them share, comes once."""
    found = {one.label: one for one in methods}
    for twin in (twin for one in methods for twin in controls(one)):
        found.setdefault(twin.label, twin)
    return (*methods, *(one for label, one in found.items() if label not in {one.label for one in methods}))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds of `8` (0 to 7), `100-119` (both ends included) or `100-119,200`; raises UsageError else."""
    plain = text.strip()
    if _COUNT.fullmatch(plain):
        found = range(int(plain))
    else:
        found = {seed for part in plain.split(",") for seed in _seeds_of(part.strip(), text)}  # type: ignore[assignment]
    if not found:
        raise UsageError(f"--seeds {text} cannot be used: it must be 1 or more.")
    return tuple(sorted(found))


def _seeds_of(part: str, text: str) -> range:
    match = _RANGE.fullmatch(part)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise UsageError(
            f"--seeds {text!r} cannot be used: write how many, as in 20 (seeds 0 to 19), or which, as in 100-119 or"
            " 100-119,200."
        )
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def enough_seeds(design: Design) -> Design:
    """Returns the design with as many seeds as its tests need for a claim, where it has fewer."""
    tests = len(family_pairs(design.contenders, design.family))
    need = seeds_needed(tests, len(design.tasks)) if tests else 1
    return design if len(design.seeds) >= need else replace(design, seeds=tuple(range(need)))


def checked(design: Design) -> Design:
    """Returns the design, with which of its methods ask a model.

    Raises UsageError for whatever can be known to be wrong before anything is run.
    """
    labels = [c.label for c in design.methods]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise UsageError(f"The method {twice[0]} is there twice.")
    _check_folders(labels)
    _check_folders(design.tasks)
    methods = tuple(_checked(design, item) for item in design.methods)
    for task in design.tasks[1:]:
        plan = build.plan(design.settings(design.methods[0], task, 0), where=task)
        if len(plan.task.objectives) > 1:  # not every method takes these
            for item in design.methods[1:]:
                build.plan(design.settings(item, task, 0), where=item.label)
    return replace(design, methods=methods)


def with_model(design: Design, say: Callable[[str], None]) -> Design:
    """Returns the design with the default model written down, where a method asks one and none is named.

    So runs that are added later, or elsewhere, ask the same model.
    """
    if "name" in (design.model or {}) or not any(item.asks and item.model is None for item in design.methods):
        return design
    name = default_model()
    say(f"No --model was given: using {name}.")
    return replace(design, model={**(design.model or {}), "name": name})


def _check_folders(names: Sequence[str]) -> None:
    """Raises UsageError where two methods or two tasks would share a folder."""
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(safe_name(name), name)
        if other != name:
            raise UsageError(f"{other} and {name} would share the folder {safe_name(name)}: rename one of them.")


def _checked(design: Design, item: Contender) -> Contender:
    asks = build.plan(design.settings(item, design.tasks[0], 0), where=item.label).options.needs_model
    if item.model is not None and not asks:
        raise UsageError(f"{item.label} asks no language model: leave model={item.model} out.")
    return replace(item, asks=asks)


def default_name(design: Design) -> str:
    """Returns a folder name that is the same whenever the same things are compared.

    What is tested is no part of it, nor is anything that was not stated: names are those that they have always been.
    """
    document = design.to_json()
    named = ("version", "tasks", "seeds", "trials", "budget", "baseline", "model")
    found = {key: document[key] for key in named}
    found["methods"] = [
        {key: method[key] for key in ("label", "method", "options", "control_of")} for method in document["methods"]
    ]
    found |= {"task_options": document["task_options"]} if document["task_options"] else {}
    return f"compare-{hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]}"
