"""The colours and marks of figures: the palette of Okabe and Ito, which colour-blind people can tell apart."""

from __future__ import annotations

from agentopt.trial import Origin, Status

BLACK = "#000000"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
"""For anything that has no colour of its own, such as the methods of a comparison."""

_COLOURS = {
    Origin.BASELINE: BLACK,
    Origin.USER: BLACK,
    Origin.RANDOM: "#999999",
    Origin.SOBOL: "#999999",
    Origin.CMAES: "#0072B2",
    Origin.TPE: "#56B4E9",
    Origin.GP: "#56B4E9",
    Origin.SMAC: "#56B4E9",
    Origin.NEVERGRAD: "#56B4E9",
    Origin.NSGA2: "#56B4E9",
    Origin.EVOLUTION: "#56B4E9",
    Origin.LOCAL: "#009E73",
    Origin.LLM: "#D55E00",
    Origin.FALLBACK: "#CC79A7",
    Origin.CONTROL: "#E69F00",
    Origin.REPEAT: "#999999",
}
_STATUS_COLOURS = {
    Status.FAILED: "#D55E00",
    Status.OOM: "#CC79A7",
    Status.TIMEOUT: "#E69F00",
    Status.INVALID: "#56B4E9",
    Status.PRUNED: "#999999",
}


def colour(origin: Origin) -> str:
    """Returns an origin's colour; grey for one that has none."""
    return _COLOURS.get(origin, "#999999")


def status_colour(status: Status) -> str:
    """Returns the colour of a way to fail."""
    return _STATUS_COLOURS.get(status, "#999999")
