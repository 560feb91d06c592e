"""Fits the surrogate from the measured trials and writes how good it is: `python fit.py TRIALS.jsonl.gz`."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from task import MODEL, SPACE

from agentopt.surrogate.fit import fit_surrogate
from agentopt.surrogate.rows import Source, read_source
from agentopt.surrogate.validate import cross_validate
from agentopt.trial import Status

FIGURES = MODEL.with_name("figures.json")
BELOW = 1.0

DERIVED = {
    "width": "ceil(DEPTH * ASPECT_RATIO / HEAD_DIM) * HEAD_DIM",
    "heads": "width / HEAD_DIM",
    "_matrices": "12 * DEPTH * width ** 2",
    "_head": "8192 * width",
    "_embeddings": "8192 * width * (1 + ceil(DEPTH / 2))",
    "parameters": "log(_matrices + _head + _embeddings)",
    "dense_parameters": "log(_matrices + _head)",
    "activations": "log(DEVICE_BATCH_SIZE * 2048 * width * DEPTH)",
    "memory_gb": "(DEVICE_BATCH_SIZE * 2048 * (34 * width * DEPTH + 10 * 8192)"
    " + 16 * (_matrices + _head + _embeddings)) / 1e9",
    "_all": 'WINDOW_PATTERN == "LLLL"',
    "_long": '1 + floor((DEPTH + 2) / 4) * (_all + (WINDOW_PATTERN == "LSSL"))'
    ' + floor((DEPTH + 1) / 4) * (_all + (WINDOW_PATTERN == "SLSL"))'
    ' + floor(DEPTH / 4) * (_all + (WINDOW_PATTERN == "SSLL"))'
    ' + floor((DEPTH - 1) / 4) * (WINDOW_PATTERN != "SSSS")',
    "long_share": "_long / DEPTH",
    "_flops": "6 * (_matrices + _head) + 12 * width * 1024 * (DEPTH + _long)",
    "flops_per_token": "log(_flops)",
    "steps": "-log(_flops * TOTAL_BATCH_SIZE)",
    "accumulation": "log2(TOTAL_BATCH_SIZE / (DEVICE_BATCH_SIZE * 2048))",
    "flat": "1 - WARMUP_RATIO - WARMDOWN_RATIO",
    "mean_rate": "1 - WARMUP_RATIO / 2 - WARMDOWN_RATIO * (1 - FINAL_LR_FRAC) / 2",
    "matrix_travel": "log(MATRIX_LR) + steps",
    "embedding_rate": "log(EMBEDDING_LR) - log(width) / 2",
    "unembedding_rate": "log(UNEMBEDDING_LR) - log(width) / 2",
    "matrix_decay": "log(MATRIX_LR * (WEIGHT_DECAY + 0.01))",
}
"""What the training code computes from the constants; `steps` is up to a constant, logarithms are natural."""

MEMORY = ("DEPTH", "HEAD_DIM", "DEVICE_BATCH_SIZE", "width", "heads", "parameters", "activations", "memory_gb")
"""What decides whether a run fits into memory."""
STALLED = 300.0
"""A failed trial that lasted this long did not run out of memory, which shows within a minute or so: it stalled."""


def out_of_memory_or_complete(source: Source) -> Source:
    """Returns the source without the trials that stalled."""
    kept = [row for row in source.rows if row.complete or row.seconds is None or row.seconds < STALLED]
    return replace(source, rows=tuple(kept))


def main() -> None:
    """Writes `model.npz` and, unless told not to, `figures.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path, help="JSON lines of params, val_bpb, success and seconds; may be gzipped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2, help="repetitions of the 5-fold cross-validation; 0 for none")
    given = parser.parse_args()
    measured = read_source(given.trials, value="val_bpb", failure=Status.OOM)
    source = out_of_memory_or_complete(measured)
    facts = {
        "source": "arXiv 2603.24647 (autoresearch-automl), one NVIDIA H200",
        "licence": "MIT",
        "description": "5-minute training runs of karpathy/autoresearch's GPT: minimize val_bpb",
    }
    model = fit_surrogate(source, space=SPACE, derived=DERIVED, failure_features=MEMORY, seed=given.seed, facts=facts)
    model.save(MODEL)
    if not given.repeats:
        return
    figures: dict[str, Any] = {
        "folds": 5,
        "repeats": given.repeats,
        "seed": given.seed,
        "below": BELOW,
        **dict(model.facts["fit"]),
        "stalled": len(measured.rows) - len(source.rows),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "versions": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
    }
    for grouping in ("identical", "regions"):
        found = cross_validate(
            source,
            space=SPACE,
            derived=DERIVED,
            failure_features=MEMORY,
            grouping=grouping,
            below=BELOW,
            repeats=given.repeats,
            seed=given.seed,
        )
        figures[grouping] = {name: asdict(figure) for name, figure in found.items()}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
