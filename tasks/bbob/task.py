"""BBOB: the 24 noiseless test functions of COCO, in any dimension and instance, through the package ioh."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec

from agentopt.errors import UsageError
from agentopt.space import Float, SearchSpace
from agentopt.suites import SUITES
from agentopt.task import FunctionTask, sampled_median

VARIANTS = tuple(name.removeprefix("bbob-") for name in SUITES["bbob-small"])
"""Those that are listed; every other one that can be named can be loaded."""
RANGES = "function 1 to 24, dimension 2 to 100, instance 1 to 99999"
_NAME = re.compile(r"f([1-9]\d?)-d([1-9]\d{0,2})-i([1-9]\d{0,4})", re.ASCII)
GROUPS = {
    5: "separable",
    9: "moderately conditioned, with one minimum",
    14: "badly conditioned, with one minimum",
    19: "with many local minima and a global structure",
    24: "with many local minima and a weak global structure",
}
"""By the last function's number."""


def make(variant: str = "f1-d5-i1") -> FunctionTask:
    """Returns the function that `variant` names, as `f8-d5-i1`: number, dimension, instance."""
    name = f"bbob-{variant or 'f1-d5-i1'}"
    number, dimension, instance = parse(name)
    if find_spec("ioh") is None:
        raise UsageError(f"Task {name} needs ioh: pip install 'agentopt[bench]'")
    import ioh

    problem = ioh.get_problem(number, instance, dimension, ioh.ProblemClass.BBOB)
    names = [f"x{i}" for i in range(1, dimension + 1)]
    space = SearchSpace(tuple(Float(x, -5.0, 5.0) for x in names))

    def bbob(params: Mapping[str, float]) -> float:
        return float(problem([params[x] for x in names]))

    group = next(text for last, text in GROUPS.items() if number <= last)
    return FunctionTask(
        name=name,
        space=space,
        function=bbob,
        description=f"A blackbox function of {dimension} real numbers: {group}. Its lowest value may be negative.",
        optimum=float(problem.optimum.y),
        median=sampled_median(space, bbob),
        best_params={x: float(value) for x, value in zip(names, problem.optimum.x, strict=True)},
        facts={
            "function": f"f{number}, {problem.meta_data.name}, instance {instance}",
            "source": "BBOB (Hansen, Finck, Ros and Auger, INRIA RR-6829), from ioh (BSD-3-Clause)",
            "median": "of 1001 uniform points",
            "names": f"bbob-fN-dD-iI: {RANGES}",
        },
    )


def parse(name: str) -> tuple[int, int, int]:
    """Returns the number, dimension and instance that a name states."""
    found = _NAME.fullmatch(name.removeprefix("bbob-"))
    number, dimension, instance = map(int, found.groups()) if found else (0, 0, 0)
    if not (1 <= number <= 24 and 2 <= dimension <= 100):
        raise UsageError(f"Task {name}: it must be {RANGES}, as in bbob-f8-d5-i1.")
    return number, dimension, instance
