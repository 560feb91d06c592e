"""HW-GPT-Bench as a task: the architecture of a GPT, between its perplexity and what it costs.

Sukthanker et al. (arXiv 2405.10299). Layers beyond an architecture's depth have no effect; the repair gives them the
lowest values, so that equal architectures are equal configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentopt.errors import unknown
from agentopt.problems.hwgpt_devices import CALIBRATED, OBJECTIVES, Cost, Load, calibrate, published
from agentopt.problems.hwgpt_nets import NETS, RANGES, WEIGHTS, Nets, Rows, data_file, load_nets
from agentopt.protocols import Objective
from agentopt.space import Choice, Int, Parameter, SearchSpace
from agentopt.tables import choose_objectives
from agentopt.task import FunctionTask
from agentopt.trial import Params, Value

MLP_RATIOS = (2, 3, 4)


@dataclass(frozen=True)
class Scale:
    """One of the three sizes of GPT-2."""

    letter: str
    embeddings: tuple[int, int, int]
    layers: tuple[int, int, int]
    heads: tuple[int, int, int]
    references: Mapping[str, float]
    """Of the quantities of the nets: above the largest value that was seen, about 5 percent."""
    best_known: float
    """The largest known hypervolume of perplexity and memory."""

    @property
    def most(self) -> int:
        """The most layers."""
        return self.layers[-1]


SCALES = {
    "s": Scale(
        "s",
        (192, 384, 768),
        (10, 11, 12),
        (4, 8, 12),
        {"perplexity": 45.0, "memory": 1100.0, "parameters": 190.0, "flops": 2.5},
        17923.732697255477,
    ),
    "m": Scale(
        "m",
        (256, 512, 1024),
        (22, 23, 24),
        (8, 12, 16),
        {"perplexity": 38.0, "memory": 3000.0, "parameters": 490.0, "flops": 4.0},
        37131.95738250674,
    ),
    "l": Scale(
        "l",
        (320, 640, 1280),
        (34, 35, 36),
        (8, 16, 20),
        {"perplexity": 32.0, "memory": 6900.0, "parameters": 1010.0, "flops": 2.1},
        74897.15387402495,
    ),
}
DEFAULT = ("perplexity", "memory")
UNITS = {"perplexity": "", "memory": "MB in bfloat16", "parameters": "millions", "flops": "10^12 operations"}
DESCRIPTION = """\
The architecture of a GPT-2 of HW-GPT-Bench (scale {letter}), a language model whose parts were trained together: the
embedding size, the number of layers, whether there are biases, and for each layer i the ratio of its MLP's width to the
embedding size (mlp_ratio_i) and its attention heads (heads_i). Larger models have a lower perplexity and cost more.
Layers beyond n_layers have no effect. To be minimised: {objectives}."""


def hwgpt_task(scale: Scale, objectives: str | Sequence[str] = DEFAULT) -> FunctionTask:
    """Returns the task of a scale, with the objectives of those names, as a list or separated by commas."""
    name = f"hwgpt-{scale.letter}"
    chosen = choose_objectives(name, (*NETS, *OBJECTIVES), objectives)
    nets = load_nets(data_file(name, WEIGHTS), scale.letter, scale.embeddings, scale.most)
    costs = {objective: _cost(name, scale, nets, objective) for objective in chosen if objective not in NETS}
    space = hwgpt_space(scale)

    def evaluate(params: Params) -> dict[str, float]:
        row = np.array([positions(scale, space, params)])
        found = {quantity: float(nets(quantity, row)[0]) for quantity in NETS}
        load = Load(int(params["n_layers"]), found["flops"])
        return found | {objective: cost(load) for objective, cost in costs.items()}

    return FunctionTask(
        name=name,
        space=space,
        function=evaluate,
        objectives=tuple(Objective(o, reference=_reference(scale, costs, o)) for o in chosen),
        description=DESCRIPTION.format(letter=scale.letter.upper(), objectives=", ".join(map(in_words, chosen))),
        repairer=canonical(scale),
        best_known=scale.best_known if tuple(chosen) == DEFAULT else None,
        facts=_facts(costs),
    )


def scale_of(variant: str) -> Scale:
    """Returns the scale that a variant names; raises UsageError with the nearest name."""
    if variant not in SCALES:
        raise unknown("task", f"hwgpt-{variant}".rstrip("-"), [f"hwgpt-{known}" for known in SCALES])
    return SCALES[variant]


def hwgpt_space(scale: Scale) -> SearchSpace:
    """Returns the space of a scale's architectures: 3 + 2 x the most layers."""
    each = range(1, scale.most + 1)
    return SearchSpace(
        (
            Int("embedding", values=scale.embeddings),
            Int("n_layers", values=scale.layers),
            *(Int(f"mlp_ratio_{i}", values=MLP_RATIOS) for i in each),
            *(Int(f"heads_{i}", values=scale.heads) for i in each),
            Choice("bias", (True, False)),
        )
    )


