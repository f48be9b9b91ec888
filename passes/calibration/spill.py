"""Room on disk for arrays that would take too much memory: a file that ends with the process."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST_BYTES = 1 << 16
"""What is smaller stays in memory."""


@dataclass(frozen=True)
class Spilled:
    """Where an array is in the file of a `Spill`."""

    place: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Of the array."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class Spill:
    """A file of arrays, as large as all that were in it at one time.

    It has no name, so that nothing is left of it, however the process ends.

    Args:
        folder: On the disk that has the room; made if need be.

    Raises:
        OSError: No file can be made there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".calibration-")  # noqa: SIM115
        self._free: dict[int, list[int]] = defaultdict(list)
        self._end = 0

    @property
    def nbytes(self) -> int:
        """How large the file has become."""
        return self._end

    def put(self, array: NDArray[Any]) -> Spilled:
        """Write an array.

        Raises:
            OSError: The disk is full.
        """
        data = np.ascontiguousarray(array)
        free = self._free[data.nbytes]
        place = free.pop() if free else self._end
        self._end = max(self._end, place + data.nbytes)
        left = data.reshape(-1).view(np.uint8).data
        while left:
            written = os.pwrite(self._file.fileno(), left, place + data.nbytes - len(left))
            left = left[written:]
        return Spilled(place, data.shape, data.dtype)

    def get(self, spilled: Spilled) -> NDArray[Any]:
        """Read an array, which stays where it is.

        Raises:
            OSError: The disk fails.
        """
        array: NDArray[Any] = np.empty(spilled.shape, spilled.dtype)
        left = array.reshape(-1).view(np.uint8).data
        while left:
            place = spilled.place + array.nbytes - len(left)
            count = os.preadv(self._file.fileno(), [left], place)
            if not count:
                raise OSError(f"a file of {self._end} bytes ends at {place}")
            left = left[count:]
        return array

    def free(self, spilled: Spilled) -> None:
        """Use the array's room for others."""
        self._free[spilled.nbytes].append(spilled.place)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()
