"""What a later session may be given that the run was not started with, checked against what the run has done."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agentopt.config import Seconds
from agentopt.errors import UsageError
from agentopt.journal import Budget, History, Journal


class Changes(BaseModel):
    """What a session is given; None: as before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int | None = Field(None, ge=1, description="The budget of trials, those of earlier sessions among them.")
    budget: Seconds | None = Field(None, description="The budget of wall seconds, earlier sessions among them.")
    max_failures: int | None = Field(None, ge=0, description="See `RunConfig.max_failures`.")


def apply(changes: Changes, journal: Journal) -> None:
    """Records what the session is given; raises UsageError where the run has spent more than that already."""
    budget = _budget(changes, journal.run, journal.history)
    journal.changed(
        budget=None if budget == journal.history.budget else budget,
        max_failures=changes.max_failures,
    )


def _budget(changes: Changes, run: Path, history: History) -> Budget:
    """Returns what the run may spend from now on."""
    before = history.budget
    if changes.trials is None and changes.budget is None:
        return before
    now = Budget(changes.trials or before.trials, changes.budget or before.seconds)
    started = history.next_id
    if now.trials is not None and now.trials < started:
        raise UsageError(
            f"{run} has started {started} trials, and a budget counts them: give {started} trials or more,"
            f" not {now.trials}."
        )
    if now.trials is not None and now.trials == before.trials and len(history.trials) >= now.trials:
        raise UsageError(f"{run} has run all of its {now.trials} trials: give more trials than {now.trials}.")
    if now.seconds is not None and now.seconds <= history.elapsed:
        spent = f"lasted {history.elapsed:.3g} s, and a budget counts them" if changes.budget else "spent its budget"
        raise UsageError(f"{run} has {spent}: give a budget of more than {history.elapsed:.3g}s.")
    return now
