"""Keep or discard: what a code agent's run makes of its experiments, as a fold over its trials.

A version is kept when it is better than the one it is measured against by more than the noise of one training run. A
gain in between is a near tie: both versions run once more on a second seed and their means decide. Code that got longer
must earn its lines; code that got shorter is kept at a tie. Optimizer and report make the same fold, so what a report
says is what was done.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from agentopt.trial import Edit, Origin, Trial

AGAIN = "again"
"""The key of a suggestion's note that names the version which is run once more."""
SECOND = 1
"""The replicate that decides near ties; 0 is everyone's first."""
_EXACT_LINES = 1500


class Verdict(StrEnum):
    """What became of an experiment."""

    KEEP = "keep"
    DISCARD = "discard"
    CRASH = "crash"
    OPEN = "open"
    """A near tie whose second run is to come."""
    AGAIN = "again"
    """Another run of a known version: of the seed, or to decide a near tie."""


class KeepRule(BaseModel):
    """When a version is kept; every number is in units of the first objective."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise_floor: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="The difference that chance makes between two runs of one version; unset: measured, from two runs"
        " of the first version and every version that ran twice since.",
    )
    line_cost: float = Field(
        5e-5, ge=0, allow_inf_nan=False, description="What each line that the code grows by must gain."
    )
    price: float = Field(
        0.02,
        ge=0,
        allow_inf_nan=False,
        description="With several objectives: what it costs, in the first one, when a further one grows by as much as"
        " it is in the first version, such as twice the parameters.",
    )
    patience: int = Field(
        10, ge=1, description="Experiments without a keep before the search goes back to an earlier version."
    )


@dataclass(slots=True)
class Version:
    """A version of the file, and what its runs gave."""

    trial: int | None
    """The trial of its first run; None: the seed's."""
    text: str
    base: int | None = None
    """The version that it was made from."""
    summary: str = ""
    values: dict[int, float] = field(default_factory=dict)
    """The loss by replicate."""

    @property
    def mean(self) -> float:
        """The mean loss of its runs; infinity where none came to an end."""
        return sum(self.values.values()) / len(self.values) if self.values else math.inf


@dataclass(frozen=True, slots=True)
class Experiment:
    """One trial in the light of the rule."""

    trial: int
    summary: str
    loss: float | None
    gain: float | None
    """How much lower the loss is than that of the version it was judged against; None where there is no such number."""
    added: int
    removed: int
    error: str = ""
    further: tuple[float, ...] = ()
    """The minimised values of the further objectives."""


