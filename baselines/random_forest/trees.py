"""Fitted trees as plain arrays: which leaf a spectrum falls in, and which training rows lie there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trees:
    """Several trees, their nodes one after the other.

    Within a tree nodes are numbered in depth-first order, so that the left child of node k is k + 1.

    Attributes:
        n_node: nodes of each tree, (tree,), int32.
        feature: column that a node splits on, (node,), int32; -1 in a leaf.
        threshold: rows with a value of at most this go left, (node,), float32.
        right: number of the right child within its tree, (node,), int32; -1 in a leaf.
        n_member: training rows in a leaf, (node,), int32; 0 in a node that splits.
        member: the training rows of each leaf in turn, (sum of n_member,), uint32; a row that the bootstrap drew twice
            stands there twice.
    """

    n_node: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    right: NDArray[np.int32]
    n_member: NDArray[np.int32]
    member: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.n_node)

    @property
    def n_split(self) -> int:
        """Splits of all trees."""
        return int(np.count_nonzero(self.right >= 0))

    @staticmethod
    def of_tree(tree: Any, columns: NDArray[np.float32], rows: NDArray[np.integer[Any]]) -> Trees:
        """Takes over one fitted tree.

        Args:
            tree: a fitted ``sklearn.tree.DecisionTreeRegressor``.
            columns: features of the training rows, (n, column).
            rows: the rows that the tree was fitted on, as often as the bootstrap drew them.
        """
        fitted = tree.tree_
        is_leaf = fitted.children_left < 0
        inner = np.flatnonzero(~is_leaf)
        if not np.array_equal(fitted.children_left[inner], inner + 1):
            raise RuntimeError("scikit-learn grew a tree in another order than depth first.")
        leaf = fitted.apply(columns)[rows]
        order = np.argsort(leaf, kind="stable")
        return Trees(
            n_node=np.array([fitted.node_count], dtype=np.int32),
            feature=np.where(is_leaf, -1, fitted.feature).astype(np.int32),
            threshold=_rounded_down(fitted.threshold),
            right=np.where(is_leaf, -1, fitted.children_right).astype(np.int32),
            n_member=np.bincount(leaf, minlength=fitted.node_count).astype(np.int32),
            member=np.asarray(rows)[order].astype(np.uint32),
        )

    @staticmethod
    def joined(parts: Sequence[Trees]) -> Trees:
        """All trees of several parts."""
        return Trees(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Trees)))

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Trees:
        """The trees that ``arrays`` gave; other names are left alone."""
        return Trees(**{field.name: arrays[field.name] for field in fields(Trees)})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(Trees)}

    def leaves(self, columns: NDArray[np.float32]) -> NDArray[np.int64]:
        """The leaf that each row of columns (n, column) falls in, (n, tree), as an index over all nodes."""
        first = np.concatenate([[0], np.cumsum(self.n_node, dtype=np.int64)[:-1]])
        return np.stack([self._leaves_of_tree(columns, int(start)) for start in first], axis=1)

    def _leaves_of_tree(self, columns: NDArray[np.float32], start: int) -> NDArray[np.int64]:
        node = np.full(len(columns), start, dtype=np.int64)
        walking = np.arange(len(columns))
        while walking.size:
            here = node[walking]
            splits = self.right[here] >= 0
            walking, here = walking[splits], here[splits]
            goes_left = columns[walking, self.feature[here]] <= self.threshold[here]
            node[walking] = np.where(goes_left, here + 1, start + self.right[here])
        return node


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 at or below each threshold: a float32 value compares with it as with the threshold itself."""
    nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)
