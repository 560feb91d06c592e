"""What a reader of a comparison must be told: what cannot be claimed from it, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentopt.report.comparison.cells import Measure, Method
from agentopt.report.comparison.family import count, seeds_needed
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.signed_rank import ALPHA, pairs_needed
from agentopt.report.comparison.statistics import Duel, PairTest, comparable
from agentopt.report.scale import HUGE
from agentopt.report.text import reference_text

_NAMED = 4


@dataclass(frozen=True, slots=True)
class Caveat:
    """One thing to know. A grave one is about what must not be concluded."""

    text: str
    grave: bool = False


def caveats(comparison: Comparison, tests: Sequence[PairTest], duels: Sequence[Duel]) -> list[Caveat]:
    """Returns what a reader must be told, the grave things first."""
    found = [
        *(Caveat(text, grave=True) for text in uncontrolled(comparison).values()),
        *_unlike(comparison),
        *_power(comparison, tests),
        *_unfinished(comparison),
        *_failed(comparison),
        *_same(duels),
        *_scales(comparison),
        *(Caveat(note) for note in comparison.notes),
    ]
    return sorted(found, key=lambda caveat: not caveat.grave)


def uncontrolled(comparison: Comparison) -> dict[str, str]:
    """Returns what to say of each method that asks a language model and has no control here, by label."""
    return {
        method.label: f"{method.label} asks a language model and its model-free control is not in this comparison:"
        " nothing here shows that the model made a difference. Add it with --controls."
        for method in comparison.methods
        if method.asks and not comparison.controls(method)
    }


def attributions(comparison: Comparison, tests: Sequence[PairTest]) -> list[str]:
    """Returns for each LLM method what the tests against its controls say of the model."""
    found = []
    for method in comparison.methods:
        twins = comparison.controls(method) if method.asks else []
        if not twins:
            continue
        verdicts = {twin.label: _verdict(method, twin, tests) for twin in twins}
        better = [label for label, verdict in verdicts.items() if verdict == "better"]
        others = [f"{verdict} {label}" for label, verdict in verdicts.items() if verdict != "better"]
        if not others:
            found.append(f"{method.label} is better than each of its controls: the model made a difference.")
        else:
            but = f", though better than {', '.join(better)}" if better else ""
            found.append(f"{method.label} is {'; '.join(others)}{but}: an effect of the model is not shown.")
    return found


def _verdict(method: Method, twin: Method, tests: Sequence[PairTest]) -> str:
    for test in tests:
        if {test.a, test.b} == {method.label, twin.label}:
            if not test.alike:
                return "not measured like"
            if test.claim == "none":
                break
            winner = test.a if test.claim == "a better" else test.b
            return "better" if winner == method.label else "worse than"
    return "not significantly different from"


def _unlike(comparison: Comparison) -> list[Caveat]:
    """Says where the losses of methods are not the same thing, so that none of them is better by these."""
    found = []
    for task in comparison.tasks:
        by: dict[Measure, list[str]] = {}
        for label in comparison.labels:
            for measure in sorted(comparison.measures(label, task.name)):
                by.setdefault(measure, []).append(label)
        if len(by) > 1:
            what = "; ".join(f"of {_some(labels)} it is {measure.value}" for measure, labels in by.items())
            found.append(
                Caveat(
                    f"What a run on {task.name} ends with is not the same thing for all: {what}. The best of single"
                    " values flatters, the more of them the more: nothing is claimed between these, and ranks mix them."
                    " agentopt finalise RUN trains what each found anew.",
                    grave=True,
                )
            )
    return found


def _power(comparison: Comparison, tests: Sequence[PairTest]) -> list[Caveat]:
    """Says where there are too few pairs for any claim, and what it would take."""
    found = []
    if apart := sum(test.n == 0 for test in tests):
        text = "have no task and seed in common that both finished."
        found.append(Caveat(f"{apart} of {len(tests)} tested pairs of methods {text}", grave=True))
    poor = [test for test in tests if test.n and test.alike and not test.possible]
    if poor:
        which = "No claim is"
        if any(test.possible for test in tests):
            which = f"For {len(poor)} of {len(tests)} tested pairs of methods no claim is"
        worst = min(poor, key=lambda test: test.n)
        corrected = f", corrected for {len(tests)} tests," if len(tests) > 1 else ""
        text = (
            f"{which} possible: with {count(worst.n, 'pair')} of runs the smallest p-value that"
            f" there can be{corrected} is {worst.least_p:.3g}, above {ALPHA}. {_remedy(comparison, len(tests))}"
        )
        found.append(Caveat(text, grave=True))
    return found


def _remedy(comparison: Comparison, tests: int) -> str:
    """Returns what it takes for a claim: more seeds, or the runs that are planned and not finished."""
    planned = len(comparison.tasks) * len(comparison.seeds)
    if planned >= pairs_needed(tests):
        return f"{pairs_needed(tests)} are needed; there are {planned} once every run is finished."
    return f"At least {seeds_needed(tests, len(comparison.tasks))} seeds are needed{_on(comparison)}."


def _on(comparison: Comparison) -> str:
    return f" on {len(comparison.tasks)} tasks" if len(comparison.tasks) > 1 else ""


def _unfinished(comparison: Comparison) -> list[Caveat]:
    """Says which runs are not counted, by method and why."""
    why: Counter[tuple[str, str]] = Counter()
    for method in comparison.methods:
        cells = comparison.of(method.label)
        why.update((method.label, cell.status) for cell in cells if not cell.finished)
        if absent := len(comparison.tasks) * len(comparison.seeds) - len(cells):
            why[method.label, "not begun"] = absent
    if not why:
        return []
    said = ", ".join(f"{label}: {count} {status}" for (label, status), count in why.items())
    total = sum(why.values())
    text = f"Not finished and not counted: {total} of {comparison.planned} runs ({said})."
    stopped = any(status == "stopped" for _, status in why)
    return [Caveat(text + (" Leaving out runs that an error stopped may flatter a method." if stopped else ""))]


def _failed(comparison: Comparison) -> list[Caveat]:
    """Says which methods finished runs and completed no trial in any of them."""
    found = []
    for label in comparison.labels:
        cells = [cell for cell in comparison.of(label) if cell.finished]
        if cells and not any(cell.counts["complete"] for cell in cells):
            found.append(Caveat(f"{label}: no trial of any run completed; it ranks last.", grave=True))
    return found


def _same(duels: Sequence[Duel]) -> list[Caveat]:
    """Says which methods found the same in every run."""
    same = [duel for duel in duels if duel.ties and not duel.wins and not duel.losses]
    found = [Caveat(f"{duel.a} and {duel.b} ended every run with the same loss.") for duel in same[:_NAMED]]
    if len(same) > _NAMED:
        found.append(Caveat(f"{len(same) - _NAMED} further pairs of methods ended every run with the same loss."))
    return found


def _scales(comparison: Comparison) -> list[Caveat]:
    """Says what regrets are counted from, and what a difference over several tasks is measured in."""
    found = []
    unknown = [task.name for task in comparison.tasks if task.reference is None]
    if unknown:
        text = f"The optimum of {_some(unknown)} is not known: regrets there count from the best that any run found."
        found.append(Caveat(text))
    searched = [task.name for task in comparison.tasks if task.optimum is None and task.best_known is not None]
    if searched:
        found.append(
            Caveat(
                f"The optimum of {_some(searched)} is not known: regrets there count from the best known value, which a"
                " search found; a run that does better has a negative regret."
            )
        )
    partly = [task.name for task in comparison.tasks if not task.normalised]
    if partly and len(partly) < len(comparison.tasks):
        found.append(Caveat(f"The normalised regret leaves out {_some(partly)}, where it is not known."))
    found += _fronts(comparison)
    below = [
        task.name
        for i, task in enumerate(comparison.tasks)
        if task.optimum is not None and (comparison.finals[i] < task.optimum - 1e-9 * max(1, abs(task.optimum))).any()
    ]
    if below:
        found.append(Caveat(f"Some run ended below the stated optimum of {_some(below)}: noise, or a wrong optimum."))
    if (np.abs(comparison.finals[np.isfinite(comparison.finals)]) >= HUGE).any():
        found.append(Caveat(f"Some runs ended at values beyond {HUGE:g}, which are counted as {HUGE:g}."))
    if len(comparison.tasks) > 1:
        unit = comparable(comparison)[1]
        text = f"Tests over all tasks pair the runs by task and seed and measure differences in {unit} of the task."
        found.append(Caveat(text + " They speak of these tasks only."))
    return found


def _fronts(comparison: Comparison) -> list[Caveat]:
    """Says what is compared where there are several objectives, and what regrets count from there."""
    found = []
    for task in comparison.tasks:
        if task.front is not None:
            where = reference_text(task.front.reference, task.front.objectives)
            found.append(Caveat(f"On {task.name} the hypervolume is compared, {where}."))
    joint = [task.name for task in comparison.tasks if task.reference_is == "these runs together"]
    if joint:
        text = f"How much hypervolume there is on {_some(joint)} is not known: regrets there count from that of the"
        found.append(Caveat(f"{text} fronts of all runs together."))
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
