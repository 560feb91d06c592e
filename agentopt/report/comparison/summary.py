"""A comparison as the object that `--json` prints."""

from __future__ import annotations

from typing import Any

from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.caveats import uncontrolled
from agentopt.report.comparison.cells import FrontFacts
from agentopt.report.comparison.folder import Comparison
from agentopt.report.comparison.standings import Standing, finite
from agentopt.report.comparison.statistics import PairTest


def comparison_json(analysis: Analysis) -> dict[str, Any]:
    """Returns the object that `--json` prints."""
    comparison, single = analysis.comparison, analysis.task_tests
    lonely = uncontrolled(comparison)
    fronts = {task.name: _front_json(task.front) for task in comparison.tasks if task.front is not None}
    return {
        "run": str(comparison.folder),
        "family": comparison.family.value,
        **({"hypervolumes": fronts} if fronts else {}),
        "methods": {s.label: _standing_json(comparison, s) for s in analysis.standings},
        "tests": [
            {
                **_test_json(test),
                "uncontrolled": [label for label in (test.a, test.b) if label in lonely],
                "tasks": {str(one.task): _test_json(one) for one in single if (one.a, one.b) == (test.a, test.b)},
            }
            for test in analysis.tests
        ],
    }


def _front_json(facts: FrontFacts) -> dict[str, Any]:
    """Returns what the hypervolumes of a task count from, and that of the fronts of all runs together."""
    objectives = [{"name": o.name, "direction": o.direction} for o in facts.objectives]
    return {"objectives": objectives, "reference": facts.reference.to_json(), "together": facts.together}


def _standing_json(comparison: Comparison, standing: Standing) -> dict[str, Any]:
    found: dict[str, Any] = {"median_best": standing.median_best} if len(comparison.tasks) == 1 else {}
    found |= {
        "normalised_regret": standing.normalised_regret,
        "average_rank": standing.average_rank,
        "failed_share": standing.failed_share,
    }
    found["seconds"] = {kind: round(value, 3) for kind, value in standing.seconds.items()}
    return {**found, "tokens": standing.tokens}


def _test_json(test: PairTest) -> dict[str, Any]:
    return {
        "a": test.a,
        "b": test.b,
        "n": test.n,
        "median_difference": finite(test.median_difference),
        "unit": test.unit,
        "p": test.p,
        "p_holm": test.p_holm,
        "effect": test.effect,
        "a12": finite(test.a12),
        "wins": test.wins,
        "ties": test.ties,
        "losses": test.losses,
        "claim": test.claim,
        "possible": test.possible,
        "alike": test.alike,
        "least_p": test.least_p,
    }
