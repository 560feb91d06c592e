"""Shows a run while it goes on: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from agentopt.code.keeper import Keeper
from agentopt.journal import History
from agentopt.ledger import FILE as LEDGER
from agentopt.ledger import read_ledger
from agentopt.protocols import Objective, minimised
from agentopt.report.foreign import visible
from agentopt.report.fronts import Growth
from agentopt.report.keeping import new_keeper
from agentopt.report.spent import cut_text, duration
from agentopt.report.terminal import write
from agentopt.report.text import number
from agentopt.trial import Trial

LINE_SECONDS = 5.0
"""A plain line is printed this often, and on an improvement."""
_LEAST_SECONDS = 0.5
"""Improvements that follow each other faster share a line."""
_TOKEN_SECONDS = 2.0


def watcher_of(run: Path, *, shown: bool | None = None) -> Watcher:
    """Returns the watcher of a run, on stderr.

    `shown` is whether it shows progress; None: where somebody looks, which is on a terminal and in a notebook.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if shown is None:
        shown = console.is_jupyter or console.file.isatty()
    return Watcher(console, run, quiet=not shown)


class Watcher:
    """Sees the history of a run after each step; used as a context manager around the run."""

    def __init__(self, console: Console, run: Path, *, quiet: bool = False) -> None:
        self._console, self._run = console, run
        self.quiet = quiet
        """Whether only messages are shown."""
        self._live: Progress | None = None
        self._bar: TaskID | None = None
        self._counts: Counter[str] = Counter()
        """The trials that were looked at, by status."""
        self._best: float | None = None
        self._keeper: Keeper | None = None
        """Says what is best in a run of code that is kept or discarded."""
        self._growth: Growth | None = None
        """The front of a run with several objectives."""
        self._shown = ""
        self._last_line = 0.0
        self._tokens, self._tokens_size, self._tokens_at = 0, -1, 0.0

    def __enter__(self) -> Self:
        widgets = self._console.is_jupyter and find_spec("ipywidgets") is not None  # which a bar needs in a notebook
        if (self._console.is_terminal or widgets) and not self.quiet:
            self._live = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=12),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
                TextColumn("left", style="dim"),
                TimeRemainingColumn(table_column=Column(min_width=7, no_wrap=True)),
                TextColumn(
                    "{task.fields[state]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
                ),
                console=self._console,
                transient=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Prints a line about the run, above the bar where there is one."""
        write(self._console, line)

    def __call__(self, history: History) -> None:
        """Takes the history after a step."""
        if self.quiet or not history.trials:
            return
        objectives = [Objective(**record) for record in history.header["objectives"]]
        if not self._counts:
            self._growth = Growth(objectives) if len(objectives) > 1 else None
            self._keeper = new_keeper(history.header)
        for trial in history.trials[self._counts.total() :]:
            self._counts[trial.outcome.status.value] += 1
            self._tell(trial, objectives)
        if self._live is not None:
            self._draw(history)
        else:
            self._print(history)

    def _tell(self, trial: Trial, objectives: Sequence[Objective]) -> None:
        """Takes the next trial."""
        objective = objectives[0]
        if self._growth is not None:
            self._growth.tell(trial)
        elif self._keeper is not None:
            self._keeper.tell(minimised(trial, objectives))
            best = self._keeper.best
            self._best = objective.loss(best.mean) if best.values else None
        elif trial.complete and (self._best is None or objective.loss(trial.values[0]) < objective.loss(self._best)):
            self._best = trial.values[0]

    def _draw(self, history: History) -> None:
        assert self._live is not None
        trials, seconds = history.budget.trials, history.budget.seconds
        by_time = seconds is not None and (not trials or history.elapsed / seconds > len(history.trials) / trials)
        total, done, unit = (seconds, history.elapsed, "s") if by_time else (trials, len(history.trials), "trials")
        if self._bar is None:
            self._live.start()
            self._bar = self._live.add_task(visible(str(history.header["method"])), total=total, count="", state="")
        done = min(done, total or done)
        count = f"{done:.0f}{'' if total is None else f'/{total:.0f}'} {unit}"
        self._live.update(self._bar, total=total, completed=done, count=count, state=self._state())

    def _print(self, history: History) -> None:
        now = time.monotonic()
        since = now - self._last_line
        better = self._found() != self._shown
        if since < (_LEAST_SECONDS if better else LINE_SECONDS) and not history.stopped:
            return
        self._last_line, self._shown = now, self._found()
        budget = history.budget.trials
        count = f"{len(history.trials)}/{budget}" if budget else str(len(history.trials))
        cut = f"  {cut_text(len(history.cut))}" if history.cut else ""
        self.say(f"{duration(history.elapsed):>8}  trials {count}  {self._state()}{cut}")

    def _state(self) -> str:
        statuses = ", ".join(f"{n} {name}" for name, n in sorted(self._counts.items()))
        tokens = self._count_tokens()
        return f"{self._found()}  ({statuses})" + (f"  {tokens} LLM tokens" if tokens else "")

    def _found(self) -> str:
        """Returns the best value; of several objectives the hypervolume, once it can be measured, and the front."""
        if self._growth is None:
            return f"best {number(self._best)}"
        known = "" if self._growth.hypervolume is None else f"hypervolume {number(self._growth.hypervolume)}, "
        return f"{known}{self._growth.size} on the front"

    def _count_tokens(self) -> int:
        """Reads the ledger again where it has grown, not more often than every two seconds."""
        path, now = self._run / LEDGER, time.monotonic()
        if now - self._tokens_at < _TOKEN_SECONDS or not path.exists() or path.stat().st_size == self._tokens_size:
            return self._tokens
        self._tokens_size, self._tokens_at = path.stat().st_size, now
        self._tokens = sum(e.prompt_tokens + e.completion_tokens for e in read_ledger(self._run))
        return self._tokens
