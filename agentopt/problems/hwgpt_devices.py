"""Latency and energy of an architecture on a device: a model calibrated to published ranges, not measurements.

HW-GPT-Bench publishes, per scale and device, the lowest and the highest latency (ms) and energy (Wh) that it observed.
The model is a x layers + b x operations, with a and b such that the smallest architecture has the lowest figure and the
largest one the highest. Where that asks for a below 0 (some published minima are at or below 0), a is 0 and only the
highest figure is met.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agentopt.errors import UsageError

DEVICES = (
    "h100",
    "a100",
    "a6000",
    "a40",
    "v100",
    "rtx3080",
    "rtx2080",
    "P100",
    "cpu_xeon_gold",
    "cpu_xeon_silver",
    "cpu_amd_7452",
    "cpu_amd_7502",
    "cpu_amd_7513",
)
KINDS: Mapping[str, str] = {"latency": "latencies", "energy": "energies"}
"""What can be asked of a device, and the file's word for it."""
CALIBRATED = "calibrated, not measured"
OBJECTIVES = tuple(f"{kind}-{device}" for kind in KINDS for device in DEVICES)


@dataclass(frozen=True)
class Load:
    """What an architecture asks of a device."""

    layers: int
    flops: float
    """10^12 operations."""


@dataclass(frozen=True)
class Cost:
    """One of the figures of a device, as a function of the load."""

    per_layer: float
    per_flop: float
    highest: float
    """The published maximum."""

    def __call__(self, load: Load) -> float:
        """Returns milliseconds or watt hours."""
        return self.per_layer * load.layers + self.per_flop * load.flops


def calibrate(low: float, high: float, smallest: Load, largest: Load) -> Cost:
    """Returns the model of a device whose figures are published to lie between `low` and `high`."""
    share = smallest.layers / largest.layers
    per_layer = 0.0
    per_flop = (high * share - low) / (largest.flops * share - smallest.flops)
    if per_flop > 0:
        per_layer = (low - per_flop * smallest.flops) / smallest.layers
    if per_layer <= 0:
        return Cost(0.0, high / largest.flops, high)
    return Cost(per_layer, per_flop, high)


@cache
def read_ranges(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Returns the published ranges by the file's keys, as in `n_latencies_s_h100`."""
    try:
        found: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    return found


def published(path: Path, objective: str, scale: str) -> tuple[float, float]:
    """Returns the range of an objective, as in `latency-h100`; raises UsageError where the file has none."""
    kind, _, device = objective.partition("-")
    key = f"n_{KINDS[kind]}_{scale}_{device}"
    try:
        entry = read_ranges(path)[key]
        return float(entry["min"]), float(entry["max"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no range {key!r} with min and max: see tasks/hwgpt/README.md.") from error
