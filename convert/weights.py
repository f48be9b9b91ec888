"""Lazy weights: what is known of a checkpoint's tensor before its bytes are read."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convert.errors import TruncatedFileError
from convert.sources.read_ahead import read_ahead

Rows = NDArray[Any]
"""Rows of a weight in their storage dtype: float32, float16 or ml_dtypes.bfloat16."""

Floats = NDArray[np.float32]

_NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}


class FloatType(Enum):
    """The floating-point types a checkpoint may store a weight in."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype with the same bits."""
        return _NUMPY_DTYPES[self.value]

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize


class Weight(ABC):
    """A tensor of a checkpoint whose rows are read on demand.

    A *row* is one index of the first axis; a vector has rows of one element, and a tensor without
    axes one row.
    """

    name: str
    shape: tuple[int, ...]
    dtype: FloatType

    @property
    def rows(self) -> int:
        """Length of the first axis."""
        return self.shape[0] if self.shape else 1

    @property
    def columns(self) -> int:
        """Elements of one row."""
        return math.prod(self.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes in the storage dtype."""
        return self.rows * self.columns * self.dtype.itemsize

    @property
    def identity(self) -> Hashable:
        """Equal for two weights that read the same: what is read once serves both."""
        return id(self)

    @abstractmethod
    def read_rows(self, start: int, stop: int) -> Rows:
        """Read rows ``start`` to ``stop`` as an array ``[stop - start, columns]``.

        Raises:
            TruncatedFileError: The file has become shorter than its header says.
        """

    def read_rows_into(self, start: int, stop: int, buffer: NDArray[np.uint8]) -> Rows:
        """As `read_rows`, in ``buffer`` if that is where the rows have to be copied to.

        Args:
            buffer: Contiguous, of the size of the rows. What is returned may lie in it.
        """
        return self.read_rows(start, stop)

    def read_ahead(self, most: int) -> None:
        """Ask the system for the first ``most`` bytes, which will be read soon, if it is known
        where they are.
        """
        return

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        """Where in the checkpoint these values would be read from: the reverse of `read_rows`.

        Args:
            values: Rows of this weight, ``[n, columns]``.
            start: Number of the first of them.

        Yields:
            A tensor of the checkpoint, the number of a row, and values of the rows from it on.

        Raises:
            UnsupportedError: The weight is computed from several, which do not follow from it.
        """
        yield self, start, values


@dataclass(frozen=True)
class FileWeight(Weight):
    """A weight stored contiguously, row-major, little-endian, in one file.

    Args:
        name: Name of the tensor in the checkpoint.
        shape: At least one axis.
        dtype: Storage type.
        path: The file.
        offset: Byte offset of the first element in the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: FloatType
    path: Path
    offset: int

    def read_rows(self, start: int, stop: int) -> Rows:
        row_bytes = self.columns * self.dtype.itemsize
        # Not a bytearray: clearing it first would cost a pass over the memory.
        return self.read_rows_into(start, stop, np.empty((stop - start) * row_bytes, np.uint8))

    def read_rows_into(self, start: int, stop: int, buffer: NDArray[np.uint8]) -> Rows:
        first = self.offset + start * self.columns * self.dtype.itemsize
        view, done = buffer.data, 0
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            while done < buffer.size:
                got = os.preadv(descriptor, [view[done:]], first + done)
                if not got:
                    raise TruncatedFileError(
                        f"{self.path} ends inside tensor {self.name!r}",
                        expected=f"{buffer.size} bytes at offset {first}",
                        found=f"{done} bytes",
                        remedy="download the file again",
                    )
                done += got
        finally:
            os.close(descriptor)
        return buffer.view(self.dtype.numpy).reshape(stop - start, self.columns)

    def read_ahead(self, most: int) -> None:
        read_ahead(self.path, self.offset, min(most, self.nbytes))


@dataclass(frozen=True)
class ArrayWeight(Weight):
    """A small weight that is already in memory (constants, tests).

    Args:
        name: Name of the tensor.
        array: float32, float16 or bfloat16, at least one axis.
    """

    name: str
    array: Rows

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the array."""
        return self.array.shape

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Storage type of the array."""
        return next(kind for kind in FloatType if kind.numpy == self.array.dtype)

    def read_rows(self, start: int, stop: int) -> Rows:
        return self.array.reshape(self.rows, self.columns)[start:stop]


@dataclass(frozen=True, eq=False)
class WeightView(Weight):
    """A weight that is read otherwise than it is stored; of its name, shape and type.

    Args:
        weight: As it is stored.
    """

    weight: Weight

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the weight."""
        return self.weight.name

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the weight."""
        return self.weight.shape

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Type of the weight."""
        return self.weight.dtype

    def read_ahead(self, most: int) -> None:
        self.weight.read_ahead(most)


@dataclass(frozen=True, eq=False)
class ComputedWeight(WeightView):
    """A weight that something is done to in float32."""

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Float32: rounded to the type of the weight, small changes would be lost."""
        return FloatType.F32


@dataclass(frozen=True)
class RowRange:
    """Rows ``start`` to ``stop`` of a weight."""

    weight: Weight
    start: int
    stop: int


@dataclass(frozen=True)
class RowRanges(Weight):
    """Rows of one or more weights, put together.

    Args:
        name: Name of the result.
        ranges: In the order of its rows; all weights have the same columns and type.
    """

    name: str
    ranges: tuple[RowRange, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The rows of all ranges, the other axes of their weights."""
        rows = sum(part.stop - part.start for part in self.ranges)
        return (rows, *self.ranges[0].weight.shape[1:])

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """The weights' common type; float32 if they have none."""
        kinds = {part.weight.dtype for part in self.ranges}
        return kinds.pop() if len(kinds) == 1 else FloatType.F32

    def read_rows(self, start: int, stop: int) -> Rows:
        rows, first = np.empty((stop - start, self.columns), self.dtype.numpy), 0
        for part in self.ranges:
            last = first + part.stop - part.start
            low, high = max(start, first), min(stop, last)
            if low < high:
                shift = part.start - first
                rows[low - start : high - start] = part.weight.read_rows(low + shift, high + shift)
            first = last
        return rows

    @property
    def identity(self) -> Hashable:
        """The ranges, whose order is part of it."""
        return tuple((part.weight.identity, part.start, part.stop) for part in self.ranges)

    def read_ahead(self, most: int) -> None:
        for weight in {id(part.weight): part.weight for part in self.ranges}.values():
            weight.read_ahead(most)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        stop, first = start + len(values), 0
        for part in self.ranges:
            last = first + part.stop - part.start
            low, high = max(start, first), min(stop, last)
            if low < high:
                rows = values[low - start : high - start]
                yield from part.weight.put_back(rows, low - first + part.start)
            first = last


def read_float32(weight: Weight) -> NDArray[np.float32]:
    """The whole weight as float32, in its own shape. For small models and tests only."""
    return weight.read_rows(0, weight.rows).astype(np.float32).reshape(weight.shape)