def canonical(scale: Scale) -> Callable[[dict[str, Value]], Params]:
    """Returns the repair that gives the lowest values to the layers that an architecture does not have."""

    def repaired(params: dict[str, Value]) -> Params:
        for i in range(int(params["n_layers"]) + 1, scale.most + 1):
            params |= {f"mlp_ratio_{i}": MLP_RATIOS[0], f"heads_{i}": scale.heads[0]}
        return params

    return repaired


def positions(scale: Scale, space: SearchSpace, params: Params) -> list[int]:
    """Returns an architecture as the nets' rows have it."""
    row = []
    for parameter in space.parameters:
        value = params[parameter.name]
        row.append(list(listed(parameter)).index(value))
    for absent in range(int(params["n_layers"]), scale.most):
        row[2 + absent] = row[2 + scale.most + absent] = -1
    return row


def listed(parameter: Parameter) -> Sequence[Value]:
    """Returns the values of a parameter, all of which are listed, in order."""
    values = parameter.choices if isinstance(parameter, Choice) else parameter.grid
    assert values is not None
    return values


def uniform_row(scale: Scale, position: int) -> Rows:
    """Returns the architecture with the first or the last value everywhere: 0, without biases, or 2, with them."""
    row = np.full((1, 3 + 2 * scale.most), position)
    row[0, -1] = 1 if position == 0 else 0
    for absent in range(scale.layers[position], scale.most):
        row[0, [2 + absent, 2 + scale.most + absent]] = -1
    return row


def in_words(objective: str) -> str:
    """Returns an objective with its unit, and a word of warning where it is no measurement."""
    if objective in NETS:
        return f"{objective} ({UNITS[objective]})" if UNITS[objective] else objective
    kind, _, device = objective.partition("-")
    return f"{objective} ({'ms' if kind == 'latency' else 'Wh'} on {device}; {CALIBRATED})"


def _cost(name: str, scale: Scale, nets: Nets, objective: str) -> Cost:
    smallest, largest = (
        Load(scale.layers[position], float(nets("flops", uniform_row(scale, position))[0])) for position in (0, 2)
    )
    low, high = published(data_file(name, RANGES), objective, scale.letter)
    return calibrate(low, high, smallest, largest)


def _reference(scale: Scale, costs: Mapping[str, Cost], objective: str) -> float:
    return scale.references[objective] if objective in NETS else 1.05 * costs[objective].highest


def _facts(costs: Mapping[str, Cost]) -> dict[str, str]:
    facts = {
        "source": "HW-GPT-Bench (Sukthanker et al., arXiv 2405.10299; Apache-2.0): nets fitted on 10000 architectures",
        "hypervolume": "known of perplexity and memory: the largest found by python bench/known_fronts.py",
    }
    if costs:
        facts[CALIBRATED] = (
            f"{', '.join(costs)}: a x layers + b x operations, so that the smallest and the largest architecture have"
            " the lowest and the highest published figure of the device"
        )
    return facts
