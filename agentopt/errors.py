"""The errors that agentopt raises on purpose, and the exit code that each one means.

    AgentoptError
    |-- UsageError           the user asked for something that cannot be: exit code 2, nothing was run
    |-- RunError             a run had to stop: exit code 1, what it had found is kept
        |-- ModelUnavailable     no reply can be had from the language model: the run is resumable
        |-- JournalError         the run folder cannot be read or belongs to another process
        |-- ReplayMismatch       what is asked now differs from what the run folder recorded
        |-- OutOfTime            the time budget ended while a language model was asked: the loop ends the run

Failures of a trial are not here: they are values (`agentopt.trial.Status`).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AgentoptError(Exception):
    """An error whose text is meant for the user: what was wrong, where, and the fix."""


class UsageError(AgentoptError):
    """The request cannot be carried out as it was written."""


class RunError(AgentoptError):
    """A run had to stop before its budget was spent."""


class ModelUnavailable(RunError):
    """The language model gives no reply."""


class JournalError(RunError):
    """A run folder cannot be read, or another process holds it."""


class ReplayMismatch(RunError):
    """A resumed run asked for something else than the journal recorded."""


class OutOfTime(RunError):
    """The run's time budget was spent while the optimizer waited for a language model."""


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """Returns the error for a name that is not known, with the nearest one that is, and `where` it was looked for."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) if names else "none"
    place = f" in {where}" if where else ""
    return UsageError(f"Unknown {kind} {name!r}{place}.{hint} Known: {listed}.")