class Keeper:
    """The fold: `tell` it every trial, in order, in minimised values. Versions go by their trial, None is the seed."""

    def __init__(self, rule: KeepRule, seed_text: str) -> None:
        self._rule = rule
        self.versions: dict[int | None, Version] = {None: Version(None, seed_text, summary="the first version")}
        self.experiments: list[Experiment] = []
        """In the order of the tells."""
        self.verdicts: dict[int, Verdict] = {}
        """By trial."""
        self.kept: list[int | None] = [None]
        """The versions that were kept, oldest first."""
        self.since: dict[int | None, int] = {}
        """The trial by which each kept version came to count: the one that decided; of the seed its first run."""
        self.base: int | None = None
        """The version that the next edit starts from."""
        self.due: list[int | None] = []
        """Versions whose second run is wanted, first come first."""
        self._first: tuple[float, ...] = ()
        """The values of the further objectives in the first version."""
        self._fruitless = 0
        self._restarts = 0

    @property
    def pairs(self) -> int:
        """How many versions have run twice: what the noise is measured on."""
        return len(self._twice)

    @property
    def noise_known(self) -> bool:
        """Whether the noise is stated, or was measured."""
        return self._rule.noise_floor is not None or bool(self._twice)

    @property
    def noise(self) -> float:
        """The root mean square difference between two runs of one version; 0 until it is known."""
        if self._rule.noise_floor is not None:
            return self._rule.noise_floor
        pairs = self._twice
        return math.sqrt(sum((pair[0] - pair[SECOND]) ** 2 for pair in pairs) / len(pairs)) if pairs else 0.0

    @property
    def _twice(self) -> list[dict[int, float]]:
        return [v.values for v in self.versions.values() if {0, SECOND} <= v.values.keys()]

    @property
    def best(self) -> Version:
        """The kept version with the lowest mean loss; the seed where nothing has run."""
        return min((self.versions[i] for i in self.kept), key=lambda v: v.mean)

    def tell(self, trial: Trial) -> None:
        """Takes a trial: a run of the seed, a second run, or a new version; one that is none of these is left out."""
        edit = trial.edit
        of_seed = trial.origin is Origin.BASELINE or (AGAIN in trial.note and trial.note[AGAIN] is None)
        if trial.complete and not self._first and of_seed:
            self._first = trial.values[1:]
        if AGAIN in trial.note:
            assert edit is not None
            self._tell_again(trial, trial.note[AGAIN], edit.replicate)
        elif edit is not None:
            self._tell_new(trial, edit)
        elif trial.origin is Origin.BASELINE:
            self._tell_again(trial, None, 0)
        for number in self.kept:
            if self.versions[number].values:
                self.since.setdefault(number, trial.id)

    def _tell_new(self, trial: Trial, edit: Edit) -> None:
        version, base = Version(trial.id, edit.text, edit.parent, edit.summary), self.versions[self.base]
        self.versions[trial.id] = version
        if trial.complete:
            version.values[edit.replicate] = self.loss(trial)
        gain = self._gain(version, base) if trial.complete and base.values else None
        added, removed = line_changes(self.versions[edit.parent].text, edit.text)
        self._note(trial, edit.summary, gain, added, removed)
        if not trial.complete:
            self._close(trial.id, Verdict.CRASH)
        elif not base.values:
            self._close(trial.id, Verdict.KEEP)
        else:
            self._judge(version, base)

    def _tell_again(self, trial: Trial, number: int | None, replicate: int) -> None:
        version = self.versions[number]
        self.due = [one for one in self.due if one != number]
        if trial.complete:
            version.values[replicate] = self.loss(trial)
        baseline = number is None and not self.experiments
        self._note(trial, version.summary if baseline else f"again: {version.summary}", None, 0, 0)
        good = Verdict.KEEP if baseline else Verdict.AGAIN
        self.verdicts[trial.id] = good if trial.complete else Verdict.CRASH
        if number is not None and not trial.complete and self.verdicts[number] is Verdict.OPEN:
            self._close(number, Verdict.DISCARD)
        for one in [n for n, verdict in self.verdicts.items() if verdict is Verdict.OPEN]:
            if one not in self.due and self.base not in self.due:
                self._decide(self.versions[one], self.versions[self.base])

    def _note(self, trial: Trial, summary: str, gain: float | None, added: int, removed: int) -> None:
        loss = self.loss(trial) if trial.complete else None
        further, error = trial.values[1:], trial.outcome.error
        self.experiments.append(Experiment(trial.id, summary, loss, gain, added, removed, error, further))

    def loss(self, trial: Trial) -> float:
        """Returns the first objective, and the price of what the further ones have grown by since the first version."""
        pairs = zip(trial.values[1:], self._first, strict=False)
        grown = sum((value - first) / abs(first) for value, first in pairs if first)
        return trial.value + self._rule.price * grown

    def _judge(self, version: Version, base: Version) -> None:
        assert version.trial is not None
        margin, shorter = self._margin(version, base)
        if margin > 2 * self.noise:
            self._close(version.trial, Verdict.KEEP)
        elif margin > 0 or (shorter and margin >= -self.noise):
            self.verdicts[version.trial] = Verdict.OPEN
            self.due += [v.trial for v in (base, version) if SECOND not in v.values and v.trial not in self.due]
            if version.trial not in self.due and base.trial not in self.due:
                self._decide(version, base)
        else:
            self._close(version.trial, Verdict.DISCARD)

    def _decide(self, version: Version, base: Version) -> None:
        """Ends a near tie on the means."""
        assert version.trial is not None
        margin, shorter = self._margin(version, base)
        keep = margin >= 0 if shorter else margin > self.noise
        self._close(version.trial, Verdict.KEEP if keep else Verdict.DISCARD)

    def _margin(self, version: Version, base: Version) -> tuple[float, bool]:
        """Returns the gain less what the lines that were added cost, and whether the code got shorter."""
        grown = len(version.text.splitlines()) - len(base.text.splitlines())
        return self._gain(version, base) - self._rule.line_cost * max(0, grown), grown < 0

    @staticmethod
    def _gain(version: Version, base: Version) -> float:
        """Returns how much lower the mean loss is, over the replicates that both have run where there are such."""
        common = version.values.keys() & base.values.keys()
        if not common:
            return base.mean - version.mean
        return sum(base.values[r] - version.values[r] for r in common) / len(common)

    def _close(self, number: int, verdict: Verdict) -> None:
        self.verdicts[number] = verdict
        if verdict is Verdict.KEEP:
            self.kept.append(number)
            self.base, self._fruitless = number, 0
            return
        self._fruitless += 1
        if self._fruitless >= self._rule.patience and len(self.kept) > 1:
            others = sorted((n for n in self.kept if n != self.base), key=lambda n: self.versions[n].mean)
            self.base = others[self._restarts % len(others)]
            self._restarts += 1
            self._fruitless = 0


def line_changes(before: str, after: str) -> tuple[int, int]:
    """Returns how many lines were added and removed; in long files with many lines alike they may be more than need be.

    The exact count takes time that grows with the square of lines that are alike, and programs come from anywhere.
    """
    added = removed = 0
    old, new = before.splitlines(), after.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=max(len(old), len(new)) > _EXACT_LINES)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            removed, added = removed + b - a, added + d - c
    return added, removed
