"""Which of the tables in the suites stand for the others."""

import pytest

FIRST = ("hpolib-slice", "hpobench-car", "nb201-cifar10", "nbgraph-cora")
"""One table of each suite: the others are read by the same code, and are tested at length by `make test-all`."""
OF_EACH = [
    *FIRST[:3],
    *(pytest.param(n, marks=pytest.mark.thorough) for n in ("hpolib-protein", "hpobench-credit-g", "nb201-imagenet")),
]
"""The same of the suites whose tables a package reads, and another of each."""
