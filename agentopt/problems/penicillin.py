"""Penicillin: a fed-batch fermentation that is simulated hour by hour until it stops paying.

Liang and Lai, "Scalable Bayesian optimization accelerates process optimization of penicillin production" (NeurIPS 2021
workshop on AI for science), on the model of Birol, Undey and Cinar, "A modular simulation package for fed-batch
fermentation: penicillin production" (Computers and Chemical Engineering 26, 2002). The state is advanced by Euler steps
of one hour. References are BoTorch's (`botorch.test_functions.multi_objective`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentopt.problems.formula import formula_task
from agentopt.protocols import Objective
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask

BIOMASS_YIELD, PENICILLIN_YIELD = 0.45, 0.90
"""Grams of biomass, and of penicillin, per gram of substrate."""
MAINTENANCE = 0.014
"""Grams of substrate per gram of biomass and hour."""
ACID, BASE = 1e-10, 7e-5
"""The concentrations of H+ (mol/l) below and above which growth is slowed."""
GROWTH, GROWTH_HALF = 0.092, 0.15
"""The largest specific growth rate (per hour), and the constant of its saturation (Contois)."""
MAKING, MAKING_HALF, MAKING_INHIBITION = 0.005, 0.0002, 0.10
"""The specific rate at which penicillin is made (per hour), and the constants (g/l) of saturation and inhibition."""
DECAY = 0.04
"""The share of the penicillin that is hydrolysed in an hour."""
ACTIVATION, ACTIVATION_ENERGY = 7e3, 5100.0
INACTIVATION, INACTIVATION_ENERGY = 1e33, 50000.0
"""The Arrhenius constants of growth and of cell death; energies in cal/mol."""
GAS = 1.9872
"""The gas constant, cal/(mol K)."""
CARBON = (0.143, 4e-7, 1e-4)
"""Carbon dioxide per growth, per biomass and per hour."""
EVAPORATION = 2.5e-4
FREEZING, BOILING = 273.0, 373.0
"""Kelvin."""
FULL = 180.0
"""Litres."""
LONGEST = 2500
"""Hours."""
STANDSTILL = 1e-11
"""It is over when penicillin grows by less than this, g/l in an hour."""


def penicillin_task() -> FunctionTask:
    """Returns the task: 7 settings; the yield is maximised, carbon dioxide and time are minimised."""
    return formula_task(
        "penicillin",
        SearchSpace(
            (
                Float("volume", 60.0, 120.0),
                Float("biomass", 0.05, 18.0),
                Float("temperature", 293.0, 303.0),
                Float("glucose", 0.05, 18.0),
                Float("feed_rate", 0.01, 0.5),
                Float("feed_glucose", 500.0, 700.0),
                Float("ph", 5.0, 6.5),
            )
        ),
        penicillin,
        [
            Objective("yield", "maximize", reference=-25.935),
            Objective("co2", reference=57.612),
            Objective("hours", reference=935.5),
        ],
        description=(
            "A fed-batch fermentation of penicillin: the initial volume of the medium (l), biomass (g/l), temperature"
            " (K) and glucose (g/l), the rate of the feed (l/h), its glucose (g/l), and the pH. The final penicillin"
            " (g/l) is to be maximised; the carbon dioxide that was given off (g/l) and the hours until the tank is"
            " full, the glucose is used up or no more penicillin is made are to be minimised."
        ),
        best_known=2221638.8970533996,
        facts={
            "source": "Liang and Lai (2021), on the model of Birol, Undey and Cinar (2002)",
            "hypervolume": "the largest that a search has found, by python bench/known_fronts.py; BoTorch, with these"
            " references (it minimises -yield, hence the one below 0), states 2183455.9",
        },
    )


def penicillin(settings: Sequence[float]) -> tuple[float, float, float]:
    """Returns the penicillin (g/l), the carbon dioxide (g/l) and the hours that a fermentation took."""
    volume, biomass, temperature, glucose, feed, feed_glucose, ph = settings
    evaporation = EVAPORATION * math.expm1(5 * (temperature - BOILING) / (FREEZING - BOILING))
    growth = GROWTH * _acidity(10.0**-ph) * _warmth(temperature)
    made = carbon = 0.0
    hours = 0
    while hours < LONGEST:
        hours += 1
        swelling = feed - volume * evaporation
        growing = growth * glucose / (GROWTH_HALF * biomass + glucose) * biomass
        making = biomass * MAKING * glucose / (MAKING_HALF + glucose + glucose**2 / MAKING_INHIBITION)
        dilution = swelling / volume
        eaten = growing / BIOMASS_YIELD + making / PENICILLIN_YIELD + MAINTENANCE * biomass
        rise = making - (DECAY + dilution) * made
        growing -= dilution * biomass
        carbon += CARBON[0] * growing + CARBON[1] * biomass + CARBON[2]
        glucose += feed * feed_glucose / volume - eaten - dilution * glucose
        made += rise
        volume += swelling
        biomass += growing
        if volume > FULL or glucose < 0 or rise < STANDSTILL:
            break
    return made, carbon, float(hours)


def _acidity(h: float) -> float:
    """Returns how much of the growth a concentration of H+ (mol/l) leaves."""
    return 1 / (1 + ACID / h + h / BASE)


def _warmth(temperature: float) -> float:
    """Returns the factor of the growth at a temperature (K): activation less inactivation."""
    heat = GAS * temperature
    return ACTIVATION * math.exp(-ACTIVATION_ENERGY / heat) - INACTIVATION * math.exp(-INACTIVATION_ENERGY / heat)
