"""The contract of an encoding: how the rows of a weight are stored."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows

Bytes = NDArray[np.uint8]

ROW_ALIGNMENT = 8
"""Chunks of rows start at multiples of this, so that any sub-byte row ends on a whole byte."""

BITS = {
    **{"f32": 32, "f16": 16, "bf16": 16, "f8e4m3": 8},
    **{"i8": 8, "u8": 8, "i4": 4, "u4": 4, "nf4": 4},
}
"""Bits of one element of each type that a plane may have."""


@dataclass(frozen=True)
class Plane:
    """One array that an encoding stores: codes, scales, zero points, or whole blocks.

    Args:
        name: ``values`` (plain floats), ``codes``, ``scales``, ``super_scales`` (scales of the
            scales), ``zero_points`` or ``blocks``.
        dtype: Element type: ``f32 f16 bf16 f8e4m3 i8 u8 i4 u4 nf4``; ``u8`` for interleaved
            blocks.
        row_shape: Elements stored for one row of the weight.
        shared_rows: Consecutive rows that share the elements of one; divides `ROW_ALIGNMENT`.
    """

    name: str
    dtype: str
    row_shape: tuple[int, ...]
    shared_rows: int = 1

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return BITS[self.dtype]

    def nbytes(self, rows: int) -> int:
        """Bytes that ``rows`` rows take, packed without gaps, rounded up to a whole byte."""
        shares = math.ceil(rows / self.shared_rows)
        return math.ceil(shares * math.prod(self.row_shape) * self.bits / 8)


class Encoding(ABC):
    """A storage format for a matrix ``[rows, columns]`` of weights, row by row.

    Rows are independent of each other, except that those from one multiple of `ROW_ALIGNMENT` to
    the next may share elements of a plane; so they may be encoded in chunks of any size that is
    a multiple of `ROW_ALIGNMENT` (the last chunk excepted), in any order.
    """

    name: str
    lossless_from: frozenset[str] = frozenset()
    """Names of the float types that survive a round trip unchanged."""

    input_bits: int | None = None
    """Bits that the inputs of a layer with such weights are rounded to; None leaves them floats."""

    judged_as: str | None = None
    """Encoding whose thresholds the gate takes, for one of another package that has none."""

    @property
    def family(self) -> str:
        """The name without a group size: what a target's list of encodings covers."""
        return self.name

    @abstractmethod
    def planes(self, columns: int) -> tuple[Plane, ...]:
        """The arrays stored for rows of ``columns`` weights, in a fixed order."""

    @abstractmethod
    def encode(self, rows: Rows) -> tuple[Bytes, ...]:
        """Encode ``rows`` ``[n, columns]`` (f32, f16 or bf16) into one byte array a plane."""

    def encode_into(self, rows: Rows, planes: tuple[Bytes, ...]) -> None:
        """Encode ``rows`` into byte arrays made by `empty_planes` for as many rows."""
        for plane, encoded in zip(planes, self.encode(rows), strict=True):
            plane[:] = encoded

    @abstractmethod
    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        """What `encode` must equal bit for bit: plain numpy, slow and obvious."""

    @abstractmethod
    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> NDArray[np.float32]:
        """The weights ``[rows, columns]`` that the planes stand for, as float32."""

    def fit(self, columns: int, *, power_of_two: bool = False) -> Encoding | None:
        """This encoding, or its nearest kin, for rows of ``columns`` weights; None if none fits.

        Args:
            columns: Weights in a row.
            power_of_two: Accept no other group sizes than powers of two.
        """
        return self

    def grouped(self, group: int) -> Encoding | None:
        """For one of another package: what is called ``NAME_gGROUP``, if there is such a thing."""
        return None

    def empty_planes(self, rows: int, columns: int) -> tuple[Bytes, ...]:
        """Uninitialized arrays for the planes of ``rows`` rows."""
        return tuple(np.empty(plane.nbytes(rows), np.uint8) for plane in self.planes(columns))

    def nbytes(self, rows: int, columns: int) -> int:
        """Bytes of all planes together."""
        return sum(plane.nbytes(rows) for plane in self.planes(columns))

    def bits_per_weight(self, columns: int) -> float:
        """Bits of all planes together for one weight of rows of ``columns`` weights."""
        return 8 * self.nbytes(ROW_ALIGNMENT, columns) / (ROW_ALIGNMENT * columns)
