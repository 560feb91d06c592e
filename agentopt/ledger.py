"""The ledger of a run: every exchange with a language model, what it cost and what was made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from agentopt.log import Log, read_log

FILE = "llm.jsonl"


ExchangeStatus: TypeAlias = Literal["ok", "invalid", "too_long", "error"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One prompt and what came back."""

    call: int
    """The number of the exchange within the run, from 0; an attempt that failed in transport has its retry's number."""
    status: ExchangeStatus
    """`ok`: the reply was used; `invalid`: it could not be read; `too_long`: the prompt did not fit into the model's
    context; `error`: none came."""
    prompt: str
    reply: str
    model: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Temperature, seed and limits as they were sent."""
    repairs: int | None = None
    """The number of the exchange whose invalid reply this one was to repair."""
    reason: str = ""
    """Why the reply could not be read, or why none came."""
    issues: tuple[str, ...] = ()
    """What was mended in a reply that was used: `clipped:x`, `unknown:y` and the like."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def prompt_hash(self) -> str:
        """The SHA-256 of the prompt, in hexadecimal, shortened."""
        return hashlib.sha256(self.prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Ledger:
    """A handle on the ledger of a run folder: its one writer's, or a reader's."""

    def __init__(self, run: Path, *, writing: bool = True) -> None:
        self.recorded = {e.call: e for e in read_ledger(run) if e.status != "error"}
        """The replies that the run folder holds already, by call."""
        self._log = Log(run / FILE) if writing else None

    def append(self, exchange: Exchange) -> None:
        """Writes one exchange durably."""
        assert self._log is not None, "this handle is a reader's"
        self._log.append({"hash": exchange.prompt_hash, **asdict(exchange)}, durable=True)

    def close(self) -> None:
        """Closes the file."""
        if self._log is not None:
            self._log.close()


def read_ledger(run: Path) -> list[Exchange]:
    """Returns the exchanges of a run folder, oldest first; none where the run asked no model."""
    exchanges = []
    for record in read_log(run / FILE)[0]:
        fields = {name: value for name, value in record.items() if name != "hash"}
        exchanges.append(Exchange(**{**fields, "issues": tuple(fields["issues"])}))
    return exchanges
