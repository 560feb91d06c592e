"""The loop of a run: ask, journal, evaluate, journal, tell. Read this first.

Nothing here knows an algorithm, a model or a screen. The optimizer's state is rebuilt on resume by making the recorded
calls again, so what follows a crash is what would have followed without it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np

from agentopt.errors import OutOfTime, ReplayMismatch, RunError
from agentopt.journal import Asked, History, Journal
from agentopt.protocols import Done, Executor, Job, Objective, Optimizer, Task, minimised
from agentopt.trial import Origin, Outcome, Params, SeedRule, Status, Suggestion, Trial, suggestion_to_json


class Stop(StrEnum):
    """Why a session of a run ended."""

    TRIALS = "trials"
    """The budget of trials is spent."""
    SECONDS = "seconds"
    """The budget of wall seconds is spent; trials that it cut off stay pending."""
    FAILURES = "failures"
    """Trial after trial failed alike, and none of the session completed."""
    EXHAUSTED = "exhausted"
    """The optimizer has nothing left to suggest."""
    INTERRUPTED = "interrupted"
    CLOSED = "closed"
    """Its user, who makes the evaluations, closed the session."""
    ERROR = "error"


_COUNTED = frozenset({Status.FAILED, Status.INVALID, Status.TIMEOUT})
"""The failures that may mean that nothing can complete. Out of memory does not count: in a space of large and small
configurations it may well be what most of them come to, and costs little."""


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
        max_failures: int = 0,
        first: Sequence[Suggestion] = (),
        watch: Callable[[History], None] = lambda _: None,
    ) -> None:
        """The budget is the journal's, and so is which evaluation seed a configuration gets.

        `first` are suggestions to be run before the optimizer is asked; `watch` sees the history after each step. The
        run stops where `max_failures` trials in a row failed alike and none of the session completed; 0: never.
        """
        self._task, self._optimizer, self._executor, self._journal = task, optimizer, executor, journal
        self.max_failures = max_failures
        self._seed, self._first, self._watch = seed, first, watch
        self._seeds = SeedRule(journal.history.header.get("seeds", SeedRule.TRIAL))  # journals of before state none
        self._before = len(journal.history.trials)
        self._start = time.monotonic() - journal.history.elapsed
        self._flying: set[int] = set()
        self._unanswered = 0.0
        """Seconds spent in asks that were cut short."""

    @property
    def history(self) -> History:
        """What the journal says so far."""
        return self._journal.history

    @property
    def session(self) -> Sequence[Trial]:
        """The trials that finished since the run was opened."""
        return self.history.trials[self._before :]

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
            cut = sorted(self.history.pending) if stop is Stop.SECONDS else ()
            self._journal.stopped(stop.value, t=self._now(), asking=self._unanswered, cut=cut)
            self._watch(self.history)
        return stop

    def complaint(self, stop: Stop) -> str:
        """Returns what is to be said of a run that found nothing, with its first error in full; nothing of others."""
        trials, session = self.history.trials, self.session
        row = session[-self.max_failures :] if stop is Stop.FAILURES else session
        if stop is Stop.FAILURES:
            end = "Stopped: the next ones would most likely fail, too; --max-failures 0 goes on."
            what = f"{self.max_failures} trials in a row failed alike and none completed"
        elif stop is not Stop.INTERRUPTED and session and not any(trial.complete for trial in trials):
            what, end = f"None of {len(trials)} trials completed", ""
        else:
            return ""
        first = row[0].outcome
        text = f"{what}: {first.cause or first.status.value}. {end}".rstrip()
        more = len(first.error.strip().splitlines()) > 1
        return f"{text}\nThe error of trial {row[0].id} in full:\n{first.error.strip()}" if more else text

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _loop(self) -> Stop:
        if self.seconds_left() > 0:
            for number in list(self.history.pending):
                self._submit(number)
        while self.seconds_left() > 0:
            if self._is_hopeless():
                return Stop.FAILURES
            try:
                while asked := self._ask():
                    pass
            except OutOfTime:
                break  # the optimizer was cut short amid its work: only a replay may ask it again
            if not self._flying:
                return Stop.EXHAUSTED if asked is None else Stop.TRIALS
            left = self.seconds_left()
            for done in self._executor.wait(None if left == np.inf else max(0.0, left)):
                self._optimizer.tell(minimised(self._finish(done), self._task.objectives))
        self._cut_off()
        return Stop.SECONDS

    def _is_hopeless(self) -> bool:
        """Whether the session has seen failures only, the latest of them alike, and there is more to come."""
        session, trials = self.session, self.history.budget.trials
        last = session[-self.max_failures :]
        if not 0 < self.max_failures == len(last) or len(self.history.trials) == trials:
            return False
        alike = len({_kind(trial.outcome) for trial in last}) == 1 and last[0].outcome.status in _COUNTED
        return alike and not any(trial.complete for trial in session)

    def _cut_off(self) -> None:
        """Takes what has ended by now, and stops the trials in flight: they stay pending, for a larger budget.

        The optimizer, which is asked nothing any more, is told by the replay of the next session.
        """
        for done in self._executor.wait(0):
            self._finish(done)
        for number in sorted(self._flying):
            self._executor.cancel(number)

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

    def _finish(self, done: Done) -> Trial:
        self._flying.discard(done.id)
        trial = self._journal.finished(done.id, done.outcome, seconds=done.seconds, t=self._now())
        self._watch(self.history)
        return trial

    def seconds_left(self) -> float:
        """Returns what is left of the budget of wall seconds."""
        seconds = self.history.budget.seconds
        return np.inf if seconds is None else seconds - self._now()


def _kind(outcome: Outcome) -> tuple[Status, str]:
    """Returns what failures that are alike have in common: the status, and the kind of the cause, numbers apart."""
    return outcome.status, re.sub(r"[\d.]+", "#", outcome.cause.partition(":")[0])


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
