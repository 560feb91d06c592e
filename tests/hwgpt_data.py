"""Where HW-GPT-Bench's nets lie: they are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

from agentopt.problems.hwgpt_nets import RANGES, VARIABLE, WEIGHTS

MISSING = f"HW-GPT-Bench's nets are not here: set {VARIABLE} to the folder of {WEIGHTS} and {RANGES}"


def hwgpt_folder() -> Path | None:
    """The folder of both files: `$AGENTOPT_DATA`, or a `data` folder beside the repository."""
    folders = [Path(os.environ[VARIABLE])] if VARIABLE in os.environ else []
    folders.extend(sorted(Path(__file__).resolve().parents[2].glob("*/data")))
    return next((f for f in folders if (f / WEIGHTS).is_file() and (f / RANGES).is_file()), None)
