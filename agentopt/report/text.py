"""A run in words: tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from agentopt.code.keeper import Keeper, Verdict
from agentopt.protocols import Objective
from agentopt.report.candidates import candidates_of, forecast_texts, pool_text
from agentopt.report.foreign import shown_line
from agentopt.report.fronts import Reference
from agentopt.report.keeping import Found
from agentopt.report.load import Group, RunReport
from agentopt.report.spent import ENDS, changes_text, cut_text, duration, repeat_text
from agentopt.report.terminal import FittedTable, table
from agentopt.trial import Trial, Value

_ERROR = 100
"""The characters of an error that are shown in a table."""
FLATTERS = "each is one training, and the best of many flatters: agentopt finalise RUN trains both anew"
"""What is said of a gain of tuned code, whose noise nobody has measured."""
_FRONT_ROWS = 20
_NARROW = 5
"""Configurations of more parameters than this do not stand in the table of the front."""


def number(value: float | None) -> str:
    """Returns a number in six digits; a dash for none."""
    return "-" if value is None else f"{value:.6g}"


def shown(value: Value) -> str:
    """Returns a parameter's value, short."""
    return number(value) if isinstance(value, float) else str(value)


def render(report: RunReport) -> RenderableType:
    """Returns the report of one run."""
    return Lines(*_parts(report))


def _parts(report: RunReport) -> Iterator[RenderableType]:
    limit = f" of {report.budget.trials}" if report.budget.trials else ""
    waiting = {"running": "under way", "open": "to be told", "closed": "to be told"}.get(report.status)
    pending = f", {report.pending} {waiting}" if report.pending and waiting else ""
    cut = f", {cut_text(report.cut)}" if report.cut else ""
    end = ENDS.get(report.stopped, "")
    yield Text(f"{report.method} on {report.task}, seed {report.seed}: {report.status}{end}")
    yield Text(f"{len(report.trials)}{limit} trials{pending}{cut} in {duration(report.elapsed)}  ({report.run})")
    for line in filter(None, (*changes_text(report), repeat_text(report))):
        yield Text(line)
    if report.damaged:
        yield Text(f"{report.damaged} torn lines of the journal were skipped (a crash left them).")
    yield ""
    yield from _best(report)
    if report.keeper is not None:
        yield from _experiments(report, report.keeper)
    yield _groups("Trials by origin", "origin", report.by_origin, report)
    yield ""
    yield _groups("Trials by status", "status", report.by_status, report)
    if reasons := failures(report.trials):
        yield ""
        rows = [(text, str(n)) for text, n in reasons.items()]
        yield table("Why trials failed", ("error", "trials"), rows, prose=["error"])
    yield ""
    yield _costs(report)
    if report.exchanges:
        yield ""
        replies = [(kind, str(n)) for kind, n in report.replies.items()]
        yield table("Replies of the language model", ("kind", "replies"), replies, prose=["kind"])
    if report.fallbacks:
        yield ""
        rows = [(reason, str(n)) for reason, n in report.fallbacks.items()]
        columns = ("reason", "fallback trials")
        yield table("Why a classical step took the model's place", columns, rows, prose=["reason"])
    if (found := candidates_of(report)) is not None:
        yield ""
        for line in (pool_text(found), *forecast_texts(found)):
            yield Text(line)


def _best(report: RunReport) -> Iterator[RenderableType]:
    best, objective = report.best, report.objectives[0]
    if best is None:
        yield Text("No trial completed, so there is no best configuration.")
        yield ""
        return
    if len(report.objectives) > 1:
        yield from _front(report)
        yield ""
        return
    if report.standing.keeper is not None:
        yield from map(Text, kept_texts(report))
        if best.params:
            yield params_table(best, report)
        yield ""
        return
    yield Text(
        f"Best: {values_of(best, report)} (trial {best.id}, {best.origin.value};"
        f" {objective.name} is {objective.direction}d)"
    )
    if (base := report.baseline) is not None and base.complete:
        gain = objective.loss(base.values[0]) - objective.loss(best.values[0])
        doubt = f"; {FLATTERS}" if gain > 0 and report.header.get("code") is not None else ""
        yield Text(f"Default configuration: {number(base.values[0])}; better by {number(gain)}{doubt}")
    yield params_table(best, report)
    yield ""


