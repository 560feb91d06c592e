"""Classical optimizers and local language models search together.

Names load on use, so that `import agentopt` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentopt.api import AskTell, Result, minimize
    from agentopt.protocols import Objective, Task
    from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace
    from agentopt.study import Study
    from agentopt.task import FunctionTask, load_task
    from agentopt.trial import Outcome, Status, Trial

    __version__: str

_HOMES = {
    "AskTell": "agentopt.api",
    "Result": "agentopt.api",
    "minimize": "agentopt.api",
    "Objective": "agentopt.protocols",
    "Task": "agentopt.protocols",
    "AtLeast": "agentopt.space",
    "Choice": "agentopt.space",
    "Float": "agentopt.space",
    "Int": "agentopt.space",
    "SearchSpace": "agentopt.space",
    "Study": "agentopt.study",
    "FunctionTask": "agentopt.task",
    "load_task": "agentopt.task",
    "Outcome": "agentopt.trial",
    "Status": "agentopt.trial",
    "Trial": "agentopt.trial",
}

__all__ = [
    "AskTell",
    "AtLeast",
    "Choice",
    "Float",
    "FunctionTask",
    "Int",
    "Objective",
    "Outcome",
    "Result",
    "SearchSpace",
    "Status",
    "Study",
    "Task",
    "Trial",
    "__version__",
    "load_task",
    "minimize",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("agentopt")
    if name not in _HOMES:
        raise AttributeError(f"module 'agentopt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
