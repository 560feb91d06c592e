"""Engineering designs with constraints, as the package pymoo defines them: what breaks a constraint is invalid."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from agentopt.errors import UsageError, unknown
from agentopt.outcomes import failure
from agentopt.problems.crash import CAR_RANGES
from agentopt.protocols import Objective
from agentopt.space import Choice, Float, Int, Parameter, SearchSpace
from agentopt.task import FunctionTask
from agentopt.trial import Outcome, Params, Status

SEARCHED = "the largest that a search has found: NSGA-II of pymoo, by python bench/known_fronts.py"


@dataclass(frozen=True)
class Design:
    """One of pymoo's problems, with the names that it leaves out."""

    module: str
    """Under `pymoo.problems.multi`."""
    problem: str
    """The class in it."""
    parameters: tuple[Parameter, ...]
    """Those of a grid go to pymoo by their position in it."""
    objectives: tuple[Objective, ...]
    constraints: tuple[str, ...]
    """What each constraint keeps within its limit, in pymoo's order."""
    description: str
    source: str
    hypervolume: str
    """Where the known hypervolume is from."""
    optimum: float | None = None
    best_known: float | None = None
    """The hypervolume of the front, or the largest known one, measured from the references of the objectives."""


DESIGNS: Mapping[str, Design] = {
    "welded-beam": Design(
        "welded_beam",
        "WeldedBeam",
        (
            Float("weld_thickness", 0.125, 5.0),
            Float("weld_length", 0.1, 10.0),
            Float("beam_height", 0.1, 10.0),
            Float("beam_thickness", 0.125, 5.0),
        ),
        (Objective("cost", reference=40.0), Objective("deflection", reference=0.0175)),
        ("shear stress", "bending stress", "weld thickness against beam thickness", "buckling load"),
        "A beam that is welded to a wall (lengths in inches) and carries 6000 pounds at its end. To be minimised: the"
        " cost of weld and beam, and the deflection of the end (inches).",
        "Deb, Multi-Objective Optimization Using Evolutionary Algorithms (2001), after Ragsdell and Phillips (1976)",
        SEARCHED,
        best_known=0.606973031072695,
    ),
    "truss2d": Design(
        "truss2d",
        "Truss2D",
        (Float("area_ac", 0.0, 0.01), Float("area_bc", 0.0, 0.01), Float("y", 1.0, 3.0)),
        (Objective("volume", reference=0.056), Objective("stress", reference=110000.0)),
        ("stress",),
        "A truss of two bars, AC and BC, that hold a load: the areas of the bars (m^2) and the height y of their joint"
        " (m). To be minimised: the volume of the bars (m^3) and the larger of the two stresses (kPa).",
        "Palli et al. (1998), in Deb, Multi-Objective Optimization Using Evolutionary Algorithms (2001)",
        "of the 1100 points of the true front that pymoo gives",
        best_known=4656.129708746157,
    ),
    "carside": Design(
        "carside",
        "Carside",
        tuple(Float(name, low, high) for name, low, high in CAR_RANGES),
        (
            Objective("weight", reference=45.0),
            Objective("pubic_force", reference=4.5),
            Objective("velocity", reference=13.0),
        ),
        (
            "abdomen load",
            *(f"viscous criterion, {place} rib" for place in ("upper", "middle", "lower")),
            *(f"deflection of the {place} rib" for place in ("upper", "middle", "lower")),
            "pubic force",
            "velocity of the B-pillar",
            "velocity of the front door",
        ),
        "The thickness of seven parts of a car's side (millimetres). To be minimised: the weight, the pubic force on"
        " the passenger (kN), and the mean velocity of the V-pillar that withstands the impact (mm/ms).",
        "Jain and Deb, IEEE Transactions on Evolutionary Computation 18 (2014), part II",
        SEARCHED,
        best_known=34.61607068230048,
    ),
    "clutch": Design(
        "clutch",
        "Clutch",
        (
            Int("inner_radius", 60, 80),
            Int("outer_radius", 90, 110),
            Float("thickness", values=(1.0, 1.5, 2.0, 2.5, 3.0)),
            Int("force", 600, 1000),
            Int("discs", 2, 9),
        ),
        (Objective("mass", reference=1.5), Objective("stopping_time", reference=12.5)),
        (
            "radii (20 mm apart)",
            "length",
            "pressure",
            "pressure times velocity",
            "velocity",
            "torque",
            "time, above 0",
            "time",
        ),
        "The design of a disc brake, with the radii and the thickness of the discs (mm), the force that presses them"
        " (N) and their number. To be minimised: the mass of the discs (kg) and the time to come to a stop (s).",
        "Osyczka (1992), in Deb and Srinivasan, Innovization (GECCO 2006)",
        "exact, of all 7,073,640 designs",
        optimum=9.218383485524564,
    ),
}


def design_task(variant: str) -> FunctionTask:
    """Returns the task of a design; raises UsageError with the nearest name, or where pymoo is not installed."""
    name = f"pymoo-{variant}".rstrip("-")
    if variant not in DESIGNS:
        raise unknown("task", name, [f"pymoo-{known}" for known in DESIGNS])
    if find_spec("pymoo") is None:
        raise UsageError(f"Task {name} needs pymoo: pip install 'agentopt[pymoo]'")
    design = DESIGNS[variant]
    problem = pymoo_problem(design)

    def evaluate(params: Params) -> list[float] | Outcome:
        values, excess = evaluate_rows(problem, np.array([position(design, params)]))
        broken = [design.constraints[i] for i in np.flatnonzero(~(excess[0] <= 0))]
        if broken:
            return failure(Status.INVALID, f"constraints that are not kept: {', '.join(broken)}")
        return list(map(float, values[0]))

    return FunctionTask(
        name=name,
        space=SearchSpace(design.parameters),
        function=evaluate,
        objectives=design.objectives,
        description=f"{design.description} What does not keep a constraint is invalid.",
        optimum=design.optimum,
        best_known=design.best_known,
        facts={
            "source": f"{design.source}; through pymoo (Apache-2.0)",
            "constraints": ", ".join(design.constraints),
            "hypervolume": design.hypervolume,
        },
    )


def position(design: Design, params: Params) -> list[float]:
    """Returns a configuration as pymoo is told it: values of a grid by their position in it."""
    found: list[float] = []
    for parameter in design.parameters:
        assert not isinstance(parameter, Choice)
        value, grid = parameter.clip(params[parameter.name]), parameter.grid
        found.append(value if grid is None else grid.index(value))
    return found


def evaluate_rows(problem: Any, points: Any) -> tuple[Any, Any]:
    """Returns the objectives and the excess over each limit: shapes (n, objectives) and (n, constraints).

    `points` has shape (n, parameters), as `position` gives them.
    """
    whole = problem.vtype is int
    with np.errstate(all="ignore"):
        return tuple(problem.evaluate(points.astype(int) if whole else points, return_values_of=["F", "G"]))


def pymoo_problem(design: Design) -> Any:
    """Returns the problem as pymoo has it."""
    problem = getattr(importlib.import_module(f"pymoo.problems.multi.{design.module}"), design.problem)()
    problem.n_ieq_constr = len(design.constraints)  # Clutch announces 19 and gives 8
    return problem
