"""What a later session may be given that the run was not started with, checked against what the run has done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentopt.config import RunConfig, Seconds
from agentopt.errors import JournalError, UsageError
from agentopt.journal import History, Journal, read_history
from agentopt.llm import kind_of
from agentopt.provenance import differences
from agentopt.sessions import Budget, Given

NOT_REPEATABLE = (
    "Another run with this seed may get other replies from {model}: a served model does not promise the same. This run"
    " keeps its replies, and a resume repeats them exactly."
)


class Changes(BaseModel):
    """What a session is given; None: as before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int | None = Field(None, ge=1, description="The budget of trials, those of earlier sessions among them.")
    budget: Seconds | None = Field(None, description="The budget of wall seconds, earlier sessions among them.")
    max_failures: int | None = Field(None, ge=0, description="See `RunConfig.max_failures`.")
    base_url: str | None = Field(None, description="The endpoint that serves the model.")
    strict: bool = Field(default=False, description="Whether code that has changed is refused.")


def moved(config: RunConfig, run: Path, base_url: str | None) -> dict[str, Any]:
    """Returns a run's settings with the address of its model that is given now, else the latest that was.

    Raises UsageError where the run asks no endpoint.
    """
    settings = config.model_dump(exclude_none=True)
    if base_url is not None and (config.model is None or kind_of(config.model) == "scripted"):
        whom = "no language model" if config.model is None else f"{config.model.name}, which is no endpoint"
        raise UsageError(f"{run} asks {whom}: leave --base-url out.")
    before = None
    with suppress(JournalError):  # a first record that a crash left torn is written again
        before = read_history(run).now.base_url
    if config.model is not None and (address := base_url or before) is not None:
        settings["model"]["base_url"] = address
    return settings


def apply(changes: Changes, journal: Journal, made_of: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Records what the session is given, and says what of the run's code is not as it was.

    Raises UsageError where the run has spent more than it is given, or its code is another and `strict` refuses that.
    """
    run, history = journal.run, journal.history
    budget = _budget(changes, run, history)
    differs = differences(history.now.made_of or {}, made_of)
    if differs:
        what = f"{run} is not made of what it was: {'; '.join(differs)}."
        if changes.strict:
            raise UsageError(f"{what} Put that back, start a new run, or resume without --strict.")
        say(f"{what} Trials from here on may differ from those before; --strict refuses this.")
    given = Given(
        budget=None if budget == history.budget else budget,
        max_failures=changes.max_failures,
        base_url=changes.base_url,
        made_of=made_of if differs else None,
        differs=tuple(differs) or None,
    )
    journal.changed(given)


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
