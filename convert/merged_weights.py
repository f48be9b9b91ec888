"""Weights to which low-rank updates are added as they are read."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from convert.weight_views import ColumnRanges
from convert.weights import ComputedWeight, Floats, Rows, Weight


@dataclass(frozen=True)
class LowRankUpdate:
    """``scale * up @ down``, to be added to a matrix.

    Args:
        up: ``[rows, rank]``; that of a transposed update ``[columns, rank]``.
        down: ``[rank, columns]``; that of a transposed update ``[rank, rows]``.
        scale: Of the product.
        transposed: Whether the transpose of the product is added, as to an embedding.
    """

    up: Weight
    down: Weight
    scale: float
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix that it is added to."""
        rows, columns = self.up.rows, self.down.columns
        return (columns, rows) if self.transposed else (rows, columns)

    def add_to(self, rows: Floats, start: int) -> None:
        """Add its part for rows ``[n, columns]`` of the matrix, the first of which is ``start``."""
        from passes.encodings.kernels.low_rank import add_low_rank

        stop = start + len(rows)
        if self.transposed:
            left = ColumnRanges(self.down, ((start, stop),)).read_rows(0, self.down.rows).T
            right = self.up.read_rows(0, self.up.rows).T
        else:
            left = self.up.read_rows(start, stop)
            right = self.down.read_rows(0, self.down.rows)
        add_low_rank(rows, _floats(left), _floats(right), np.float32(self.scale))


@dataclass(frozen=True)
class MergedWeight(ComputedWeight):
    """A weight with updates; only the rows that are asked for are computed.

    The sum stays float32: rounded to the type of the checkpoint, most of an update that is smaller
    than half a step of that type would be lost, and encodings round once anyway.

    Args:
        weight: As it is in the checkpoint.
        updates: Added in this order.
    """

    updates: tuple[LowRankUpdate, ...]

    @property
    def identity(self) -> Hashable:
        """The weight and what is added."""
        parts = [(each.up.identity, each.down.identity, each.scale) for each in self.updates]
        return (MergedWeight, self.weight.identity, tuple(parts))

    def read_rows(self, start: int, stop: int) -> Rows:
        rows = self.weight.read_rows(start, stop).astype(np.float32)
        for update in self.updates:
            update.add_to(rows, start)
        return rows


def _floats(rows: Rows) -> Floats:
    return np.ascontiguousarray(rows, np.float32)
