"""A surrogate of karpathy/autoresearch's training run: 14 parameters, validation bits per byte, memory failures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from agentopt.errors import UsageError
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace
from agentopt.surrogate.model import Surrogate
from agentopt.surrogate.task import surrogate_task
from agentopt.task import FunctionTask

MODEL = Path(__file__).resolve().parent / "model.npz"
NOISE = 0.0007
"""The standard deviation of val_bpb between repeats of one configuration, as measured near the default."""

SPACE = SearchSpace(
    (
        Int("DEPTH", 4, 24, default=8),
        Int("ASPECT_RATIO", 32, 128, default=64),
        Int("HEAD_DIM", 64, 256, log=True, default=128, powers_of=2),
        Int("DEVICE_BATCH_SIZE", 32, 256, log=True, default=128, powers_of=2),
        Int("TOTAL_BATCH_SIZE", 65536, 2097152, log=True, default=524288, powers_of=2),
        Float("EMBEDDING_LR", 0.01, 2.0, log=True, default=0.6),
        Float("UNEMBEDDING_LR", 0.0005, 0.05, log=True, default=0.004),
        Float("MATRIX_LR", 0.005, 0.2, log=True, default=0.04),
        Float("SCALAR_LR", 0.05, 2.0, log=True, default=0.5),
        Float("WEIGHT_DECAY", 0.0, 0.5, default=0.2),
        Float("WARMUP_RATIO", 0.0, 0.3, default=0.0),
        Float("WARMDOWN_RATIO", 0.1, 0.8, default=0.5),
        Float("FINAL_LR_FRAC", 0.0, 0.2, default=0.0),
        Choice("WINDOW_PATTERN", ("SSSL", "SSLL", "SLSL", "LLLL", "SSSS", "LSSL"), default="SSSL"),
    ),
    repairs=(AtLeast("TOTAL_BATCH_SIZE", "DEVICE_BATCH_SIZE", 2048),),
)
"""The search space of arXiv 2603.24647 over the constants of karpathy/autoresearch's train.py."""

DESCRIPTION = """\
Hyperparameters of a small GPT trained from scratch on web text (ClimbMix) for exactly 5 minutes on one GPU with a
memory cap of 76 GB. The value is val_bpb, the validation loss in bits per byte: lower is better. The defaults (about
50 million parameters) give about 0.991. The budget is time, not steps: a larger model or a larger TOTAL_BATCH_SIZE
means fewer optimizer steps.
- DEPTH layers of width DEPTH * ASPECT_RATIO, rounded up to a multiple of HEAD_DIM (the size of one attention head).
- DEVICE_BATCH_SIZE sequences of 2048 tokens go through the GPU at once; TOTAL_BATCH_SIZE tokens make one optimizer step
  (gradient accumulation bridges the two).
- The run fails out of memory (oom, no value) when DEPTH * width * DEVICE_BATCH_SIZE is too large: wide or deep models
  need a small DEVICE_BATCH_SIZE.
- MATRIX_LR is the learning rate of Muon for the weight matrices; EMBEDDING_LR, UNEMBEDDING_LR and SCALAR_LR those of
  AdamW for token embeddings, output layer and per-layer scalars. WEIGHT_DECAY applies to the matrices.
- The learning rates rise over the first WARMUP_RATIO of the run and fall over the last WARMDOWN_RATIO of it to
  FINAL_LR_FRAC of their value.
- WINDOW_PATTERN is repeated over the layers: S attends to the last 1024 tokens (faster), L to all 2048; the last layer
  is always L."""

FACTS = {
    "source": "trials measured on one NVIDIA H200 by the authors of arXiv 2603.24647",
    "licence": "MIT (the trials' repository, autoresearch-automl)",
    "noise": f"Gaussian, standard deviation {NOISE}, decided by the evaluation's seed; off with the option noise=false",
    "failures": "predicted out-of-memory, reported as oom without a value",
    "limits": "no value under about .974 is possible; differences under .001 mean little",
}


def make(*, noise: bool = True) -> FunctionTask:
    """Returns the surrogate, with the noise of repeated training runs unless `noise` is false."""
    if not isinstance(noise, bool):
        raise UsageError(f"Task autoresearch-surrogate: noise is true or false, not {noise!r}.")
    return surrogate_task(
        load_model(),
        "autoresearch-surrogate",
        noise=NOISE if noise else 0.0,
        description=DESCRIPTION,
        failure="GPU out of memory (predicted)",
        metrics=_metrics,
        facts=FACTS,
    )


@cache
def load_model() -> Surrogate:
    """Returns the fitted model that stands beside this file."""
    return Surrogate.load(MODEL)


def _metrics(derived: Mapping[str, float]) -> dict[str, float]:
    return {"num_params_M": math.exp(derived["parameters"]) / 1e6}
