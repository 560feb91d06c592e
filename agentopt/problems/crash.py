"""Two designs of a car body for crash safety: polynomials that were fitted on finite-element simulations.

VehicleSafety: Liao, Li, Yang, Zhang and Li, "Multiobjective optimization for crash safety design of vehicles using
stepwise regression model" (Structural and Multidisciplinary Optimization 35, 2008). Without constraints.

CarSideImpact: Jain and Deb (IEEE Transactions on Evolutionary Computation 18, 2014, part II), with the constraints as a
fourth objective as in Tanabe and Ishibuchi, "An easy-to-use real-world multi-objective optimization problem suite"
(Applied Soft Computing 89, 2020), RE4-7-1.

References are BoTorch's (`botorch.test_functions.multi_objective`).
"""

from __future__ import annotations

from collections.abc import Sequence

from agentopt.problems.formula import formula_task
from agentopt.protocols import Objective
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask

KNOWN_FROM = (
    "the largest that a search has found, by python bench/known_fronts.py; BoTorch, with these references, states"
)


def vehicle_safety_task() -> FunctionTask:
    """Returns VehicleSafety: 5 thicknesses, 3 objectives."""
    parts = ("bumper", "crush_box", "front_rail", "rear_rail", "cross_beam")
    return formula_task(
        "vehicle-safety",
        SearchSpace(tuple(Float(f"x{i}", 1.0, 3.0) for i in range(1, len(parts) + 1))),
        vehicle_safety,
        [
            Objective("mass", reference=1864.72022),
            Objective("acceleration", reference=11.81993945),
            Objective("intrusion", reference=0.2903999384),
        ],
        description=(
            "The thickness of five reinforced members of a car's frontal structure (x1 to x5, millimetres). To be"
            " minimised: the mass (kg), the acceleration in a full frontal crash, which biomechanical damage grows with"
            " (m/s^2), and the intrusion of the toe board in an offset frontal crash (m)."
        ),
        best_known=247.220642577473,
        facts={
            "source": "Liao et al., Structural and Multidisciplinary Optimization 35 (2008)",
            "hypervolume": f"{KNOWN_FROM} 246.816",
        },
    )


def vehicle_safety(x: Sequence[float]) -> tuple[float, float, float]:
    """Returns mass, acceleration and intrusion: the regressions of Liao et al. (2008)."""
    a, b, c, d, e = x
    mass = 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c + 7.7213633 * d + 4.4559504 * e
    acceleration = (
        6.5856
        + (1.15 * a - 1.0427 * b + 0.9738 * c + 0.8364 * d)
        + (-0.3695 * a * d + 0.0861 * a * e + 0.3628 * b * d)
        + (-0.1106 * a**2 - 0.3437 * c**2 + 0.1764 * d**2)
    )
    intrusion = (
        -0.0551
        + (0.0181 * a + 0.1024 * b + 0.0421 * c)
        + (-0.0073 * a * b + 0.024 * b * c - 0.0118 * b * d - 0.0204 * c * d - 0.008 * c * e)
        + (-0.0241 * b**2 + 0.0109 * d**2)
    )
    return mass, acceleration, intrusion


CAR_RANGES = (
    ("b_pillar_inner", 0.5, 1.5),
    ("b_pillar_reinforcement", 0.45, 1.35),
    ("floor_side_inner", 0.5, 1.5),
    ("cross_members", 0.5, 1.5),
    ("door_beam", 0.875, 2.625),
    ("door_beltline_reinforcement", 0.4, 1.2),
    ("roof_rail", 0.4, 1.2),
)
"""The parts whose thickness (mm) is chosen, and between what."""
IMPACT, STRAIN = 0.345, 0.192
"""The yield stress (GPa) of the B-pillar and of the floor: fixed parameters of the original problem."""


def car_side_impact_task() -> FunctionTask:
    """Returns CarSideImpact: 7 thicknesses, 4 objectives."""
    return formula_task(
        "car-side-impact",
        SearchSpace(tuple(Float(name, low, high) for name, low, high in CAR_RANGES)),
        car_side_impact,
        [
            Objective("weight", reference=45.4872),
            Objective("pubic_force", reference=4.5114),
            Objective("velocity", reference=13.3394),
            Objective("violation", reference=10.3942),
        ],
        description=(
            "The thickness of seven parts of a car's side (millimetres). To be minimised: the weight, the pubic force"
            " on the passenger (kN), the mean velocity of the V-pillar that withstands the impact (mm/ms), and the sum"
            " of the amounts by which ten limits on the passenger's load, the force and the velocities are exceeded."
        ),
        best_known=489.89113874327154,
        facts={
            "source": "Jain and Deb (2014); with the constraints as an objective: Tanabe and Ishibuchi (2020), RE4-7-1",
            "hypervolume": f"{KNOWN_FROM} 484.727",
        },
    )


def car_side_impact(x: Sequence[float]) -> tuple[float, float, float, float]:
    """Returns weight, pubic force, velocity and violation: the regressions of Jain and Deb (2014), section V-A."""
    a, b, c, d, e, f, g = x
    weight = 1.98 + 4.9 * a + 6.67 * b + 6.98 * c + 4.01 * d + 1.78 * e + 0.00001 * f + 2.73 * g
    force = 4.72 - 0.5 * d - 0.19 * b * c
    middle = 10.58 - 0.674 * a * b - 1.95 * b * IMPACT
    front_door = 16.45 - 0.489 * c * g - 0.843 * e * f
    loads = (
        (1.16 - 0.3717 * b * d - 0.0092928 * c, 1.0),
        (
            0.261 - 0.0159 * a * b - 0.188 * a * IMPACT - 0.019 * b * g + 0.0144 * c * e + 0.08045 * f * STRAIN,
            0.32,
        ),
        (
            0.214
            + (0.00817 * e - 0.131 * a * IMPACT - 0.0704 * a * STRAIN + 0.03099 * b * f - 0.018 * b * g)
            + (0.0208 * c * IMPACT + 0.121 * c * STRAIN - 0.00364 * e * f - 0.018 * b**2),
            0.32,
        ),
        (0.74 - 0.61 * b - 0.163 * c * STRAIN - 0.166 * g * STRAIN + 0.227 * b**2, 0.32),
        (28.98 + 3.818 * c - 4.2 * a * b + 6.63 * f * STRAIN - 7.77 * g * IMPACT, 32.0),
        (
            33.86 + 2.95 * c - 5.057 * a * b - 11 * b * IMPACT - 9.98 * g * IMPACT + 22 * IMPACT * STRAIN,
            32.0,
        ),
        (46.36 - 9.9 * b - 12.9 * a * IMPACT, 32.0),
        (force, 4.0),
        (middle, 9.9),
        (front_door, 15.7),
    )
    violation = sum(max(0.0, load - limit) for load, limit in loads)
    return weight, force, (middle + front_door) / 2, violation
