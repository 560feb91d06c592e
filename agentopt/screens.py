"""What `agentopt show` and `agentopt task check` print, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from agentopt.errors import UsageError
from agentopt.report.load import RunReport, trial_to_json
from agentopt.report.spent import duration
from agentopt.report.terminal import FittedTable, table
from agentopt.report.text import number, params_table, render, shown
from agentopt.scaffold import Check
from agentopt.space import SearchSpace
from agentopt.trial import Json, Trial

_STATE_COLUMNS, _STATE_ROWS = 4, 8
"""What is shown of a state's tables: wider ones not at all, longer ones in part."""


def method(card: Mapping[str, Json]) -> RenderableType:
    """Returns a method's summary and the table of its options."""
    lines: list[RenderableType] = [Text(f"{card['method']}: {card['summary']}"), ""]
    if not card["installed"]:
        lines += [Text(f"It is not installed here: {card['install']}"), ""]
    if not card["options"]:
        return Lines(*lines, Text("It has no options."))
    rows = [(o["name"], o["type"], o["limits"], str(o["default"]), o["description"]) for o in card["options"]]
    columns = ("option", "type", "limits", "default", "description")
    lines += [table("", columns, rows, left=5, prose=("type", "default", "description"), least=("limits",)), ""]
    return Lines(*lines, Text(f"Set one with  agentopt run {card['method']} -o OPTION=VALUE"))


def task(card: Mapping[str, Json]) -> RenderableType:
    """Returns a task's description, objectives, space, repairs and facts."""
    space = SearchSpace.from_json(card["space"])
    stated = {p.name: p.default for p in space.parameters if p.default is not None} | (card["defaults"] or {})
    rows = [(p.name, p.describe(), shown(stated[p.name]) if p.name in stated else "-") for p in space.parameters]
    lines: list[RenderableType] = [Text(f"{card['task']}: {card['description']}"), ""]
    lines.append(Text("Objectives: " + "; ".join(_objective(objective) for objective in card["objectives"])))
    several = len(card["objectives"]) > 1
    if card["optimum"] is not None:
        lines.append(Text(f"Known {'hypervolume' if several else 'optimum'}: {number(card['optimum'])}"))
    if card["best_known"] is not None:
        what = "hypervolume (that of the true front" if several else "value (the optimum"
        lines.append(Text(f"Best known {what} is not known): {number(card['best_known'])}"))
    limit = "no time limit" if card["timeout"] is None else f"at most {duration(card['timeout'])} per evaluation"
    lines += [Text(f"Evaluated {_where(card['isolation'])}, {limit}"), ""]
    title = f"Space: {_count(len(space), 'parameter')}"
    lines.append(table(title, ("parameter", "range", "default"), rows, left=2, prose=["range"]))
    lines += [Text(f"Repair: {repair.describe()}") for repair in space.repairs]
    if note := space.unused_defaults():
        lines.append(Text(note))
    if card["facts"]:
        lines += ["", table("Facts", ("fact", "text"), list(card["facts"].items()), left=2, prose=["text"])]
    return Lines(*lines, "", Text(f"Search it with  agentopt run METHOD --task {card['task']}"))


def _objective(objective: Mapping[str, Any]) -> str:
    reference = "" if objective["reference"] is None else f", reference point {objective['reference']:g}"
    return f"{objective['direction']} {objective['name']}{reference}"


def _where(isolation: str) -> str:
    return "in the process of the search" if isolation == "inline" else "in a supervised child process"


def run(report: RunReport) -> RenderableType:
    """Returns a run's report and all its trials."""
    return Lines(render(report), "", trials(report))


def trials(report: RunReport) -> FittedTable:
    """Returns the table of a run's trials."""
    names = [objective.name for objective in report.objectives]
    rows = []
    for t in report.trials:
        values = [number(v) for v in t.values] or ["-"] * len(names)
        params = "  ".join(f"{name}={shown(value)}" for name, value in t.params.items())
        rows.append((str(t.id), t.origin.value, t.outcome.status.value, *values, f"{t.seconds:.3g}", params))
    columns = ("trial", "origin", "status", *names, "seconds", "configuration")
    return table("Trials", columns, rows, left=3, prose=["configuration"], least=("seconds", "origin", "status"))


def one_trial(report: RunReport, number_: int) -> Trial:
    """Returns a run's trial of a number; raises UsageError where it has none."""
    found = next((t for t in report.trials if t.id == number_), None)
    if found is None:
        ids = [t.id for t in report.trials]
        which = f"its trials are {min(ids)} to {max(ids)}" if ids else "it has none yet"
        raise UsageError(f"{report.run} has no trial {number_}: {which}.")
    return found


