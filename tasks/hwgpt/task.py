"""HW-GPT-Bench: the architecture of a GPT, its perplexity and its cost."""

from __future__ import annotations

from collections.abc import Sequence

from agentopt.problems.hwgpt import DEFAULT, SCALES, hwgpt_task, scale_of
from agentopt.task import FunctionTask

VARIANTS = tuple(SCALES)


def make(variant: str = "", objectives: str | Sequence[str] = DEFAULT) -> FunctionTask:
    """Returns the task of a scale: `s`, `m` or `l`."""
    return hwgpt_task(scale_of(variant), objectives)
