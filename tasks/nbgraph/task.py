"""NAS-Bench-Graph: neural networks for graphs, every one of 26206 of which was trained and tabulated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentopt.tables import KNOWN_FILE, GraphTable, graph_space, pick, table_task
from agentopt.task import FunctionTask

SPACE = graph_space(("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip"))
PROTEINS = "proteins"
DATA = {
    "cora": "Cora",
    "citeseer": "CiteSeer",
    "pubmed": "PubMed",
    "cs": "Coauthor CS",
    "physics": "Coauthor Physics",
    "photo": "Amazon Photo",
    "computers": "Amazon Computers",
    "arxiv": "ogbn-arxiv",
    PROTEINS: "ogbn-proteins",
}
TABLES = {file: GraphTable(file, SPACE) for file in DATA} | {
    PROTEINS: GraphTable(PROTEINS, graph_space(("gcn", "sage", "arma", "fc", "skip")))
}
VARIANTS = tuple(TABLES)


def make(variant: str = "", objectives: str | Sequence[str] | None = None) -> FunctionTask:
    """Returns the task of a data set."""
    table = pick("nbgraph", variant, TABLES)
    return table_task(
        f"nbgraph-{variant}",
        table,
        Path(__file__).with_name(KNOWN_FILE),
        description=(
            f"A neural network for graphs (NAS-Bench-Graph) on {DATA[variant]}. `structure` says what each of its four"
            " nodes takes as its input: 0 is the input of the network, 1 to 3 are earlier nodes. op1 to op4 are what"
            " the nodes do. Nodes whose output no other one takes are joined to the output of the network. Four times"
            " 'skip' fails. The accuracy is that on validation data."
        ),
        facts={
            "source": "NAS-Bench-Graph (Qin et al., NeurIPS 2022; Apache-2.0), in nas-bench-graph (Apache-2.0)",
            "table": f"{2021 if variant == PROTEINS else 26206} networks, each the mean of three trainings",
        },
        objectives=objectives,
    )