def trial(found: Trial, report: RunReport) -> RenderableType:
    """Returns everything that is recorded of a trial."""
    lines: list[RenderableType] = [
        Text(
            f"Trial {found.id} of {report.run}: {found.outcome.status.value}, from {found.origin.value}, "
            f"{duration(found.seconds)}"
        )
    ]
    lines += [Text(f"{o.name}: {v!r}") for o, v in zip(report.objectives, found.values, strict=False)]
    lines += [Text(f"{name}: {number(value)} (metric)") for name, value in found.outcome.metrics.items()]
    if found.outcome.error:
        lines += ["", Text(found.outcome.error)]
    if len(report.objectives) > 1 and found.complete:
        best = any(found.id == trial.id for trial in report.front.trials)
        lines.append(Text(f"It is {'' if best else 'not '}on the Pareto front of the run."))
    lines.append(params_table(found, report))
    lines += [Text(f"{key}: {value}") for key, value in found.note.items()]
    folder = report.run / "trials" / str(found.id)
    if folder.is_dir():
        lines.append(Text(f"Output: {', '.join(str(path) for path in sorted(folder.iterdir()))}"))
    return Lines(*lines)


def run_json(report: RunReport) -> dict[str, Json]:
    """Returns the object that `show RUN --json` prints."""
    return {
        "run": str(report.run),
        "method": report.method,
        "task": report.task,
        "seed": report.seed,
        "status": report.status,
        "stopped": report.stopped,
        "budget": asdict(report.budget),
        **(report.front.to_json() if len(report.objectives) > 1 else {}),
        "trials": [trial_to_json(t) for t in report.trials],
    }


def trial_json(found: Trial) -> dict[str, Json]:
    """Returns the object that `show RUN --trial N --json` prints."""
    return {
        **trial_to_json(found),
        "metrics": dict(found.outcome.metrics),
        "error": found.outcome.error,
        "note": dict(found.note),
    }


def state(found: Mapping[str, Json]) -> RenderableType:
    """Returns what a run's method knows, one line for each thing, parts of it below it."""
    run, waiting = found["run"], f", {found['pending']} under way" if found["pending"] else ""
    return Lines(
        Text(f"{found['method']} on {found['task']}, seed {found['seed']}: {run}"),
        Text(f"What the method knows after {_count(found['finished'], 'trial')}{waiting}"),
        "",
        table("", ("state", "value"), list(_state_rows(found["state"])), left=2),
        "",
        Text(f"All of it:  agentopt show {run} --state --json"),
    )


def _state_rows(known: Mapping[str, Json], indent: str = "") -> Iterator[tuple[str, str]]:
    """Yields the rows of a mapping: names, those of parts indented, and values in words."""
    for name, value in known.items():
        label = f"{indent}{name}"
        nested = isinstance(value, list) and any(isinstance(item, (list, Mapping)) for item in value)
        if isinstance(value, Mapping) and value:
            yield label, ""
            yield from _state_rows(value, f"{indent}  ")
        elif nested and any(isinstance(item, list) and len(item) > _STATE_COLUMNS for item in value):
            yield label, f"a table of {len(value)} rows"
        elif nested:
            yield label, _in_words(value[0])
            yield from (("", _in_words(item)) for item in value[1:_STATE_ROWS])
            if len(value) > _STATE_ROWS:
                yield "", f"and {len(value) - _STATE_ROWS} more"
        else:
            yield label, _in_words(value)


def _in_words(value: Json) -> str:
    """Returns a value in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_in_words, value)) or "none"
    return "none" if value is None else shown(value)


def check(name: str, found: Check) -> RenderableType:
    """Returns what trying a task out has shown."""
    which = "default configuration" if found.is_default else "middle of the space (it has no default configuration)"
    lines: list[RenderableType] = [
        Text(
            f"{name}: {_count(len(found.task.space), 'parameter')}, {_count(len(found.task.objectives), 'objective')};"
            f" evaluated its {which}."
        )
    ]
    for outcome, seconds in zip(found.outcomes, found.seconds, strict=True):
        if outcome.values:
            values = zip(found.task.objectives, outcome.values, strict=True)
            text = ", ".join(f"{objective.name} = {value:.6g}" for objective, value in values)
            metrics = "".join(f", {key} = {value:.6g}" for key, value in outcome.metrics.items())
            lines.append(Text(f"  {text}{metrics} in {duration(seconds)}"))
        else:
            lines.append(Text(f"  {outcome.status.value} in {duration(seconds)}: {outcome.error}"))
    if not found.ok:
        return Lines(*lines, Text("The task cannot be used like this."))
    same = "twice the same" if found.deterministic else "not twice the same: they are noisy, or do not use `seed`"
    method = "cmaes" if len(found.task.objectives) == 1 else "nsga2"
    return Lines(*lines, Text(f"Values: {same}."), Text(f"Next:  agentopt run {method} --task {name} --trials 50"))


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"
