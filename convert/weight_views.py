"""Columns of lazy matrices, read without the rest of the row, and rows at equal distances."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from convert.errors import TruncatedFileError, UnsupportedError
from convert.weights import FileWeight, Floats, Rows, Weight, WeightView

Range = tuple[int, int]
"""First index, and the one after the last."""

_SHORT_ROW_BYTES = 4096
"""Rows no longer than a page are read whole: the disk would fetch them whole anyway."""


@dataclass(frozen=True)
class ColumnRanges(WeightView):
    """Some columns of a matrix, side by side.

    Args:
        weight: A matrix.
        ranges: Columns of it, in the order of the result's.
    """

    ranges: tuple[Range, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """All rows, the chosen columns."""
        return (self.weight.rows, sum(last - first for first, last in self.ranges))

    @property
    def identity(self) -> Hashable:
        """That of the matrix, and the columns."""
        return (ColumnRanges, self.weight.identity, self.ranges)

    def read_rows(self, start: int, stop: int) -> Rows:
        rows = np.empty((stop - start, self.columns), self.dtype.numpy)
        end = 0
        whole = None
        for first, last in self.ranges:
            begin, end = end, end + last - first
            if _is_worth_seeking(self.weight):
                assert isinstance(self.weight, FileWeight)
                rows[:, begin:end] = _read_block(self.weight, (start, stop), (first, last))
                continue
            whole = self.weight.read_rows(start, stop) if whole is None else whole
            rows[:, begin:end] = whole[:, first:last]
        return rows

    def read_ahead(self, most: int) -> None:
        return  # most of what lies in a row of it is not read

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        raise UnsupportedError(
            f"some columns of {self.name} are not a tensor of the checkpoint",
            expected="all of its columns",
        )


@dataclass(frozen=True)
class SpacedRows(WeightView):
    """Rows of a weight that lie at equal distances.

    Args:
        weight: Of which they are.
        first: Number of the first of them.
        step: From one to the next.
        count: How many.
    """

    first: int
    step: int
    count: int

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """So many rows, the other axes of the weight."""
        return (self.count, *self.weight.shape[1:])

    @property
    def identity(self) -> Hashable:
        """That of the weight, and the rows."""
        return (SpacedRows, self.weight.identity, self.first, self.step, self.count)

    def read_rows(self, start: int, stop: int) -> Rows:
        if stop <= start:
            return self.weight.read_rows(0, 0)
        first, last = (self.first + self.step * number for number in (start, stop - 1))
        return self.weight.read_rows(first, last + 1)[:: self.step]

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        for number, row in enumerate(values, start):
            yield from self.weight.put_back(row[None], self.first + self.step * number)


def _is_worth_seeking(weight: Weight) -> bool:
    # Files that may not be here yet are left to the weights that know.
    return type(weight) is FileWeight and (
        weight.columns * weight.dtype.itemsize > _SHORT_ROW_BYTES
    )


def _read_block(weight: FileWeight, rows: Range, columns: Range) -> Rows:
    """Columns of rows, one read for each row.

    Raises:
        TruncatedFileError: The file ends before the last row.
    """
    (start, stop), (first, last) = rows, columns
    size = weight.dtype.itemsize
    block = np.empty((stop - start, (last - first) * size), np.uint8)
    descriptor = os.open(weight.path, os.O_RDONLY)
    try:
        for index, row in enumerate(block):
            offset = weight.offset + ((start + index) * weight.columns + first) * size
            _read_exactly(descriptor, row.data, offset, weight)
    finally:
        os.close(descriptor)
    return block.view(weight.dtype.numpy)


def _read_exactly(descriptor: int, view: memoryview, offset: int, weight: FileWeight) -> None:
    wanted = len(view)
    while view:
        got = os.preadv(descriptor, [view], offset)
        if not got:
            raise TruncatedFileError(
                f"{weight.path} ends inside tensor {weight.name!r}",
                expected=f"{wanted} bytes up to offset {offset + len(view)}",
                remedy="download the file again",
            )
        view, offset = view[got:], offset + got
