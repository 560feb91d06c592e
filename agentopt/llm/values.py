"""What passes between a method, the gateway and a backend: questions, requests, replies, and their errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from agentopt.llm.settings import ModelSettings

T = TypeVar("T")
REPAIR = "llm/repair"
"""The prompt file that asks once more for JSON."""


class ReplyError(ValueError):
    """A reply cannot be read; the text tells the model what is wrong."""


class PromptTooLong(Exception):
    """A backend's model cannot take so long a prompt together with the reply that was asked for."""


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What a reply says, and what had to be mended in it."""

    value: T
    issues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """The end of one request: a value, or none after the repair round failed too."""

    value: T | None
    calls: tuple[int, ...]
    """The exchanges it took, as numbered in the ledger."""
    reason: str = ""
    """Why there is no value."""
    issues: tuple[str, ...] = ()
    too_long: bool = False
    """Whether the prompt did not fit into the model's context: a shorter one may."""


@dataclass(frozen=True, slots=True)
class Request:
    """One exchange as a backend sees it."""

    messages: tuple[tuple[str, str], ...]
    """Pairs of role (`user`, `assistant`) and text."""
    schema: Mapping[str, Any] | None
    """The JSON schema that the reply must follow, where the backend can constrain it."""
    seed: int
    call: int
    view: Mapping[str, Any]
    """What the optimizer knows, for scripted models that compute their reply."""
    settings: ModelSettings

    @property
    def text(self) -> str:
        """The whole prompt as the ledger keeps it."""
        return _joined(self.messages)

    @property
    def before(self) -> str:
        """The prompt without its last message: of a repair all but the words that ask for it."""
        return _joined(self.messages[:-1]) if len(self.messages) > 1 else ""


def _joined(messages: tuple[tuple[str, str], ...]) -> str:
    first, *rest = messages
    return "".join([first[1], *(f"\n\n[{role}]\n{text}" for role, text in rest)])


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """One thing to be asked."""

    prompt: str
    read: Callable[[str], Read[T]]
    """Reads a reply; raises ReplyError for one that cannot be read."""
    schema: Mapping[str, Any] | None = None
    view: Mapping[str, Any] = field(default_factory=dict)
    repair: str = REPAIR
    """The prompt file with the words that ask once more for a reply of this form, given the `reason`."""
