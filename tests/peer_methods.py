"""What tests of all methods must know of those that need an extra, or too long with their defaults."""

from __future__ import annotations

import pytest

from agentopt.optimizers.extras import EXTRAS

QUICK = {
    "gp": {"initial": 18},
    "auto": {"initial": 18},
    "optuna-gp": {"n_startup_trials": 18},
    "llambo": {"samples": 2},
    "smac": {"challengers": 20, "retrain_after": 16, "n_trees": 3},
}
"""Options with which the slow methods fit their models few times in 20 trials."""
QUICK_60 = {
    "gp": {"initial": 48},
    "auto": {"initial": 48},
    "optuna-gp": {"n_startup_trials": 55},
    "smac": {"challengers": 20, "retrain_after": 30, "n_trees": 3},
}
"""The same for 60 trials."""


def available(method: str) -> None:
    """Skips the test where the method's extra is not installed."""
    extra = EXTRAS.get(method)
    if extra is not None and extra.missing:
        pytest.skip(f"{', '.join(extra.missing)} is not installed: {extra.fix}")
