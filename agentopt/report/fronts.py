"""What was found of several objectives: the front, its hypervolume over the trials, and where that counts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from agentopt.pareto import Archive, estimated_reference, front_mask, hypervolume, hypervolume_curve
from agentopt.protocols import Objective
from agentopt.trial import Json, Trial, brief

Losses: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""Values to be minimised, shape (trials, objectives)."""
INITIAL = 10
"""Where a task states no reference point, it is estimated from the first so many complete trials of a run."""
MOST_PAIRED = 6
"""Of so many objectives each pair is drawn."""
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Reference:
    """The point that hypervolumes count from, in the task's units: what is worse anywhere does not count."""

    values: tuple[float, ...]
    source: Literal["task", "estimated"]
    """Whether the task states it, or it was estimated from the first trials."""

    def losses(self, objectives: Sequence[Objective]) -> Losses:
        """Returns it as values to be minimised, shape (objectives,)."""
        return _bounded([o.loss(v) for o, v in zip(objectives, self.values, strict=True)], len(objectives))

    def to_json(self) -> dict[str, Json]:
        """Returns the object that `--json` holds."""
        return {"values": list(self.values), "source": self.source}


@dataclass(frozen=True, slots=True)
class Front:
    """The Pareto set of a run, and how its hypervolume grew."""

    trials: tuple[Trial, ...]
    """The complete trials that no other one dominates, the best in the first objective first; of equal ones one."""
    reference: Reference | None
    """None where the task states none and no trial completed."""
    hypervolumes: tuple[float, ...]
    """The hypervolume after each trial, in the order in which they ended; 0 without a reference point."""
    known: float | None = None
    """The hypervolume that the task says can be reached, from the reference point that it states."""

    def __repr__(self) -> str:
        return brief("Front", trials=[trial.id for trial in self.trials], hypervolume=self.hypervolume)

    @property
    def hypervolume(self) -> float | None:
        """The hypervolume at the end; None without a reference point."""
        if self.reference is None:
            return None
        return self.hypervolumes[-1] if self.hypervolumes else 0.0

    @property
    def of_known(self) -> float | None:
        """The share of the known hypervolume that it has, 1 being all; None where either is not known."""
        return None if not self.known or self.hypervolume is None else self.hypervolume / self.known

    def to_json(self) -> dict[str, Json]:
        """Returns what `--json` says of it."""
        edge = None if self.reference is None else self.reference.to_json()
        return {
            "front": [{"values": list(t.values), "params": dict(t.params), "trial": t.id} for t in self.trials],
            "hypervolume": {"value": self.hypervolume, "reference": edge, "of_known": self.of_known},
        }


def front_of(
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    reference: Reference | None = None,
    *,
    known: float | None = None,
) -> Front:
    """Returns the front of trials in the task's units; its hypervolume counts from `reference`, if one is given.

    Else it counts from the task's reference point, or from one that is estimated from the first trials.
    """
    complete = [trial for trial in trials if trial.complete]
    losses = losses_of(complete, objectives)
    edge = reference or reference_of(objectives, losses[:INITIAL])
    kept = np.flatnonzero(front_mask(losses))
    order = kept[np.lexsort(losses[kept].T[::-1])] if len(kept) else kept
    grown = np.zeros(len(trials))
    if edge is not None and complete:
        places = [i for i, trial in enumerate(trials) if trial.complete]
        grown[places] = hypervolume_curve(losses, edge.losses(objectives))
        grown = np.maximum.accumulate(grown)
    return Front(tuple(complete[i] for i in order), edge, tuple(grown.tolist()), known)


def losses_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Losses:
    """Returns the values of complete trials as values to be minimised, none so large that volumes are infinite."""
    rows = [[o.loss(v) for o, v in zip(objectives, trial.values, strict=True)] for trial in trials]
    return _bounded(rows, len(objectives)).reshape(len(trials), len(objectives))


def _bounded(values: Any, objectives: int) -> Losses:
    most = _LARGEST ** (1 / objectives) / 4
    found: Losses = np.clip(np.asarray(values, dtype=float), -most, most)
    return found


def reference_of(objectives: Sequence[Objective], initial: Losses) -> Reference | None:
    """Returns the reference point: what the objectives state, and else an estimate from the first complete trials.

    The estimate is the worst of their front and a tenth of its range more. None without a trial to estimate it from.
    """
    stated = [o.reference for o in objectives]
    if None not in stated:
        return Reference(tuple(float(value) for value in stated if value is not None), "task")
    if not len(initial):
        return None
    estimate = estimated_reference(initial)
    values = (
        o.loss(float(e)) if o.reference is None else o.reference for o, e in zip(objectives, estimate, strict=True)
    )
    return Reference(tuple(values), "estimated")


def shared_reference(runs: Sequence[Sequence[Trial]], objectives: Sequence[Objective]) -> Reference | None:
    """Returns one reference point for several runs of a task; where none is stated, the first trials of all decide."""
    first = [[trial for trial in trials if trial.complete][:INITIAL] for trials in runs]
    return reference_of(objectives, losses_of([trial for own in first for trial in own], objectives))


def grown(trials: Sequence[Trial], hypervolumes: Sequence[float]) -> dict[int, Trial]:
    """Returns the trials that made the hypervolume grow, by their place among all trials."""
    before = (0.0, *hypervolumes)
    return {n: trial for n, trial in enumerate(trials) if hypervolumes[n] > before[n]}


def known_hypervolume(header: Mapping[str, Json], objectives: Sequence[Objective]) -> float | None:
    """Returns the hypervolume that the task of a run says can be reached, from the reference point that it states."""
    if len(objectives) == 1 or any(o.reference is None for o in objectives):
        return None
    optimum = header.get("optimum")
    found = header.get("best_known") if optimum is None else optimum
    return None if found is None else float(found)


def joint_hypervolume(fronts: Sequence[Losses], objectives: Sequence[Objective], reference: Reference) -> float:
    """Returns the hypervolume of several fronts together, each of shape (trials, objectives)."""
    return hypervolume(np.concatenate(fronts), reference.losses(objectives)) if fronts else 0.0


class Growth:
    """The front of a run that goes on: it takes the trials as they end."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self._waiting: list[Trial] = []
        self._archive: Archive | None = None

    def tell(self, trial: Trial) -> None:
        """Takes a trial in the task's units."""
        if not trial.complete:
            return
        self._waiting.append(trial)
        stated = all(o.reference is not None for o in self._objectives)
        if self._archive is None and not stated and len(self._waiting) < INITIAL:
            return
        losses = losses_of(self._waiting, self._objectives)
        if self._archive is None:
            reference = reference_of(self._objectives, losses)
            assert reference is not None
            self._archive = Archive(reference.losses(self._objectives))
        for row in losses:
            self._archive.add(row)
        self._waiting = []

    @property
    def size(self) -> int:
        """How many trials are on the front."""
        if self._archive is not None:
            return len(self._archive.front)
        return int(front_mask(losses_of(self._waiting, self._objectives)).sum())

    @property
    def hypervolume(self) -> float | None:
        """The hypervolume; None before there is a reference point."""
        return None if self._archive is None else self._archive.hypervolume
