"""Weights that a graph wants otherwise than a checkpoint has them: turned, or plus a number."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from convert.errors import UnsupportedError
from convert.weight_views import ColumnRanges
from convert.weights import ComputedWeight, Floats, Rows, Weight, WeightView


@dataclass(frozen=True, eq=False)
class TurnedWeight(WeightView):
    """The transpose of a matrix.

    Args:
        weight: The matrix.
    """

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Its columns, its rows."""
        return self.weight.shape[::-1]

    @property
    def identity(self) -> Hashable:
        """That of the matrix, turned."""
        return (TurnedWeight, self.weight.identity)

    def read_rows(self, start: int, stop: int) -> Rows:
        columns = ColumnRanges(self.weight, ((start, stop),))
        return np.ascontiguousarray(columns.read_rows(0, self.weight.rows).T)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        if len(values) != self.rows:
            raise UnsupportedError(
                f"some columns of {self.name} are not a tensor of the checkpoint",
                expected="all of its columns",
            )
        yield from self.weight.put_back(np.ascontiguousarray(values.T))


@dataclass(frozen=True, eq=False)
class RaisedWeight(ComputedWeight):
    """``weight + number`` in float32: norms whose scale is stored as what it is above one.

    Args:
        weight: As stored.
        number: Added to each element.
    """

    number: float

    @property
    def identity(self) -> Hashable:
        """That of the weight, and the number."""
        return (RaisedWeight, self.weight.identity, self.number)

    def read_rows(self, start: int, stop: int) -> Rows:
        rows = self.weight.read_rows(start, stop).astype(np.float32)
        return np.asarray(rows + np.float32(self.number), np.float32)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        yield from self.weight.put_back(values - np.float32(self.number), start)