def kept_texts(report: RunReport) -> list[str]:
    """Returns what the verdicts of a code agent's run leave as its best, and how sure that is; of one objective."""
    standing, objective = report.standing, report.objectives[0]
    best, first = standing.best, standing.default
    if best is None or report.best is None:
        return ["No version has a value."]
    value, known = f"{objective.name} {number(best.value)}, {_runs(best)}", _noise_text(standing.noise)
    if best == first:
        text = f"No version is better than the first one: {value} ({objective.name} is {objective.direction}d)."
        return [text, f"{known[0].upper()}{known[1:]}."]
    who = f"the version of trial {best.trial}, {report.best.origin.value}; {objective.name} is {objective.direction}d"
    lines = [f"Best: {value} ({who})"]
    if first is None or (gain := standing.gain) is None:
        return [*lines, f"The first version has no value; {known}."]
    held = "better by" if gain > (standing.noise or 0.0) else "not more than noise, a gain of"
    return [*lines, f"First version: {number(first.value)}, {_runs(first)}; {held} {number(gain)}; {known}."]


def _runs(found: Found) -> str:
    return "one run" if found.runs == 1 else f"the mean of {found.runs} runs"


def _noise_text(noise: float | None) -> str:
    if noise is None:
        return "how much two runs of one version differ is not known"
    return f"two runs of one version differ by {number(noise)}"


def values_of(trial: Trial, report: RunReport) -> str:
    """Returns the values of a complete trial, each with its objective's name."""
    return ", ".join(f"{o.name} {number(v)}" for o, v in zip(report.objectives, trial.values, strict=True))


def front_text(report: RunReport) -> str:
    """Returns how many trials are on the front, their hypervolume, and where it counts from."""
    front, count = report.front, len(report.front.trials)
    text = f"{count} of {report.counts['complete']} complete trials {'is' if count == 1 else 'are'} on the Pareto front"
    if front.reference is not None:
        text += f"; hypervolume {number(front.hypervolume)}"
        if front.of_known is not None:
            text += f", {100 * front.of_known:.3g} % of the known one,"
        text += f" {reference_text(front.reference, report.objectives)}"
        if not front.hypervolume:
            text += ", which no trial is better than in every objective"
    return f"{text}."


def reference_text(reference: Reference, objectives: Sequence[Objective]) -> str:
    """Returns where a hypervolume counts from, and who says so."""
    point = zip(objectives, reference.values, strict=True)
    whose = "the task's" if reference.source == "task" else "an estimated"
    return f"from {whose} reference point ({', '.join(f'{o.name} {number(v)}' for o, v in point)})"


def base_text(report: RunReport) -> str:
    """Returns how the default configuration fares beside the front; nothing where it has no values."""
    base, front = report.baseline, report.front.trials
    if base is None or not base.complete:
        return ""
    mine = [o.loss(v) for o, v in zip(report.objectives, base.values, strict=True)]
    theirs = [[o.loss(v) for o, v in zip(report.objectives, t.values, strict=True)] for t in front]
    over = sum(all(a <= b for a, b in zip(losses, mine, strict=True)) and losses != mine for losses in theirs)
    fate = f"{over} of the front dominate{'s' * (over == 1)} it" if over else "it is on the front"
    return f"Default configuration: {values_of(base, report)}; {fate}."


def _front(report: RunReport) -> Iterator[RenderableType]:
    yield Text(front_text(report))
    if base := base_text(report):
        yield Text(base)
    front = report.front.trials
    narrow = len(report.space.names) <= _NARROW
    columns = ["trial", "origin", *(f"{o.name} ({o.direction})" for o in report.objectives)]
    rows = []
    count = min(_FRONT_ROWS, len(front))
    for trial in (front[round(i * (len(front) - 1) / max(1, count - 1))] for i in range(count)):
        params = "  ".join(f"{name}={shown(value)}" for name, value in trial.params.items())
        rows.append([str(trial.id), trial.origin.value, *map(number, trial.values), *([params] if narrow else [])])
    more = f", {count} of {len(front)} from end to end" if len(front) > count else ""
    columns += ["configuration"] if narrow else []
    yield table(f"Pareto front{more}", columns, rows, left=2, prose=["configuration"], least=["origin"])
    if not narrow:
        yield Text("One configuration:  agentopt show RUN --trial N")


