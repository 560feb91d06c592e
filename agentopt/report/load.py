"""What a run folder says: its journal and its ledger as one frozen value, with the tables derived from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agentopt.code.keeper import Keeper
from agentopt.journal import History, is_written, read_history
from agentopt.ledger import Exchange, read_ledger
from agentopt.protocols import Objective, is_ask_tell, minimised
from agentopt.report.fronts import Front, front_of, known_hypervolume
from agentopt.report.keeping import Standing, new_keeper, standing_of
from agentopt.report.replies import kind_of, reply_counts
from agentopt.sessions import Budget, Change
from agentopt.space import SearchSpace
from agentopt.trial import Json, Origin, Status, Trial

DONE = frozenset({"trials", "seconds", "exhausted"})
"""The reasons to stop that leave nothing to resume."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the wall time of a run went."""

    total: float
    llm: float
    """Waiting for the language model."""
    evaluate: float
    """Evaluating, all workers together."""
    overhead: float
    """What is left of the total when the others are taken away, as if all workers had been busy alike."""


@dataclass(frozen=True, slots=True)
class Group:
    """The trials of one origin or one status."""

    name: str
    trials: int
    complete: int
    failed: int
    """Those without values."""
    best: float | None
    """The best first value of what counts as found, in the task's units."""
    front: int
    """Those on the front, of several objectives."""
    seconds: float


@dataclass(frozen=True)
class RunReport:
    """A run as its folder tells it. Trials are in the order in which they ended, values in the task's units."""

    run: Path
    header: Mapping[str, Json]
    status: str
    """running, done, interrupted, stopped (by an error that was named, or by failures alone) or crashed.

    Where its user makes the evaluations it is open or closed, in place of running or interrupted.
    """
    stopped: str
    trials: tuple[Trial, ...]
    pending: int
    exchanges: tuple[Exchange, ...]
    elapsed: float
    asking: float
    damaged: int
    cut: int = 0
    """How many of the pending trials the time budget cut off; they have no outcome."""
    budget: Budget = field(default_factory=Budget)
    """What the run may spend: the latest budget that it was given."""
    changes: tuple[Change, ...] = ()
    """What later sessions were given that the run was not started with."""

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.header["method"])

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.header["task"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.header["seed"])

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The task's objectives."""
        return tuple(Objective(**record) for record in self.header["objectives"])

    @cached_property
    def space(self) -> SearchSpace:
        """The search space."""
        return SearchSpace.from_json(self.header["space"])

    @cached_property
    def keeper(self) -> Keeper | None:
        """What was decided about each experiment of a code agent's run; None for other runs."""
        keeper = new_keeper(self.header)
        if keeper is not None:
            for trial in self.trials:
                keeper.tell(minimised(trial, self.objectives))
        return keeper

    @cached_property
    def standing(self) -> Standing:
        """What was found, by the first objective; several objectives have a front, which no keeper judges."""
        return standing_of(self.trials, self.objectives[0], self.keeper if len(self.objectives) == 1 else None)

    @cached_property
    def best(self) -> Trial | None:
        """The trial of the best that was found; of several objectives the best in the first one.

        Its worth is that of `standing.best`: a version of code is worth the mean of its runs.
        """
        if len(self.objectives) > 1:
            return best_of(self.trials, self.objectives)
        best = self.standing.best
        return None if best is None else next(trial for trial in self.trials if trial.id == best.trial)

    @cached_property
    def baseline(self) -> Trial | None:
        """The trial of the task's default configuration."""
        return next((trial for trial in self.trials if trial.origin is Origin.BASELINE), None)

    @cached_property
    def best_so_far(self) -> tuple[float, ...]:
        """The best first value after each trial, in the order of the tells; nan before there is one."""
        return self.standing.curve(self.trials)

    @cached_property
    def front(self) -> Front:
        """The Pareto set and its hypervolume; of one objective the best trial alone."""
        return front_of(self.trials, self.objectives, known=known_hypervolume(self.header, self.objectives))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials ended in each status, those with none included."""
        found = Counter(trial.outcome.status for trial in self.trials)
        return {status.value: found[status] for status in Status}

    @cached_property
    def by_origin(self) -> tuple[Group, ...]:
        """The trials of each origin, in the order of their first trial."""
        names = dict.fromkeys(trial.origin for trial in self.trials)
        return tuple(self._group(o.value, [trial for trial in self.trials if trial.origin is o]) for o in names)

    @cached_property
    def by_status(self) -> tuple[Group, ...]:
        """The trials of each status that occurred."""
        kinds = [s for s in Status if self.counts[s.value]]
        return tuple(self._group(s.value, [t for t in self.trials if t.outcome.status is s]) for s in kinds)

    @cached_property
    def replies(self) -> dict[str, int]:
        """How many replies of the language model were ok, mended, repaired, unreadable or missing, with the reasons."""
        return reply_counts(self.exchanges)

    @cached_property
    def fallbacks(self) -> dict[str, int]:
        """Why trials are not the language model's but a fallback, with how often, the commonest first."""
        reasons = (str(t.note.get("reason", "")) for t in self.trials if t.origin is Origin.FALLBACK)
        return dict(Counter(map(kind_of, reasons)).most_common())

    @property
    def seconds(self) -> Seconds:
        """Where the time went."""
        llm = min(self.asking, math.fsum(exchange.seconds for exchange in self.exchanges))
        evaluate = math.fsum(trial.seconds for trial in self.trials)
        workers = max(1, int(self.header.get("workers", 1)))
        return Seconds(self.elapsed, llm, evaluate, max(0.0, self.elapsed - llm - evaluate / workers))

    @property
    def tokens(self) -> dict[str, int]:
        """The tokens sent to the language model and received from it."""
        return {
            "prompt": sum(exchange.prompt_tokens for exchange in self.exchanges),
            "completion": sum(exchange.completion_tokens for exchange in self.exchanges),
        }

    def summary(self) -> dict[str, Json]:
        """Returns the object that `--json` prints."""
        several = len(self.objectives) > 1
        return {
            "run": str(self.run),
            "method": self.method,
            "task": self.task,
            "seed": self.seed,
            "best": None if several else self._best_json(),  # several objectives have a front instead
            **(self.front.to_json() if several else {}),
            "trials": {**self.counts, "cut": self.cut},
            "seconds": {
                "total": round(self.seconds.total, 3),
                "llm": round(self.seconds.llm, 3),
                "evaluate": round(self.seconds.evaluate, 3),
                "overhead": round(self.seconds.overhead, 3),
            },
            "tokens": self.tokens,
        }

    def _best_json(self) -> dict[str, Json] | None:
        found, standing = self.standing.best, self.standing
        if self.best is None or found is None:
            return None
        told = {"values": [found.value], "params": dict(self.best.params), "trial": self.best.id}
        more = {"runs": found.runs, "gain": standing.gain, "noise": standing.noise}
        return told if standing.keeper is None else told | more

    def _group(self, name: str, trials: Sequence[Trial]) -> Group:
        complete = [trial for trial in trials if trial.complete]
        known = {trial.id for trial in trials}
        best = self.standing.best_of(known)
        front = self.front.trials if len(self.objectives) > 1 else ()
        return Group(
            name,
            len(trials),
            len(complete),
            len(trials) - len(complete),
            None if best is None else best.value,
            len(known & {trial.id for trial in front}),
            sum(trial.seconds for trial in trials),
        )


