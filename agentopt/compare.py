"""Comparisons: the same tasks, budgets, seeds and starting rule for several methods, run cell by cell.

A comparison is a folder: `comparison.json` says what is compared, and `cells/<task>/<method>/s<seed>/` are ordinary run
folders. Running it again finishes what is missing: a finished cell is left alone, a cell that was cut off is resumed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentopt import build
from agentopt.config import FILE as CONFIG
from agentopt.config import parse_pairs
from agentopt.errors import AgentoptError, JournalError, RunError, UsageError
from agentopt.executors.worker import die_with_parent
from agentopt.journal import FILE as JOURNAL
from agentopt.journal import lock_folder, read_history
from agentopt.llm import hold_model
from agentopt.llm.settings import ModelSettings
from agentopt.optimizers import load_method
from agentopt.report.comparison.folder import FILE, VERSION, safe_name
from agentopt.report.load import DONE
from agentopt.study import Stop

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Contender:
    """One method with its options."""

    label: str
    """`method` or `method[option=value,...]`."""
    method: str
    options: Mapping[str, Any]
    control_of: str | None = None
    """The label of the LLM method whose model-free twin this is."""


@dataclass(frozen=True)
class Design:
    """What is compared."""

    methods: tuple[Contender, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    trials: int | None
    budget: float | None = None
    baseline: bool = True
    model: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the comparison as its file holds it."""
        found: dict[str, Any] = json.loads(json.dumps({"version": VERSION, **asdict(self)}))
        return found

    def settings(self, contender: Contender, task: str, seed: int) -> dict[str, Any]:
        """Returns the settings of one cell's run."""
        found = {"method": contender.method, "options": dict(contender.options), "task": task, "seed": seed}
        found |= {"trials": self.trials, "budget": self.budget, "default": self.baseline, "model": self.model}
        return {key: value for key, value in found.items() if value is not None}


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


def contender(text: str) -> Contender:
    """Returns the method of `centaur` or `centaur[ratio=0.1,preset=paper]`; raises UsageError for anything else."""
    found = re.fullmatch(r"([^\[\]]+)(?:\[(.*)\])?", text.strip())
    if found is None:
        raise UsageError(f"{text!r} is not a method: write METHOD or METHOD[option=value,option=value].")
    method, inside = found[1].strip(), found[2] or ""
    options = parse_pairs(tuple(part.strip() for part in inside.split(",") if part.strip()), f"in {text},")
    return Contender(_label(method, options), method, options)


def _label(method: str, options: Mapping[str, Any]) -> str:
    return method + (f"[{','.join(f'{k}={v}' for k, v in options.items())}]" if options else "")


def controls(of: Contender) -> list[Contender]:
    """Returns the model-free twins of an LLM method: the same schedule with each other sampler that it offers."""
    method = load_method(of.method)
    field = method.Options.model_fields.get("sampler")
    if field is None or of.options.get("sampler", field.default) != "llm":
        return []
    made = [{**of.options, "sampler": name} for name in typing.get_args(field.annotation) if name != "llm"]
    return [Contender(_label(of.method, options), of.method, options, control_of=of.label) for options in made]


def check(design: Design) -> None:
    """Raises UsageError for whatever can be known to be wrong before anything is run."""
    labels = [c.label for c in design.methods]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise UsageError(f"The method {twice[0]} is there twice.")
    if not design.seeds:
        raise UsageError("--seeds must be 1 or more.")
    first = design.tasks[0]
    for item in design.methods:
        build.plan(design.settings(item, first, 0), where=item.label)
    for task in design.tasks[1:]:
        plan = build.plan(design.settings(design.methods[0], task, 0), where=task)
        if len(plan.task.objectives) > 1:  # not every method takes these
            for item in design.methods[1:]:
                build.plan(design.settings(item, task, 0), where=item.label)


def default_name(design: Design) -> str:
    """Returns a folder name that is the same whenever the same things are compared."""
    text = json.dumps(design.to_json(), sort_keys=True)
    return f"compare-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def planned_cells(design: Design, folder: Path) -> list[PlannedCell]:
    """Returns all cells, seed by seed, so that a comparison that is cut off has compared like with like."""
    return [
        PlannedCell(task, item, seed, folder / "cells" / safe_name(task) / safe_name(item.label) / f"s{seed}")
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


def run_comparison(
    design: Design,
    folder: Path,
    *,
    workers: int,
    say: Callable[[str], None] = lambda _: None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> list[str]:
    """Runs the cells that are not done yet, `workers` at a time; returns what went wrong, a line per failed cell."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)
    try:
        _write_plan(design, folder)
        everything = planned_cells(design, folder)
        missing = [cell for cell in everything if not cell.done]
        if len(missing) < len(everything):
            say(f"{len(everything) - len(missing)} of {len(everything)} cells are done already.")
        with hold_model(_model(design, missing), folder, say):
            return list(_run_cells(design, missing, workers, len(everything), watch))
    finally:
        lock.release()


def _write_plan(design: Design, folder: Path) -> None:
    path, wanted = folder / FILE, design.to_json()
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != wanted:
            raise UsageError(f"{folder} holds another comparison: choose another --name, or the same settings.")
        return
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
    scratch.replace(path)


def _model(design: Design, missing: Sequence[PlannedCell]) -> ModelSettings | None:
    """Returns the model that some cell needs: it is held open meanwhile, so that all cells share it."""
    for cell in {cell.contender.label: cell for cell in missing}.values():
        plan = build.plan(design.settings(cell.contender, cell.task, cell.seed))
        if plan.config.model is not None:
            return plan.config.model
    return None


def _run_cells(
    design: Design, missing: Sequence[PlannedCell], workers: int, total: int, watch: Callable[[Progress], None]
) -> Iterator[str]:
    """Runs cells in worker processes; yields a line for each that failed."""
    began, finished = time.monotonic(), 0
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=die_with_parent,
        initargs=(os.getpid(),),
    )
    waiting = list(reversed(missing))
    flying: dict[Future[str], PlannedCell] = {}
    try:
        while waiting or flying:
            while waiting and len(flying) < workers:
                cell = waiting.pop()
                settings = design.settings(cell.contender, cell.task, cell.seed)
                flying[pool.submit(run_cell, settings, str(cell.folder))] = cell
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                cell, error = flying.pop(future), _error(future)
                finished += 1
                left = (time.monotonic() - began) / finished * (len(missing) - finished)
                watch(Progress(cell, error, total - len(missing) + finished, total, left))
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
    """Runs or resumes one cell in this process; returns why it did not finish, or nothing."""
    run = Path(folder)
    try:
        if (run / JOURNAL).is_file() and (run / CONFIG).is_file():
            opened = build.resume_run(run)
        else:
            shutil.rmtree(run, ignore_errors=True)
            opened = build.open_run(build.plan(settings), run)
        with opened:
            stop = opened.execute()
    except AgentoptError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if stop is Stop.INTERRUPTED:
        raise KeyboardInterrupt
    return "" if stop.value in DONE else stop.value
