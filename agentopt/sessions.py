"""What the sessions of a run are given: the first one with its start, later ones by what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from agentopt.trial import Json


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend over all its sessions; None: no limit."""

    trials: int | None = None
    seconds: float | None = None
    """Wall seconds."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a session is given; None: as before."""

    budget: Budget | None = None
    max_failures: int | None = None
    base_url: str | None = None
    """Where the model is served."""
    made_of: Mapping[str, str] | None = None
    """The digests of the files and the versions of the packages (`agentopt.provenance`)."""
    differs: tuple[str, ...] | None = None
    """What of these is not as it was, in words."""

    def to_json(self) -> dict[str, Json]:
        """Returns what is given as the journal writes it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def then(self, later: Given) -> Given:
        """Returns what a later session has, which is given this on top."""
        return replace(self, **{f.name: v for f in fields(later) if (v := getattr(later, f.name)) is not None})


@dataclass(frozen=True, slots=True)
class Change:
    """What a session was given that the run was not started with."""

    at: str
    """When, in ISO 8601."""
    trials: int
    """How many trials had finished by then."""
    given: Given


def planned(header: Mapping[str, Json]) -> Budget:
    """Returns the budget that a run was started with."""
    return _budget(header.get("budget", {}))


def given_from_json(record: Mapping[str, Json]) -> Given:
    """Returns what a record of the journal gives, one with the run's header among them."""
    return Given(
        budget=_budget(record["budget"]) if "budget" in record else None,
        max_failures=record.get("max_failures"),
        base_url=record.get("base_url"),
        made_of=record.get("made_of"),
        differs=tuple(record["differs"]) if "differs" in record else None,
    )


def _budget(record: Mapping[str, Json]) -> Budget:
    return Budget(record.get("trials"), record.get("seconds"))
