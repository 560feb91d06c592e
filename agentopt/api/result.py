"""What a search from Python has found: the best, all trials, why it ended; as a table, in a line, in a notebook."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentopt.errors import RunError, UsageError
from agentopt.protocols import Objective
from agentopt.report.fronts import Front, front_of
from agentopt.report.tables import trials_table
from agentopt.report.text import number, shown
from agentopt.study import Stop
from agentopt.trial import ERROR_CHARS, Trial, brief

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Result:
    """What a search has found. Values are in the function's own units."""

    best: Trial | None
    """The best complete trial, of several objectives in the first one; None where every evaluation failed."""
    trials: tuple[Trial, ...]
    """All finished trials in the order in which they ended."""
    run: Path | None
    """The run folder, where one was asked for."""
    objectives: tuple[Objective, ...]
    stop: Stop
    """Why the search ended: `trials` or `seconds` for a budget that is spent, `failures` where all failed alike,
    `interrupted` by Ctrl-C, `exhausted` where the method had nothing more to propose."""
    seconds: float
    """Wall seconds of the search, all sessions of a kept run together."""

    @cached_property
    def front(self) -> Front:
        """The Pareto set of several objectives, with its hypervolume and the reference point that this counts from."""
        return front_of(self.trials, self.objectives)

    @property
    def value(self) -> float:
        """The best value; raises RunError where no trial completed."""
        return self._found().value

    @property
    def params(self) -> dict[str, Any]:
        """The best configuration; raises RunError where no trial completed."""
        return dict(self._found().params)

    def to_pandas(self) -> pd.DataFrame:
        """Returns the trials as a table with one row each: the columns of `agentopt export RUN --csv`.

        Raises UsageError where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError("to_pandas needs pandas:  pip install pandas") from error
        table = trials_table(self.trials, self.objectives)
        return pd.DataFrame(table.rows, columns=list(table.columns))

    def __repr__(self) -> str:
        counts = dict(Counter(trial.outcome.status.value for trial in self.trials))
        end = {"trials": counts, "stop": self.stop.value, "run": None if self.run is None else str(self.run)}
        if self.best is None:
            return brief("Result", **end, error=self.trials[0].outcome.cause[:ERROR_CHARS] if self.trials else "")
        if len(self.objectives) > 1:
            return brief("Result", front=self.front, **end)
        return brief("Result", value=self.value, params=self.params, **end)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the best configuration as a table, above what a terminal shows."""
        found = {} if self.best is None else {o.name: v for o, v in zip(self.objectives, self.best.values, strict=True)}
        cells = {name: number(value) for name, value in found.items()}
        cells |= {} if self.best is None else {name: shown(value) for name, value in self.best.params.items()}
        rows = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in cells.items())
        return f"<table>{''.join(rows)}</table><code>{escape(repr(self))}</code>"

    def _found(self) -> Trial:
        if self.best is None:
            why = f"; the first one failed with: {self.trials[0].outcome.error}" if self.trials else ""
            raise RunError(f"None of {len(self.trials)} trials completed{why}")
        return self.best
