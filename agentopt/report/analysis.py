"""What follows from a run: which parameters mattered, where trials failed, where a model went, what it foretold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from agentopt.report.candidates import Candidates, candidates_of
from agentopt.report.failure_map import Part, failure_map
from agentopt.report.importance import importance
from agentopt.report.load import RunReport
from agentopt.report.whereabouts import Whereabouts, whereabouts
from agentopt.space import SearchSpace
from agentopt.trial import Trial


@dataclass(frozen=True)
class RunAnalysis:
    """A run and what its figures show; each part is computed when it is first asked for."""

    report: RunReport

    @cached_property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.report.space

    @cached_property
    def configured(self) -> tuple[Trial, ...]:
        """The trials that state every parameter of the space; a version of a file need not."""
        return tuple(trial for trial in self.report.trials if set(self.space.names) <= set(trial.params))

    @cached_property
    def completed(self) -> tuple[Trial, ...]:
        """Those of them that have values."""
        return tuple(trial for trial in self.configured if trial.complete)

    @cached_property
    def importance(self) -> Mapping[str, float] | str:
        """Each parameter's share in reaching the best trials, the largest first, or why it cannot be told."""
        return importance(self.completed, self.report.objectives[0], self.space)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The parameters in the order of their importance; as they come where that is not known."""
        return tuple(self.space.names if isinstance(self.importance, str) else self.importance)

    @cached_property
    def failure_map(self) -> Mapping[str, list[Part]]:
        """Where trials failed, by parameter; nothing where none did."""
        return failure_map(self.configured, self.space) if any(not t.complete for t in self.configured) else {}

    @cached_property
    def whereabouts(self) -> Whereabouts | None:
        """Where the language model went; None for a run that shows nothing of it."""
        chosen = "the two ordered parameters of many levels that mattered most"
        if isinstance(self.importance, str):
            chosen = "the first two of many levels"
        return whereabouts(self.configured, self.space, self.order, chosen)

    @cached_property
    def candidates(self) -> Candidates | None:
        """What became of the candidates of a run, and how predictions did; None where none were asked for."""
        return candidates_of(self.report)