def best_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Trial | None:
    """Returns the first complete trial with the best first value, of trials in the task's units.

    Of several objectives, the further ones decide between those with equal first values: no trial dominates it.
    """

    def losses(trial: Trial) -> list[float]:
        return [o.loss(v) for o, v in zip(objectives, trial.values, strict=True)]

    return min((trial for trial in trials if trial.complete), key=losses, default=None)


def load_run(run: Path) -> RunReport:
    """Returns the report of a run folder, whether or not a process is writing it."""
    history = read_history(run)
    return report_of(run, history, tuple(read_ledger(run)), run_status(run, history))


def report_of(run: Path, history: History, exchanges: tuple[Exchange, ...], status: str) -> RunReport:
    """Returns the report of a history that is at hand."""
    return RunReport(
        run=run,
        header=history.header,
        status=status,
        stopped=history.stopped,
        trials=tuple(history.trials),
        pending=len(history.pending),
        exchanges=exchanges,
        elapsed=history.elapsed,
        asking=history.asking,
        damaged=history.damaged,
        cut=len(history.cut),
        budget=history.budget,
        changes=tuple(history.changes),
    )


def run_status(run: Path, history: History) -> str:
    """Returns the status of a run, as `RunReport` has it."""
    by_hand = is_ask_tell(str(history.header["task"]))
    if is_written(run):
        return "open" if by_hand else "running"
    if history.stopped in DONE:
        return "done"
    named = {"interrupted": "closed" if by_hand else "interrupted", "closed": "closed"}
    named |= {"error": "stopped", "failures": "stopped"}
    return named.get(history.stopped, "crashed")


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """Returns a trial as `show RUN --json` prints it."""
    return {
        "id": trial.id,
        "params": dict(trial.params),
        "values": list(trial.values),
        "status": trial.outcome.status.value,
        "origin": trial.origin.value,
        "seconds": trial.seconds,
    }
