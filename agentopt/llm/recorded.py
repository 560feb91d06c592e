"""What stands in a model's place where nothing is to be asked: the recorded replies are all there is."""

from __future__ import annotations

from typing import Any, NoReturn

from agentopt.errors import UsageError
from agentopt.llm.values import Request


class RecordedBackend:
    """The backend of a run that is only read."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def chat(self) -> NoReturn:
        """There is none: raises UsageError."""
        raise UsageError(
            f"A reply of {self.name} that the run builds on is not recorded in its llm.jsonl, and no model is asked."
        )

    def options(self, request: Request) -> dict[str, Any]:
        """Nothing is sent."""
        return {}

    def transient(self, error: Exception) -> bool:
        """What is not recorded will not be."""
        return False

    def too_long(self, error: Exception) -> bool:
        """Nothing is sent."""
        return False

    def recover(self) -> bool:
        """There is nothing to bring back."""
        return False

    def close(self) -> None:
        """There is nothing to let go of."""
