"""HW-GPT-Bench's trained nets: from architectures to perplexity, memory, parameters and operations, by numpy alone.

Sukthanker et al., "HW-GPT-Bench: hardware-aware architecture benchmark for language models" (NeurIPS 2024 datasets and
benchmarks track, arXiv 2405.10299). An architecture is a row of positions: of the embedding size, the number of layers,
the MLP ratio of each layer, the number of heads of each layer, and the bias (0: with, 1: without); each among the
values that a scale lists, -1 in layers that the architecture does not have.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agentopt.errors import UsageError
from agentopt.paths import cache_dir

WEIGHTS, RANGES = "hwgpt_surrogates.npz", "hwgpt_ranges.json"
VARIABLE = "AGENTOPT_DATA"
"""Names the folder that data files are looked for in first."""
NETS = {"perplexity": "perplexity", "memory": "bfloat16_memory", "parameters": "params", "flops": "flops"}
"""The file's key of each quantity: no unit, MB (in bfloat16), millions, and 10^12 operations."""
ABOUT = "tasks/hwgpt/README.md"
DEPTH = 5
"""Linear layers of a net, ReLU between them."""

Rows: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.int64]]
Table: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Column: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Nets:
    """The nets of one scale."""

    embeddings: tuple[int, int, int]
    """The values of the embedding size: unlike the others they are not evenly spaced."""
    weights: Mapping[str, tuple[tuple[Table, Column], ...]]
    """Per quantity, weight and bias of each linear layer."""

    def __call__(self, quantity: str, rows: Rows) -> Column:
        """Returns a quantity of architectures: shape (n, 3 + 2 x most layers) to (n,)."""
        hidden = one_hot(rows) if quantity == "perplexity" else scaled(rows, self.embeddings)
        for i, (weight, bias) in enumerate(self.weights[quantity]):
            hidden = hidden @ weight.T + bias
            if i < DEPTH - 1:
                hidden = np.maximum(hidden, 0.0)
        return hidden[:, 0]


def one_hot(rows: Rows) -> Table:
    """Returns what the perplexity's net takes: three columns per position, the bias two; absent layers are zero."""
    three, two = np.vstack([np.eye(3), np.zeros(3)]), np.eye(2)
    return np.hstack([three[rows[:, :-1]].reshape(len(rows), -1), two[rows[:, -1]]])


def scaled(rows: Rows, embeddings: tuple[int, int, int]) -> Table:
    """Returns what the other nets take: each value from 0, its lowest, to 1; absent layers are -1; with a bias 1."""
    low, _, high = embeddings
    sizes = (np.array(embeddings) - low) / (high - low)
    thirds = np.array([0.0, 0.5, 1.0, -1.0])
    return np.hstack([sizes[rows[:, :1]], thirds[rows[:, 1:-1]], 1.0 - rows[:, -1:]])


@cache
def load_nets(path: Path, scale: str, embeddings: tuple[int, int, int], layers: int) -> Nets:
    """Returns the nets of a scale; raises UsageError for a file that does not hold them."""
    widths = {"perplexity": 8 + 6 * layers} | dict.fromkeys(("memory", "parameters", "flops"), 3 + 2 * layers)
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = {
                q: tuple(_linear(file, f"{key}/{scale}/fc{i + 1}") for i in range(DEPTH)) for q, key in NETS.items()
            }
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} does not hold the nets of HW-GPT-Bench's scale {scale} ({error}): see {ABOUT}."
        ) from error
    for quantity, net in weights.items():
        if net[0][0].shape[1] != widths[quantity] or net[-1][0].shape[0] != 1:
            shape = f"{net[0][0].shape[1]} inputs, not {widths[quantity]}"
            raise UsageError(f"{path}: the net {NETS[quantity]}/{scale} has {shape}: see {ABOUT}.")
    return Nets(embeddings, weights)


def _linear(file: Mapping[str, Any], key: str) -> tuple[Table, Column]:
    return file[f"{key}.weight"].astype(np.float64), file[f"{key}.bias"].astype(np.float64)


def data_file(task: str, name: str) -> Path:
    """Returns a file from `$AGENTOPT_DATA`, else from the cache; raises UsageError where it is in neither."""
    given = os.environ.get(VARIABLE)
    places = [cache_dir("data")] if given is None else [Path(given), cache_dir("data")]
    for place in places:
        if (place / name).is_file():
            return place / name
    looked = " or in ".join(str(place) for place in places)
    raise UsageError(
        f"Task {task} needs {name}, which is not in {looked}. It holds what automl/HW-GPT-Bench (Apache-2.0) publishes,"
        f" as numpy arrays; {ABOUT} says how to make it. Set {VARIABLE} to its folder, or put it into {places[-1]}."
    )
