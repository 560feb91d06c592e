"""How alike two rows are: Matern 5/2 over the numbers, times what differing choices leave."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from scipy.spatial.distance import cdist

from agentopt.optimizers.gp.rows import Rows

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


class Distances:
    """Two sets of rows, shapes (n, d) and (m, d), and the kernel between them for any scales."""

    def __init__(self, a: Rows, b: Rows, choices: Mask) -> None:
        self._choices = choices
        self._numbers = (a[:, ~choices], b[:, ~choices])
        self._differ = None
        if choices.any():
            self._differ = (a[:, choices][:, None, :] != b[:, choices][None, :, :]).astype(float)
        self._shape = (len(a), len(b))

    def kernel(self, scales: Vector) -> Rows:
        """Returns the kernel, shape (n, m).

        `scales`, shape (d,): the log of the length scale of a number, in units of its range, and the log of the weight
        of a choice: exp(-weight) is what is left where the choice differs.
        """
        a, b = self._numbers
        if a.shape[1]:
            lengths = np.exp(scales[~self._choices])
            r = cdist(a / lengths, b / lengths) * math.sqrt(5)
            kernel: Rows = (1 + r + r * r / 3) * np.exp(-r)
        else:
            kernel = np.ones(self._shape)
        if self._differ is not None:
            kernel *= np.exp(-(self._differ @ np.exp(scales[self._choices])))
        return kernel
