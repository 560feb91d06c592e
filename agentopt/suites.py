"""Named groups of tasks: `suite:hpolib` stands for the names below it wherever tasks are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentopt.errors import unknown

PREFIX = "suite:"
SUITES: Mapping[str, tuple[str, ...]] = {
    "hpolib": ("hpolib-slice", "hpolib-protein", "hpolib-naval", "hpolib-parkinsons"),
    "hpobench": (
        "hpobench-australian",
        "hpobench-blood-transfusion",
        "hpobench-car",
        "hpobench-credit-g",
        "hpobench-kc1",
        "hpobench-phoneme",
        "hpobench-segment",
        "hpobench-vehicle",
    ),
    "nb201": ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet"),
    "nbgraph": (
        "nbgraph-cora",
        "nbgraph-citeseer",
        "nbgraph-pubmed",
        "nbgraph-cs",
        "nbgraph-physics",
        "nbgraph-photo",
        "nbgraph-computers",
        "nbgraph-arxiv",
        "nbgraph-proteins",
    ),
    "real": ("svm-breast-cancer", "mlp-digits"),
    # Two functions of each of the five groups: separable, moderately and badly conditioned, with and without structure.
    "bbob-small": (
        "bbob-f1-d5-i1",
        "bbob-f3-d5-i1",
        "bbob-f6-d5-i1",
        "bbob-f8-d5-i1",
        "bbob-f10-d5-i1",
        "bbob-f13-d5-i1",
        "bbob-f15-d5-i1",
        "bbob-f17-d5-i1",
        "bbob-f20-d5-i1",
        "bbob-f21-d5-i1",
    ),
    "bbob-full": tuple(f"bbob-f{number}-d{dimension}-i1" for dimension in (5, 10) for number in range(1, 25)),
    # Several objectives; no package and no file is needed, an evaluation takes a millisecond at most.
    "moo": ("zdt1", "zdt2", "zdt3", "dtlz2", "vehicle-safety", "car-side-impact", "penicillin"),
    "quick": ("hartmann6", "rastrigin-5", "bbob-f8-d5-i1", "hpolib-protein", "hpobench-vehicle", "nb201-cifar100"),
}
"""The tasks of each suite."""


def expand_tasks(names: Sequence[str]) -> list[str]:
    """Returns the names with every suite replaced by its tasks, each name once, in the order of first mention.

    Raises UsageError with the nearest name for a suite that is not known; the names of tasks are not looked at.
    """
    expanded: dict[str, None] = {}
    for name in names:
        if not name.startswith(PREFIX):
            expanded[name] = None
            continue
        suite = name.removeprefix(PREFIX)
        if suite not in SUITES:
            raise unknown("suite", name, [PREFIX + known for known in SUITES])
        expanded.update(dict.fromkeys(SUITES[suite]))
    return list(expanded)