def _experiments(report: RunReport, keeper: Keeper) -> Iterator[RenderableType]:
    """Yields what was kept of a code agent's experiments, and what became of the others."""
    objective, rows = report.objectives[0], []
    for experiment in keeper.experiments:
        if keeper.verdicts[experiment.trial] is Verdict.KEEP:
            mean = keeper.versions[experiment.trial if experiment.trial in keeper.versions else None].mean
            lines = f"+{experiment.added} -{experiment.removed}"
            rows.append((str(experiment.trial), number(objective.loss(mean)), lines, experiment.summary))
    columns = ("trial", f"mean {objective.name}", "lines", "what was tried")
    yield table("Versions that were kept", columns, rows, prose=["what was tried"])
    counts = Counter(verdict.value for verdict in keeper.verdicts.values())
    listed = ", ".join(f"{counts[verdict.value]} {verdict.value}" for verdict in Verdict if counts[verdict.value])
    yield Text(f"Experiments: {listed}; {_noise_text(keeper.noise if keeper.noise_known else None)}")
    yield ""


def params_table(trial: Trial, report: RunReport) -> FittedTable:
    """Returns a trial's configuration, next to the ranges."""
    inside = [p for p in report.space.parameters if p.name in trial.params]
    rows = [(p.name, shown(trial.params[p.name]), p.describe()) for p in inside]
    return table("", ("parameter", "value", "range"), rows, prose=["range"])


def _groups(title: str, kind: str, groups: Sequence[Group], report: RunReport) -> FittedTable:
    several = len(report.objectives) > 1
    found = "on the front" if several else f"best {report.objectives[0].name}"
    columns = (kind, "trials", "complete", "failed", found, "seconds")
    best = [str(g.front) if several else number(g.best) for g in groups]
    rows = [
        (g.name, str(g.trials), str(g.complete), str(g.failed), b, f"{g.seconds:.3g}")
        for g, b in zip(groups, best, strict=True)
    ]
    return table(title, columns, rows, least=("seconds", "failed"))


def _costs(report: RunReport) -> FittedTable:
    s, tokens = report.seconds, report.tokens
    columns = ("total s", "llm s", "evaluate s", "overhead s", "prompt tokens", "completion tokens")
    row = [f"{x:.4g}" for x in (s.total, s.llm, s.evaluate, s.overhead)]
    return table("Cost", columns, [(*row, str(tokens["prompt"]), str(tokens["completion"]))], left=0)


def failures(trials: Sequence[Trial], most: int = 8) -> Mapping[str, int]:
    """Returns the commonest last lines of the errors of trials that failed, with how often each occurred.

    Those beyond `most` are counted together in a last entry.
    """
    counts: dict[str, int] = {}
    for trial in trials:
        if not trial.complete:
            text = f"{trial.outcome.status.value}: {shown_line(trial.outcome.cause or 'no reason given', _ERROR)}"
            counts[text] = counts.get(text, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    found, rest = dict(ranked[:most]), dict(ranked[most:])
    return {**found, f"{len(rest)} other errors": sum(rest.values())} if rest else found


def _found(report: RunReport) -> str:
    """Returns the best value; of several objectives the hypervolume, and whether only this run counts from there."""
    if len(report.objectives) > 1:
        reference = report.front.reference
        own = " (own reference)" if reference is not None and reference.source == "estimated" else ""
        return f"hypervolume {number(report.front.hypervolume)}{own}"
    return number(None if report.standing.best is None else report.standing.best.value)


def overview(reports: Sequence[RunReport], names: Sequence[str] | None = None) -> FittedTable:
    """Returns one line for each run, which goes by its folder's name or by that of `names`."""
    rows = [
        (
            name,
            r.method,
            r.task,
            r.status,
            str(r.seed),
            str(len(r.trials)),
            str(len(r.trials) - r.counts["complete"]),
            _found(r),
            f"{r.seconds.total:.3g}",
            f"{r.seconds.llm:.3g}",
        )
        for name, r in zip(names or [r.run.name for r in reports], reports, strict=True)
    ]
    columns = ("run", "method", "task", "status", "seed", "trials", "failed", "best", "total s", "llm s")
    least = ("llm s", "total s", "seed", "failed", "trials", "method", "task", "status")
    return table("", columns, rows, left=4, least=least)
