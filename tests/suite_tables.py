"""Which of the tables in the suites stand for the others."""

FIRST = ("hpolib-slice", "hpobench-car", "nb201-cifar10", "nbgraph-cora")
"""One table of each suite: the others are read by the same code, and are tested at length by `make test-all`."""
