"""What tests of all methods must know of those that need an extra, or too long with their defaults."""

from __future__ import annotations

import pytest

from agentopt.optimizers.extras import EXTRAS

QUICK = {"gp": {"n_startup_trials": 16}, "smac": {"challengers": 100, "retrain_after": 16}}
"""Options with which the slow methods fit their models few times in 20 trials."""
QUICK_60 = {"gp": {"n_startup_trials": 55}, "smac": {"challengers": 50, "retrain_after": 30}}
"""The same for 60 trials."""


def available(method: str) -> None:
    """Skips the test where the method's extra is not installed."""
    extra = EXTRAS.get(method)
    if extra is not None and extra.missing:
        pytest.skip(f"{', '.join(extra.missing)} is not installed: {extra.fix}")
