"""Tasks whose evaluation is a look-up: tables of every configuration of a space, as Python packages carry them."""

from agentopt.tables.graphs import GraphTable, graph_space
from agentopt.tables.hpo import HpoTable
from agentopt.tables.table import (
    FRONTS_FILE,
    KNOWN_FILE,
    Repeat,
    Table,
    choose_objectives,
    extremes,
    hypervolumes,
    means,
    pick,
    read_known,
    read_table,
    table_task,
)

__all__ = [
    "FRONTS_FILE",
    "KNOWN_FILE",
    "GraphTable",
    "HpoTable",
    "Repeat",
    "Table",
    "choose_objectives",
    "extremes",
    "graph_space",
    "hypervolumes",
    "means",
    "pick",
    "read_known",
    "read_table",
    "table_task",
]
