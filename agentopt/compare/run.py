"""Running a comparison, cell by cell.

A comparison is a folder: `comparison.json` says what is compared, and `cells/<task>/<method>/s<seed>/` are ordinary run
folders. Running it again finishes what is missing: a finished cell is left alone, a cell that was cut off is resumed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentopt import build
from agentopt.compare.design import Contender, Design
from agentopt.compare.plan import joined, planned, size, write_plan
from agentopt.config import FILE as CONFIG
from agentopt.errors import AgentoptError, JournalError, RunError
from agentopt.executors.worker import die_with_parent
from agentopt.journal import FILE as JOURNAL
from agentopt.journal import lock_folder, read_history
from agentopt.llm import hold_model, server_of
from agentopt.llm.settings import ModelSettings
from agentopt.report.comparison.folder import cell_folder
from agentopt.report.load import DONE
from agentopt.study import Stop

Say = Callable[[str], None]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One run of a comparison."""

    task: str
    contender: Contender
    seed: int
    folder: Path

    @property
    def done(self) -> bool:
        """Whether the run has spent its budget."""
        if not (self.folder / JOURNAL).is_file():
            return False
        try:
            return read_history(self.folder).stopped in DONE
        except JournalError:
            return False

    def __str__(self) -> str:
        return f"{self.task}  {self.contender.label}  seed {self.seed}"


def planned_cells(design: Design, folder: Path) -> list[PlannedCell]:
    """Returns all cells, seed by seed, so that a comparison that is cut off has compared like with like."""
    return [
        PlannedCell(task, item, seed, cell_folder(folder, task, item.label, seed))
        for seed in design.seeds
        for task in design.tasks
        for item in design.methods
    ]


@dataclass(frozen=True, slots=True)
class Progress:
    """One cell that ended, and how far the comparison has come."""

    cell: PlannedCell
    error: str
    """Empty where the cell is done."""
    finished: int
    total: int
    seconds_left: float


@dataclass
class _Tally:
    """Counts the cells that ended, and tells who watches."""

    total: int
    missing: int
    watch: Callable[[Progress], None]
    began: float = field(default_factory=time.monotonic)
    ended: int = 0

    def end(self, cell: PlannedCell, error: str) -> None:
        """Counts a cell."""
        self.ended += 1
        left = (time.monotonic() - self.began) / self.ended * (self.missing - self.ended)
        self.watch(Progress(cell, error, self.total - self.missing + self.ended, self.total, left))


def run_comparison(
    design: Design,
    folder: Path,
    *,
    workers: int,
    say: Say = lambda _: None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> list[str]:
    """Runs the cells that are not done yet, `workers` at a time; returns what went wrong, a line per failed cell.

    Methods, tasks and seeds that the folder's comparison does not have yet are added to it. Raises UsageError where it
    is another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)
    try:
        design = _planned(design, folder)
        everything = planned_cells(design, folder)
        missing = [cell for cell in everything if not cell.done]
        if len(missing) < len(everything):
            say(f"{len(everything) - len(missing)} of {len(everything)} cells are done already.")
        tally, failed = _Tally(len(everything), len(missing), watch), []
        for model, cells in by_server(design, missing, say):
            with hold_model(model, folder, say):
                failed += list(_run_cells(design, cells, workers, tally))
        return failed
    finally:
        lock.release()


def _planned(design: Design, folder: Path) -> Design:
    """Returns what is to be run: the design, with what the folder's plan has besides; writes it into the folder."""
    there = planned(folder)
    if there is None:
        wanted = replace(design, stages=())
    else:
        wanted = joined(there, design, folder)
        if size(wanted) != size(there) and any(cell.done for cell in planned_cells(there, folder)):
            wanted = replace(wanted, stages=(*there.stages, size(there)))
    if wanted != there:
        write_plan(wanted, folder)
    return wanted


def by_server(
    design: Design, missing: Sequence[PlannedCell], say: Say = lambda _: None
) -> list[tuple[ModelSettings | None, list[PlannedCell]]]:
    """Returns the cells, grouped by the model that has to be served here for them, in their order within each group.

    A model fills a good part of a machine's memory, so one is served at a time; cells that need none go with the first.
    """
    models = {cell.contender.label: _model(design, cell) for cell in missing}
    served = {label: model for label, model in models.items() if model is not None and server_of(model) is not None}
    servers = {server_of(model): model for model in reversed(served.values())}
    first = next(iter(served.values()), None)
    groups: dict[ModelSettings | None, list[PlannedCell]] = {}
    for cell in missing:
        model = served.get(cell.contender.label, first)
        groups.setdefault(None if model is None else servers[server_of(model)], []).append(cell)
    if len(groups) > 1:
        names = ", ".join(f"{model.name} (context {model.context})" for model in groups if model is not None)
        say(f"{len(groups)} models are served here, one after the other: {names}.")
    return list(groups.items())


def _model(design: Design, cell: PlannedCell) -> ModelSettings | None:
    """Returns the model that a cell asks."""
    return build.plan(design.settings(cell.contender, cell.task, cell.seed)).config.model


def _run_cells(design: Design, cells: Sequence[PlannedCell], workers: int, tally: _Tally) -> Iterator[str]:
    """Runs cells in worker processes; yields a line for each that failed."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=die_with_parent,
        initargs=(os.getpid(),),
    )
    waiting = list(reversed(cells))
    flying: dict[Future[str], PlannedCell] = {}
    try:
        while waiting or flying:
            while waiting and len(flying) < workers:
                cell = waiting.pop()
                settings = design.settings(cell.contender, cell.task, cell.seed)
                flying[pool.submit(run_cell, settings, str(cell.folder))] = cell
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                cell, error = flying.pop(future), _error(future)
                tally.end(cell, error)
                if error:
                    yield f"{cell}: {error}"
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _error(future: Future[str]) -> str:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RunError("A worker process was killed; run the same command again to finish what is missing.") from error


def run_cell(settings: Mapping[str, Any], folder: str) -> str:
    """Runs or resumes one cell in this process; returns why it did not finish or found nothing, else nothing."""
    run = Path(folder)
    try:
        if (run / JOURNAL).is_file() and (run / CONFIG).is_file():
            opened = build.resume_run(run)
        else:
            shutil.rmtree(run, ignore_errors=True)
            opened = build.open_run(build.plan(settings), run)
        with opened:
            stop = opened.execute()
            complaint = opened.study.complaint(stop).partition("\n")[0]
    except AgentoptError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if stop is Stop.INTERRUPTED:
        raise KeyboardInterrupt
    return complaint or ("" if stop.value in DONE else stop.value)
