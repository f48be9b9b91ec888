"""Encoded weights as records: all that an encoding stores for a row, side by side in whole bytes.

Rows of records can be put in another order, or side by side with others, as rows of weights can.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes, Encoding, Plane
from passes.encodings.grids import pack_nibbles, unpack_nibbles


class Recorded(Encoding):
    """The planes of an encoding, taken from records instead of made from weights.

    A record is an even number of bytes, so that an array of records can be one of float16.

    Args:
        encoding: Has planes without shared rows.
        columns: Weights in a row, of which a record is.
        label: Tells records of the same form from each other.
    """

    def __init__(self, encoding: Encoding, columns: int, label: str = "") -> None:
        self.name = f"{encoding.name} {label}" if label else encoding.name
        self._encoding = encoding
        self._columns = columns
        self._planes = encoding.planes(columns)
        assert all(plane.shared_rows == 1 for plane in self._planes)

    @cached_property
    def _widths(self) -> tuple[int, ...]:
        """Bytes of each plane in a record."""
        return tuple(_width(plane) for plane in self._planes)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record."""
        return sum(self._widths) + sum(self._widths) % 2

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Those of the weights, whatever the columns of the array that the records come in."""
        return self._planes

    def records(self, planes: tuple[Bytes, ...], rows: int) -> NDArray[np.uint8]:
        """Records ``[rows, record_bytes]`` of what the encoding made of some rows."""
        found, first = np.zeros((rows, self.record_bytes), np.uint8), 0
        for kind, width, plane in zip(self._planes, self._widths, planes, strict=True):
            stored = plane if _is_whole(kind) else unpack_nibbles(plane, rows * width)
            found[:, first : first + width] = stored.reshape(rows, width)
            first += width
        return found

    def encode(self, rows: Rows) -> tuple[Bytes, ...]:
        """The planes of records that come as an array of any dtype."""
        records = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), self.record_bytes)
        found, first = [], 0
        for kind, width in zip(self._planes, self._widths, strict=True):
            part = np.ascontiguousarray(records[:, first : first + width])
            found.append(part.reshape(-1) if _is_whole(kind) else pack_nibbles(part))
            first += width
        return tuple(found)

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        return self.encode(rows)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> NDArray[np.float32]:
        return self._encoding.decode(planes, rows, self._columns)


def _is_whole(plane: Plane) -> bool:
    """Whether a row takes whole bytes."""
    return math.prod(plane.row_shape) * plane.bits % 8 == 0


def _width(plane: Plane) -> int:
    """Bytes of a row in a record: an odd number of nibbles gets a byte each."""
    count = math.prod(plane.row_shape)
    return count * plane.bits // 8 if _is_whole(plane) else count
