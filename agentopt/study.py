"""The loop of a run: ask, journal, evaluate, journal, tell. Read this first.

Nothing here knows an algorithm, a model or a screen. The optimizer's state is rebuilt on resume by making the recorded
calls again, so what follows a crash is what would have followed without it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np

from agentopt.errors import OutOfTime, ReplayMismatch, RunError
from agentopt.journal import Asked, History, Journal
from agentopt.protocols import Done, Executor, Job, Objective, Optimizer, Task, minimised
from agentopt.trial import Origin, Params, SeedRule, Suggestion, suggestion_to_json


class Stop(StrEnum):
    """Why a session of a run ended."""

    TRIALS = "trials"
    """The budget of trials is spent."""
    SECONDS = "seconds"
    """The budget of wall seconds is spent."""
    EXHAUSTED = "exhausted"
    """The optimizer has nothing left to suggest."""
    INTERRUPTED = "interrupted"
    CLOSED = "closed"
    """Its user, who makes the evaluations, closed the session."""
    ERROR = "error"


def trial_seed(seed: int, number: int) -> int:
    """Returns the evaluation seed of a trial: a function of the run's seed and the trial's id (or replicate) alone."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class Study:
    """One run of an optimizer on a task."""

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        executor: Executor,
        journal: Journal,
        *,
        seed: int,
        first: Sequence[Suggestion] = (),
        watch: Callable[[History], None] = lambda _: None,
    ) -> None:
        """The budget is the journal's, and so is which evaluation seed a configuration gets.

        `first` are suggestions to be run before the optimizer is asked; `watch` sees the history after each step.
        """
        self._task, self._optimizer, self._executor, self._journal = task, optimizer, executor, journal
        self._seed, self._first, self._watch = seed, first, watch
        self._seeds = SeedRule(journal.history.header.get("seeds", SeedRule.TRIAL))  # journals of before state none
        self._start = time.monotonic() - journal.history.elapsed
        self._flying: set[int] = set()
        self._unanswered = 0.0
        """Seconds spent in asks that were cut short."""

    @property
    def history(self) -> History:
        """What the journal says so far."""
        return self._journal.history

    def run(self) -> Stop:
        """Runs until a budget is spent, and returns which; every error leaves a resumable run folder."""
        stop = Stop.ERROR
        try:
            replay(self._journal.run, self.history, self._optimizer, self._task.objectives)
            stop = self._loop()
        except KeyboardInterrupt:
            stop = Stop.INTERRUPTED
        except RunError:
            raise
        finally:
            self._executor.close()
            self._journal.stopped(stop.value, t=self._now(), asking=self._unanswered)
            self._watch(self.history)
        return stop

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _loop(self) -> Stop:
        for number in list(self.history.pending):
            self._submit(number)
        while True:
            if self.seconds_left() <= 0:
                for number in sorted(self._flying):
                    self._finish(self._executor.cancel(number, "stopped: the run's time budget was spent"))
                return Stop.SECONDS
            try:
                while asked := self._ask():
                    pass
            except OutOfTime:
                continue
            if not self._flying:
                return Stop.EXHAUSTED if asked is None else Stop.TRIALS
            left = self.seconds_left()
            for done in self._executor.wait(None if left == np.inf else max(0.0, left)):
                self._finish(done)

    def _ask(self) -> int | None:
        """Asks for as many trials as may start now, and starts them; None: the optimizer had nothing to give."""
        room = self._executor.capacity - len(self._flying)
        if (trials := self.history.budget.trials) is not None:
            room = min(room, trials - self.history.next_id)
        if room <= 0:
            return 0
        start = time.perf_counter()
        if self.history.next_id < len(self._first):
            n, suggestions = 0, list(self._first[self.history.next_id :][:room])
        else:
            try:
                n, suggestions = room, self._optimizer.ask(room)
            except (OutOfTime, KeyboardInterrupt):
                self._unanswered += time.perf_counter() - start
                raise
        if not suggestions:
            return None
        params = [s.params if s.edit is not None else self._task.repair(s.params) for s in suggestions]
        ids = self._journal.asked(n, suggestions, params, t=self._now(), seconds=time.perf_counter() - start)
        self._watch(self.history)
        for number in ids:
            self._submit(number)
        return len(ids)

    def _submit(self, number: int) -> None:
        suggestion, params = self.history.pending[number]
        edit = suggestion.edit
        self._flying.add(number)
        own = number if self._seeds is SeedRule.TRIAL else 0
        seed = trial_seed(self._seed, own if edit is None else edit.replicate)
        self._executor.submit(Job(number, params, seed, edit))

    def _finish(self, done: Done) -> None:
        self._flying.discard(done.id)
        trial = self._journal.finished(done.id, done.outcome, seconds=done.seconds, t=self._now())
        self._optimizer.tell(minimised(trial, self._task.objectives))
        self._watch(self.history)

    def seconds_left(self) -> float:
        """Returns what is left of the budget of wall seconds."""
        seconds = self.history.budget.seconds
        return np.inf if seconds is None else seconds - self._now()


def replay(run: Path, history: History, optimizer: Optimizer, objectives: Sequence[Objective]) -> None:
    """Makes a run's recorded calls on a new optimizer; raises ReplayMismatch where it does not answer as it did."""
    for event in history.events:
        if isinstance(event, Asked):
            if event.n and _as_written(optimizer.ask(event.n)) != _as_written(event.suggestions):
                raise ReplayMismatch(
                    f"Trial {event.ids[0]} of {run} cannot be repeated: the optimizer now suggests something"
                    " else. Resume with the versions that config.toml names, or start a new run."
                )
        else:
            optimizer.tell(minimised(event.trial, objectives))


def _as_written(suggestions: Sequence[Suggestion]) -> list[object]:
    return [json.loads(json.dumps(suggestion_to_json(suggestion))) for suggestion in suggestions]


def baseline(params: Params) -> Suggestion:
    """Returns the suggestion of a task's default configuration."""
    return Suggestion(params, Origin.BASELINE)
