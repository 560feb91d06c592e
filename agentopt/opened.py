"""A run folder that is open for writing: what executes it, and what closes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agentopt.config import RunConfig
from agentopt.errors import RunError
from agentopt.journal import Journal
from agentopt.protocols import Optimizer, Task
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.study import Stop, Study, replay
from agentopt.trial import Suggestion


@dataclass
class OpenRun:
    """A run folder that is open for writing, and the study in it."""

    config: RunConfig
    run: Path
    task: Task
    optimizer: Optimizer
    journal: Journal
    first: list[Suggestion]
    """What is run before the optimizer is asked."""
    study: Study
    say: Callable[[str], None]
    _again: Callable[[], Optimizer]
    _resources: ExitStack

    def execute(self) -> Stop:
        """Runs until a budget is spent, trial after trial fails alike, or the run is interrupted."""
        stop = self.study.run()
        for words in (self.study.complaint(stop), self._account()):
            if words:
                self.say(words)
        return stop

    def _account(self) -> str:
        """Returns what the optimizer has to say of the run at its end; a fault in it is no fault of the run."""
        try:
            return str(self.optimizer.explain().get("in_words", ""))
        except Exception as error:
            return f"{self.config.method} could not explain itself ({type(error).__name__}: {error})."

    def new_optimizer(self) -> Optimizer:
        """Returns the optimizer as a resumed session has it: built anew and brought to where the journal is.

        A call that raised, whatever became of it in the old one, was not made then. A model that died is started again.
        """
        self.journal.reload()
        optimizer = self._again()
        replay(self.run, self.journal.history, optimizer, self.task.objectives)
        return optimizer

    def close(self) -> None:
        """Closes the journal, lets go of the model, and removes what trials that were cut off left checked out."""
        if (self.run / REPOSITORY).is_dir():
            with suppress(RunError):  # a sandbox may need a moment more to end
                Repository(self.run / REPOSITORY).remove_worktrees()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
