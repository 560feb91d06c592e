"""What `agentopt surrogate fit` does: a run or a file of trials in, a model file and its figures out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentopt.errors import UsageError
from agentopt.space import SearchSpace
from agentopt.surrogate.fit import FEWEST, fit_surrogate
from agentopt.surrogate.rows import read_source
from agentopt.surrogate.validate import cross_validate
from agentopt.task import explain, load_task
from agentopt.trial import Json


def fit_file(
    trials: Path,
    out: Path,
    *,
    space: Path | None = None,
    task: str | None = None,
    derived: Path | None = None,
    value: str | None = None,
    below: float | None = None,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Json]:
    """Fits the trials of a run folder or a file of JSON lines, writes the model, and returns what was done.

    The parameters are those of the run, of `task`, or of the JSON file `space` (as `SearchSpace.to_json` writes it).
    `derived` is a JSON file of named formulas. With two `folds` or more a cross-validation gives the figures.
    """
    source = read_source(trials, value=value)
    known = source.space
    if space is not None:
        known = _read_space(space)
    elif task is not None:
        known = load_task(task).space
    if known is None:
        raise UsageError(f"{trials} does not say what the parameters are: add --task NAME or --space FILE.")
    formulas = {} if derived is None else _read_formulas(derived)
    figures: dict[str, Json] = {}
    _check_enough(trials, sum(row.complete for row in source.rows), folds)
    model = fit_surrogate(source, space=known, derived=formulas, seed=seed)
    if folds > 1:
        found = cross_validate(source, space=known, derived=formulas, below=below, folds=folds, repeats=1, seed=seed)
        figures = {name: asdict(figure) for name, figure in found.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    model.save(out)
    fit: Mapping[str, Json] = model.facts["fit"]
    return {
        "model": str(out),
        "bytes": out.stat().st_size,
        "objective": model.objective,
        "trials": fit["trials"],
        "complete": fit["complete"],
        "figures": figures,
    }


def _check_enough(trials: Path, complete: int, folds: int) -> None:
    """Raises UsageError where there are too few complete trials for a fit, or for that of each part of the folds."""
    needed = FEWEST if folds < 2 else math.ceil(FEWEST * folds / (folds - 1))
    if complete >= needed:
        return
    why = "" if folds < 2 else f": each of the {folds} folds is predicted from the others, which need {FEWEST}"
    fix = f" With --folds 0, which says nothing of its quality, {FEWEST} are enough." if folds > 1 else ""
    raise UsageError(f"{trials} has {complete} complete trials, and a surrogate needs {needed} or more{why}.{fix}")


def _read_space(path: Path) -> SearchSpace:
    try:
        return SearchSpace.from_json(_read_object(path))
    except ValidationError as error:
        raise UsageError(f"{path} is not a search space: {explain(error)}") from error


def _read_formulas(path: Path) -> dict[str, str]:
    formulas = _read_object(path)
    for name, text in formulas.items():
        if not isinstance(text, str):
            raise UsageError(f"{path}: {name} is {text!r:.60}, not a formula.")
    return formulas


def _read_object(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not JSON: {error}.") from error
    if not isinstance(read, dict):
        raise UsageError(f"{path} is not a JSON object.")
    return read
