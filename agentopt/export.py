"""Takes a run to other tools: an Optuna study, a CSV file, a JSON file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentopt.errors import UsageError
from agentopt.journal import FILE, read_history
from agentopt.log import read_log
from agentopt.report.load import RunReport, load_run, trial_to_json
from agentopt.report.tables import trials_table, write_csv
from agentopt.space import Choice, Float, Parameter, SearchSpace
from agentopt.trial import Json, Params, Status, Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


def export_csv(run: Path, path: Path) -> Path:
    """Writes the trials of a run folder as a table, and returns the file."""
    report = load_run(run)
    return write_csv(trials_table(report.trials, report.objectives), _writable(path))


def export_json(run: Path, path: Path) -> Path:
    """Writes everything that a run folder says, the exchanges with the model included, and returns the file."""
    report = load_run(run)
    record = {
        **report.summary(),
        "run": run.resolve().name,
        "status": report.status,
        "header": {key: value for key, value in report.header.items() if key not in {"crc", "event", "pid"}},
        "trials": [_trial_record(trial) for trial in report.trials],
        "exchanges": [asdict(exchange) for exchange in report.exchanges],
    }
    record["counts"] = report.counts
    text = json.dumps(record, ensure_ascii=False, indent=1)
    _writable(path).write_text(text + "\n", encoding="utf-8", errors="replace")
    return path


def _trial_record(trial: Trial) -> dict[str, Json]:
    extra = {"metrics": dict(trial.outcome.metrics), "error": trial.outcome.error, "note": dict(trial.note)}
    return {**trial_to_json(trial), **extra}


def _writable(path: Path) -> Path:
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file.")
    return path


def export_optuna(run: Path, url: str, study_name: str | None = None) -> str:
    """Copies a run into a new study of an Optuna storage, and returns the study's name: the folder's unless given.

    Optuna's number of a trial is ours, and values stand in the task's units. What has no place of its own in Optuna is
    a user attribute. Trials under way, or cut off by a crash, are RUNNING, all that failed are FAIL.
    """
    import optuna

    report = load_run(run)
    name = study_name or run.resolve().name
    trials = _optuna_trials(run, report)
    with _quiet():
        try:
            study = optuna.create_study(
                storage=url, study_name=name, directions=[objective.direction for objective in report.objectives]
            )
        except optuna.exceptions.DuplicatedStudyError as error:
            raise UsageError(f"{url} has a study {name!r} already. Choose another name with --study NAME.") from error
        except Exception as error:  # whatever the driver of a database raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UsageError(f"{url} cannot be used as an Optuna storage: {reason}") from error
        try:
            _fill(study, report, trials)
        except BaseException:
            optuna.delete_study(study_name=name, storage=url)
            raise
    return name


def _fill(study: Study, report: RunReport, trials: list[FrozenTrial]) -> None:
    study.set_metric_names([objective.name for objective in report.objectives])
    facts = {"method": report.method, "task": report.task, "seed": report.seed, "status": report.status}
    facts["options"] = report.header.get("options", {})
    facts["model"] = (report.header.get("model") or {}).get("name", "")
    for key, value in facts.items():
        study.set_user_attr(key, value)
    study.add_trials(trials)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Optuna from announcing every study, and from warning of what it calls experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _optuna_trials(run: Path, report: RunReport) -> list[FrozenTrial]:
    """Returns all trials as Optuna's, in the order of their ids."""
    from optuna.trial import TrialState

    distributions = {p.name: _distribution(p) for p in SearchSpace.from_json(report.header["space"]).parameters}
    asked, finished = _clock(run)
    start = _local(str(report.header.get("started", "")))
    found: dict[int, FrozenTrial] = {}
    for trial in report.trials:
        state = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED}.get(
            trial.outcome.status, TrialState.FAIL
        )
        attrs = {"status": trial.outcome.status.value, "seconds": trial.seconds, **_attrs(trial)}
        made = _frozen(trial.params, distributions, attrs, state=state, values=list(trial.values) or None)
        ended = finished.get(trial.id, 0.0)
        begun = max(asked.get(trial.id, 0.0), ended - trial.seconds)
        made.datetime_start = start + timedelta(seconds=begun)
        made.datetime_complete = start + timedelta(seconds=max(ended, begun))
        found[trial.id] = made
    for number, (suggestion, params) in read_history(run).pending.items():
        if number in found:
            continue
        attrs = {"origin": suggestion.origin.value, "note": dict(suggestion.note)}
        made = _frozen(params, distributions, attrs, state=TrialState.RUNNING, values=None)
        made.datetime_start, made.datetime_complete = start + timedelta(seconds=asked.get(number, 0.0)), None
        found[number] = made
    return [found[number] for number in sorted(found)]


def _distribution(parameter: Parameter) -> BaseDistribution:
    """Returns what a parameter is to people who look at a study: its values as they are, between its bounds."""
    from optuna import distributions

    if isinstance(parameter, Choice):
        return distributions.CategoricalDistribution(parameter.choices)
    if isinstance(parameter, Float):
        return distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    log = parameter.log or parameter.powers_of is not None
    return distributions.IntDistribution(parameter.grid[0], parameter.grid[-1], log=log, step=parameter.step)


def _attrs(trial: Trial) -> dict[str, Json]:
    attrs: dict[str, Json] = {"origin": trial.origin.value}
    if trial.outcome.error:
        attrs["error"] = trial.outcome.error
    if trial.outcome.metrics:
        attrs["metrics"] = dict(trial.outcome.metrics)
    if trial.note:
        attrs["note"] = dict(trial.note)
    return attrs


def _frozen(
    params: Params, distributions: Mapping[str, BaseDistribution], attrs: dict[str, Json], **given: Any
) -> FrozenTrial:
    """Returns a trial of Optuna's; a value that its distribution does not hold becomes an attribute."""
    import optuna

    inside: dict[str, Any] = {}
    outside: dict[str, Any] = {}
    for name, value in params.items():
        fits = name in distributions and _holds(distributions[name], value)
        (inside if fits else outside)[name] = value
    if outside:
        attrs = {**attrs, "params outside the space": outside}
    known = {name: distributions[name] for name in inside}
    return optuna.create_trial(params=inside, distributions=known, user_attrs=attrs, **given)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))  # noqa: SLF001 - it has no public name
    except (ValueError, TypeError):
        return False


def _clock(run: Path) -> tuple[dict[int, float], dict[int, float]]:
    """Returns at which second of the run each trial was asked and finished."""
    asked: dict[int, float] = {}
    finished: dict[int, float] = {}
    for record in read_log(run / FILE)[0]:
        if record.get("event") == "asked":
            asked |= {row["id"]: float(record.get("t", 0.0)) for row in record["trials"]}
        elif record.get("event") == "finished":
            finished.setdefault(record["id"], float(record.get("t", 0.0)))
    return asked, finished


def _local(iso: str) -> datetime:
    """Returns a moment as Optuna writes it: local, without a zone."""
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        moment = datetime.now(UTC)
    return moment.astimezone().replace(tzinfo=None)
