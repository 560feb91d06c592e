"""Replies of a model that were recorded: `--model scripted:bench/recorded_priors.py:reply`, a prior without its server.

The environment variable PRIORS names a file of JSON lines, each with a `task` and `configs`, a list of configurations
that a model gave for it when it was asked for the one that it expects to work best. `reply` draws one of those of the
task; `shuffled` one of those of another task of the same suite: what the model knows of such tasks and not of this one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


@cache
def recorded() -> dict[str, list[dict[str, Any]]]:
    """Returns the configurations by task."""
    lines = Path(os.environ["PRIORS"]).read_text(encoding="utf-8").splitlines()
    return {row["task"]: row["configs"] for row in map(json.loads, lines)}


def reply(_prompt: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one of the answers for the task."""
    answers = recorded()[view["task"]]
    return {"values": answers[np.random.default_rng(view["seed"]).integers(len(answers))]}


def shuffled(_prompt: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one of the answers for another task of the suite."""
    suite = view["task"].split("-")[0]
    others = [task for task in sorted(recorded()) if task.split("-")[0] == suite and task != view["task"]]
    rng = np.random.default_rng(view["seed"])
    answers = recorded()[others[rng.integers(len(others))]]
    return {"values": answers[rng.integers(len(answers))]}
