"""A comparison in words: tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.caveats import uncontrolled
from agentopt.report.comparison.curves import CHECKPOINTS, Curve
from agentopt.report.comparison.family import count, tested_text
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.signed_rank import ALPHA, pairs_needed
from agentopt.report.comparison.standings import Standing
from agentopt.report.comparison.statistics import Duel, PairTest, Ranking
from agentopt.report.comparison.tables import wins_table
from agentopt.report.terminal import table
from agentopt.report.text import number

_DETAILED = 4
"""Up to so many tasks each has its own rows for the checkpoints."""
_WIDE = 8
"""Up to so many methods have a matrix of wins."""
_PAGE = 80
"""Where the columns of methods would be wider together than this, they have numbers."""
_RED = "bold red"


def render_comparison(analysis: Analysis) -> RenderableType:
    """Returns the report of a comparison."""
    return Lines(*_parts(analysis))


def _parts(analysis: Analysis) -> Iterator[RenderableType]:
    comparison, tests = analysis.comparison, analysis.tests
    done = sum(cell.finished for cell in comparison.cells)
    yield Text(
        f"{count(len(comparison.labels), 'method')} on {count(len(comparison.tasks), 'task')} with"
        f" {count(len(comparison.seeds), 'seed')}, {comparison.trials} trials each:"
        f" {done} of {comparison.planned} runs finished  ({comparison.folder})"
    )
    for caveat in analysis.caveats:
        if caveat.grave:
            yield Text(caveat.text, style=_RED)
    yield ""
    yield _methods(comparison, analysis.standings)
    yield ""
    yield _costs(analysis.standings)
    yield ""
    yield from _regrets(comparison, analysis.checkpoints)
    if tests:
        yield ""
        yield from _tests(comparison, tests)
        if len(comparison.labels) > 2:
            if len(comparison.labels) <= _WIDE:
                yield _wins(comparison.labels, analysis.duels)
                yield ""
            yield from _ranking(analysis.ranking)
        yield from _claims(analysis)
    if notes := [caveat.text for caveat in analysis.caveats if not caveat.grave]:
        yield ""
        yield from (Text(f"- {note}") for note in notes)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _methods(comparison: Comparison, lines: Sequence[Standing]) -> RenderableType:
    one = len(comparison.tasks) == 1
    ones = ["the median configuration"] if any(task.front is None for task in comparison.tasks) else []
    ones += ["no hypervolume"] if any(task.front is not None for task in comparison.tasks) else []
    columns = ["method", "runs", "average rank"]
    columns += [f"median best {comparison.tasks[0].objective.name}"] if one else []
    columns += ["normalised regret", "failed", "oom", "by llm", "fallback"]
    rows = []
    for s in sorted(lines, key=lambda s: math.inf if s.average_rank is None else s.average_rank):
        row = [s.label, str(s.finished), "-" if s.average_rank is None else f"{s.average_rank:.2f}"]
        row += [number(s.median_best)] if one else []
        row += ["-" if s.normalised_regret is None else f"{s.normalised_regret:.4g}"]
        rows.append([*row, *map(_share, (s.failed_share, s.oom_share, s.llm_share, s.fallback_share))])
    title = f"Methods (rank 1 is best; regret 0 is the optimum or best known, 1 {' or '.join(ones)})"
    return table(title, columns, rows, least=("oom", "fallback", "by llm", "failed", "runs", "normalised regret"))


def _costs(lines: Sequence[Standing]) -> RenderableType:
    columns = ["method", "total s", "llm s", "evaluate s", "overhead s", "prompt tokens", "completion tokens"]
    rows = [
        [s.label, *(f"{value:.4g}" for value in s.seconds.values()), *(str(value) for value in s.tokens.values())]
        for s in lines
    ]
    least = ("overhead s", "completion tokens", "prompt tokens", "evaluate s", "llm s")
    return table("Cost of all runs", columns, rows, least=least)


def _regrets(comparison: Comparison, curves: Sequence[Curve]) -> Iterator[RenderableType]:
    """Yields the regrets: of few tasks over the budget, a table for each; of many the medians at the end."""
    if len(comparison.tasks) > _DETAILED:
        found = {(c.task, c.label): c.median[-1] for c in curves}
        rows = [[t.name, *(_short(found[t.name, label]) for label in comparison.labels)] for t in comparison.tasks]
        columns = _columns(comparison.labels, [task.name for task in comparison.tasks])
        if columns != list(comparison.labels):
            yield Text(_legend(comparison.labels))
        yield table("Median regret at the end", ["task", *columns], rows)
        return
    medians = [f"median at {share:.0%}" for share in CHECKPOINTS]
    for k, task in enumerate(comparison.tasks):
        rows = [
            [c.label, *(_short(v) for v in c.median), _interval(c), _short(c.mean[-1]), str(c.seeds)]
            for c in curves
            if c.task == task.name
        ]
        if k:
            yield ""
        yield table(
            f"Regret on {task.name} after shares of the trials",
            ["method", *medians, "95 % interval", "mean", "runs"],
            rows,
            least=("runs", "mean", *medians[:-1]),
        )


def _columns(labels: Sequence[str], firsts: Sequence[str]) -> list[str]:
    """Returns what the methods are called above a column each: their labels where these fit, else their numbers."""
    wide = max(len(first) for first in firsts) + sum(len(label) + 2 for label in labels) > _PAGE
    return [str(i + 1) for i in range(len(labels))] if wide else list(labels)


def _legend(labels: Sequence[str]) -> str:
    return "By number: " + ", ".join(f"{i + 1} {label}" for i, label in enumerate(labels)) + "."


def _short(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.4g}"


def _interval(curve: Curve) -> str:
    low, high = curve.low[-1], curve.high[-1]
    return "-" if math.isnan(low) else f"{low:.4g} .. {high:.4g}"


def _tests(comparison: Comparison, tests: Sequence[PairTest]) -> Iterator[RenderableType]:
    """Yields the tests, a table for each method that others are compared with."""
    yield Text(tested_text(comparison.methods, comparison.family))
    yield Text(
        f"Paired Wilcoxon tests of the final losses, in {tests[0].unit}; effect: from 1, always better, to -1, always"
        " worse; ties count."
    )
    columns = ("against", "pairs", "better", "ties", "worse", "median difference", "effect", "A12", "p", "p (Holm)")
    for label in dict.fromkeys(t.a for t in tests):
        rows = [
            [
                *(t.b, str(t.n), str(t.wins), str(t.ties), str(t.losses)),
                *(_short(t.median_difference), f"{t.effect:+.2f}", _short(round(t.a12, 2))),
                *(f"{t.p:.3g}", f"{t.p_holm:.3g}", _claim(t)),
            ]
            for t in tests
            if t.a == label
        ]
        least = ("A12", "p", "ties", "pairs", "median difference", "effect", "worse", "better")
        yield table(label, [*columns, "claim"], rows, least=least)
        yield ""


def _claim(test: PairTest) -> str:
    """Returns how the first method of a test is, compared with the second."""
    if test.claim == "none":
        return "none" if test.possible else "none possible" if test.alike else "none: not alike"
    return "better" if test.claim == "a better" else "worse"


def _wins(labels: Sequence[str], duels: Sequence[Duel]) -> RenderableType:
    rows = [[str(cell) for cell in row] for row in wins_table(labels, duels).rows]
    columns = _columns(labels, labels)
    if columns != list(labels):
        rows = [[f"{i + 1} {label}", *cells] for i, (label, *cells) in enumerate(rows)]
    return table("Wins, ties and losses of the row against the column", ["", *columns], rows)


def _ranking(ranks: Ranking) -> Iterator[RenderableType]:
    if math.isfinite(ranks.friedman_p) and math.isfinite(ranks.critical):
        differ = "differ" if ranks.friedman_p <= ALPHA else "do not differ significantly"
        yield Text(
            f"Ranks over {ranks.blocks} pairs of task and seed {differ} (Friedman p {ranks.friedman_p:.3g});"
            f" critical difference {ranks.critical:.2f} (Nemenyi)."
        )


def _claims(analysis: Analysis) -> Iterator[RenderableType]:
    made = [t for t in analysis.tests if t.claim != "none"]
    if not made:
        some = any(test.alike for test in analysis.tests)
        text = f"No tested difference between methods is significant at {ALPHA}." if some else "Nothing is claimed."
        yield Text(text)
    lonely = uncontrolled(analysis.comparison)
    for test in made:
        winner, loser = (test.a, test.b) if test.claim == "a better" else (test.b, test.a)
        text = f"{winner} is better than {loser} (p {test.p_holm:.2g}, effect {abs(test.effect):.2f})."
        if winner in lonely:
            yield Text(f"{text} Without its control this is no effect of the model.", style=_RED)
        else:
            yield Text(text)
    yield from (Text(text) for text in analysis.attributions)
    if len(analysis.comparison.tasks) > 1:
        yield from _single(analysis.task_tests)


def _single(tests: Sequence[PairTest]) -> Iterator[RenderableType]:
    """Says which differences there are on single tasks, and whether there could be any."""
    if not any(test.alike for test in tests):
        return
    if not any(test.possible for test in tests):
        need = pairs_needed(len(tests))
        yield Text(f"On single tasks no claim is possible: {len(tests)} tests would need {need} seeds.")
        return
    made = [test for test in tests if test.claim != "none"]
    if not made:
        yield Text("On no single task is a difference significant.")
        return
    yield Text("On single tasks, corrected for all of them together:")
    found: dict[tuple[str, str], list[str]] = {}
    for t in made:
        winner, loser = (t.a, t.b) if t.claim == "a better" else (t.b, t.a)
        found.setdefault((winner, loser), []).append(f"{t.task} (p {t.p_holm:.2g}, effect {abs(t.effect):.2f})")
    for (winner, loser), where in found.items():
        yield Text(f"- {winner} is better than {loser} on {', '.join(where)}.")
