"""`AskTell`: a search whose evaluations are made by its user."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from agentopt.api.opening import Model, Space, folder_of, function_task, objectives_of, open_function_run, telling
from agentopt.build import Say
from agentopt.config import DEFAULT_METHOD
from agentopt.errors import UsageError
from agentopt.outcomes import NoResultError, read_outcome
from agentopt.progress import watcher_of
from agentopt.protocols import ASK_TELL, Objective, Optimizer, minimised
from agentopt.report.fronts import Front, front_of
from agentopt.report.load import best_of
from agentopt.study import Stop, replay
from agentopt.trial import Origin, Outcome, Params, Suggestion, Trial, brief


class AskTell:
    """A search whose evaluations are made elsewhere: by hand, on a cluster, in a laboratory.

    With `run` everything is kept in that folder, and a later session with the same arguments (`trials` may be others)
    goes on where the last one ended. Usable as a context manager.

        with AskTell([Float("x", -5, 5)], method="cmaes", seed=1, run="runs/by-hand") as search:
            for _ in range(20):
                trial, = search.ask()
                search.tell(trial.id, (trial.params["x"] - 2) ** 2)
            print(search.best)
    """

    def __init__(
        self,
        space: Space,
        method: str = DEFAULT_METHOD,
        *,
        objectives: Sequence[Objective] = (Objective(),),
        trials: int | None = None,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        model: Model | None = None,
        run: str | Path | None = None,
        default: bool = True,
        description: str = "",
        say: Say | None = None,
    ) -> None:
        """`trials` is the number of evaluations planned, where there is one; `description` tells a model the topic.

        The other arguments are those of `minimize`.
        """
        self._objectives = objectives_of(objectives, maximize=False)
        task = function_task(ASK_TELL, _not_called, space, self._objectives, description)
        settings: dict[str, Any] = {"trials": trials, "method": method, "seed": seed, "options": options or {}}
        with ExitStack() as stack:
            settings |= {"model": model, "default": default}
            folder = folder_of(run, stack)
            say = say or telling(watcher_of(folder))
            self._open = open_function_run(task, settings, folder, stack, say, default_trials=None)
            self._journal = self._open.journal
            self._start = time.monotonic() - self._journal.history.elapsed
            replay(self._journal.run, self._journal.history, self._open.optimizer, self._objectives)
            self._optimizer: Optimizer | None = self._open.optimizer
            self._unanswered = 0.0
            self._closed = False
            self._resources = stack.pop_all()

    def __repr__(self) -> str:
        counts = {"told": len(self.trials), "pending": len(self.pending)}
        return brief("AskTell", method=self._open.config.method, **counts, best=self.best)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that were told, in the order of the telling, in their own units."""
        return tuple(self._journal.history.trials)

    @property
    def pending(self) -> tuple[Ask, ...]:
        """What was asked and not told yet, in earlier sessions too."""
        pending = self._journal.history.pending
        return tuple(Ask(number, dict(params), s.origin) for number, (s, params) in pending.items())

    @property
    def best(self) -> Trial | None:
        """The best complete trial, of several objectives in the first one."""
        return best_of(self.trials, self._objectives)

    @property
    def front(self) -> Front:
        """The Pareto set of several objectives, with its hypervolume and the reference point that this counts from."""
        return front_of(self.trials, self._objectives)

    def ask(self, n: int = 1) -> list[Ask]:
        """Returns up to `n` configurations to be evaluated; none where pending ones must be told first.

        A call that is cut short, by Ctrl-C or because the model is gone, has asked nothing: the next one starts anew.
        """
        self._check_open()
        with self._called() as optimizer:
            history, began = self._journal.history, time.perf_counter()
            suggestions: Sequence[Suggestion] = self._open.first[history.next_id :][:n]
            asked = 0 if suggestions else n
            suggestions = suggestions or optimizer.ask(n)
            if not suggestions:
                return []
            params = [self._open.task.repair(suggestion.params) for suggestion in suggestions]
            seconds = time.perf_counter() - began
            ids = self._journal.asked(asked, suggestions, params, t=self._now(), seconds=seconds)
        return [Ask(i, dict(p), s.origin) for i, p, s in zip(ids, params, suggestions, strict=True)]

    def tell(self, trial: int, result: object, *, seconds: float = 0.0) -> Trial:
        """Takes what came of a trial: a number, one per objective, a mapping with them, or an `Outcome`.

        Raises UsageError for what is none of these: the trial then waits for another result. Numbers that are not
        finite make a failed trial.
        """
        self._check_open()
        if trial not in self._journal.history.pending:
            raise UsageError(f"Trial {trial} was not asked, or has been told already.")
        try:
            outcome = result if isinstance(result, Outcome) else read_outcome(result, self._objectives)
        except NoResultError as error:
            raise UsageError(f"Trial {trial} can still be told; this is no result of it: {error}.") from error
        told = self._journal.finished(trial, outcome, seconds=seconds, t=self._now())
        if self._optimizer is not None:  # else the next ask builds it from the journal, this trial in it
            with self._called() as optimizer:
                optimizer.tell(minimised(told, self._objectives))
        return told

    def close(self) -> None:
        """Ends the session; a kept run folder can be opened again. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        planned = self._journal.history.budget.trials
        reason = Stop.TRIALS if planned is not None and len(self.trials) >= planned else Stop.CLOSED
        self._journal.stopped(reason.value, t=self._now(), asking=self._unanswered)
        self._resources.close()

    @contextmanager
    def _called(self) -> Iterator[Optimizer]:
        """Gives the optimizer for one call; where that raises, the next call gets a new one, brought to the journal."""
        began = time.perf_counter()
        try:
            optimizer = self._open.new_optimizer() if self._optimizer is None else self._optimizer
            self._optimizer = None
            yield optimizer
        except BaseException:
            self._unanswered += time.perf_counter() - began
            raise
        self._optimizer = optimizer

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("This AskTell session is closed. A kept one goes on with AskTell(..., run=...).")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _now(self) -> float:
        return time.monotonic() - self._start


@dataclass(frozen=True)
class Ask:
    """One configuration that is to be evaluated."""

    id: int
    params: dict[str, Any]
    origin: Origin


def _not_called(_: Params) -> NoReturn:
    raise UsageError("The evaluations of an AskTell session are made by its user.")
