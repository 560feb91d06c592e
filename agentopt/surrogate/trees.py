"""Boosted regression trees as plain arrays, and their vectorised sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

_CHUNK = 4_000_000
"""How many (configuration, tree) pairs are walked at once."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree by its nodes: `left` is negative at a leaf, and is where a feature <= the threshold goes."""

    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array


class Forest:
    """A sum of trees.

    The nodes of all trees stand in one row. The children of a node are neighbours, `child` and `child + 1`; a leaf is
    its own child with an infinite threshold, so every tree can be walked for the same number of steps. Features and
    thresholds are compared as 32 bit floats.
    """

    def __init__(self, roots: Array, feature: Array, threshold: Array, child: Array, value: Array) -> None:
        self._roots, self._feature, self._threshold = roots, feature, threshold
        self._child, self._value = child, value
        self._depth = self._measure_depth()

    @staticmethod
    def of(trees: Sequence[Tree], scale: float = 1.0) -> Forest:
        """Returns the sum of `trees`, each times `scale`."""
        parts = [_neighbouring(tree) for tree in trees]
        sizes = [len(part[0]) for part in parts]
        starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.zeros(0, np.int64)
        feature, threshold, child, value = (
            np.concatenate([part[i] for part in parts]) if parts else np.zeros(0) for i in range(4)
        )
        child = child.astype(np.int64) + np.repeat(starts, sizes)
        return Forest(
            starts.astype(np.int64),
            feature.astype(np.int64),
            threshold.astype(np.float32),
            child,
            (value * scale).astype(np.float32),
        )

    def sum(self, features: Array) -> Array:
        """Returns the sum of the trees' values, shape (rows,), for features of shape (rows, columns)."""
        x = np.asarray(features, np.float32)
        out = np.zeros(len(x))
        step = max(1, _CHUNK // max(1, len(self._roots)))
        for start in range(0, len(x), step):
            out[start : start + step] = self._sum(x[start : start + step])
        return out

    def _sum(self, x: Array) -> Array:
        flat, columns = x.ravel(), x.shape[1]
        offset = np.arange(len(x))[:, None] * columns if len(x) > 1 else 0
        at = np.broadcast_to(self._roots, (len(x), len(self._roots)))
        for _ in range(self._depth):
            seen = flat.take(self._feature.take(at) + offset)
            at = self._child.take(at) + (seen > self._threshold.take(at))
        return np.asarray(self._value.take(at).sum(axis=1, dtype=np.float64))

    def to_arrays(self) -> dict[str, Array]:
        """Returns the arrays that `from_arrays` takes: a leaf's value stands where other nodes have a threshold."""
        own = np.arange(len(self._child))
        leaf = self._child == own
        return {
            "roots": self._roots.astype(np.int32),
            "feature": self._feature.astype(np.uint16),
            "step": (self._child - own).astype(np.uint16),
            "number": np.where(leaf, self._value, self._threshold).astype(np.float32),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Forest:
        """Returns the forest that `to_arrays` wrote."""
        step, number = arrays["step"].astype(np.int64), arrays["number"]
        leaf = step == 0
        return Forest(
            arrays["roots"].astype(np.int64),
            arrays["feature"].astype(np.int64),
            np.where(leaf, np.float32(np.inf), number),
            step + np.arange(len(step)),
            np.where(leaf, number, np.float32(0)),
        )

    def _measure_depth(self) -> int:
        own = np.arange(len(self._child))
        depth, level = 0, self._roots
        while True:
            inner = level[self._child[level] != own[level]]
            if not len(inner):
                return depth
            level = np.concatenate([self._child[inner], self._child[inner] + 1])
            depth += 1


def _neighbouring(tree: Tree) -> tuple[Array, Array, Array, Array]:
    """Returns feature, threshold, child and value with the nodes renumbered so that siblings are neighbours."""
    order: list[int] = [0]
    child: list[int] = []
    for node in order:
        if tree.left[node] < 0:
            child.append(len(child))
        else:
            child.append(len(order))
            order.extend((int(tree.left[node]), int(tree.right[node])))
    leaf = tree.left[order] < 0
    feature = np.where(leaf, 0, tree.feature[order])
    threshold = np.where(leaf, np.float32(np.inf), _floor32(tree.threshold[order]))
    return feature, threshold, np.array(child), np.where(leaf, tree.value[order], 0.0)


def _floor32(x: Array) -> Array:
    """Returns the largest 32 bit float <= x: a 32 bit feature compares with it as with x."""
    rounded = x.astype(np.float32)
    return np.where(rounded > x, np.nextafter(rounded, np.float32(-np.inf)), rounded)
