"""Rows of a plane that lies transposed in its file: many equal runs of bytes, a stride apart."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from passes.encodings.base import Bytes, Plane
from targets.base import Columns


@dataclass(frozen=True)
class Runs:
    """How bytes lie apart in a file.

    Args:
        count: Runs, all of the same length.
        stride: Bytes from the start of one to the start of the next.
        plane_offset: Where the plane begins that the runs belong to.
        plane_size: Its bytes.
    """

    count: int
    stride: int
    plane_offset: int
    plane_size: int


def runs_of_rows(
    offset: int, columns: Columns, plane: Plane, rows: int, start: int, stop: int
) -> tuple[int, int, Runs | None]:
    """Where rows ``start`` to ``stop`` of a transposed plane lie.

    Args:
        offset: Of the plane in its file.
        columns: How it lies there.
        plane: Its kind.
        rows: Of the whole plane.
        start: The first row.
        stop: The row after the last.

    Returns:
        Offset of the first byte, bytes altogether, and the runs that they lie in; None for one.
    """
    whole, units = plane.nbytes(rows), plane.nbytes(1) // columns.unit
    if stop - start == rows or units == 1:
        return offset + start * columns.unit, (stop - start) * units * columns.unit, None
    runs = Runs(units, rows * columns.unit, offset, whole)
    return offset + start * columns.unit, (stop - start) * units * columns.unit, runs


def by_columns(data: Bytes, columns: Columns, rows: int) -> Bytes:
    """Rows of a plane as a transposed plane has them.

    Args:
        data: Rows behind each other.
        columns: How the plane is to lie.
        rows: How many these are.

    Returns:
        The bytes of all runs, behind each other; a copy.
    """
    units = data.reshape(rows, -1, columns.unit)
    if columns.unit in _WORDS:
        units = units.view(_WORDS[columns.unit])
    turned: Bytes = units.swapaxes(0, 1).copy(order="C").view(np.uint8).reshape(-1)
    if columns.flipped:
        turned ^= np.uint8(columns.flipped)
    return turned


def write_all(descriptor: int, data: Bytes, offset: int, runs: Runs | None = None) -> None:
    """Write contiguous bytes to where their runs lie, or all of them at ``offset``."""
    view, count = data.data, runs.count if runs else 1
    length, stride = len(view) // count, runs.stride if runs else 0
    for number in range(count):
        part, at = view[number * length : (number + 1) * length], offset + number * stride
        while part:
            written = os.pwrite(descriptor, part, at)
            part, at = part[written:], at + written


def read_runs(descriptor: int, size: int, offset: int, runs: Runs | None = None) -> bytes:
    """What `write_all` wrote; less if the file ends before."""
    if runs is None:
        return os.pread(descriptor, size, offset)
    length = size // runs.count
    return b"".join(
        os.pread(descriptor, length, offset + number * runs.stride) for number in range(runs.count)
    )


_WORDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
