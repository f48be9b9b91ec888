"""A file in parts of one size, and which of them are in place."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from convert.runs import Runs

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART_BYTES = 8 << 20
"""Of a part, at least: S3 takes none below 5 MiB but the last."""

MOST_PARTS = 10_000
"""Of one object, see https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""

_STEP = 1 << 20


def part_bytes(size: int) -> int:
    """Bytes of each part but the last of a file; they follow from its size alone."""
    least = -(-size // MOST_PARTS)
    return max(PART_BYTES, -(-least // _STEP) * _STEP)


class Parts:
    """The parts of a file, from 0 on, each missing some bytes at first.

    Args:
        size: Of the file, in bytes; more than none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.part = part_bytes(size)
        self._missing = [min(self.part, size - start) for start in range(0, size, self.part)]
        self._planes: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._missing)

    @property
    def are_whole(self) -> bool:
        """Whether no byte is missing."""
        return not any(self._missing)

    def bounds(self, number: int) -> tuple[int, int]:
        """The first byte of a part, and the one after its last."""
        return number * self.part, min(self.size, (number + 1) * self.part)

    def fill(self, start: int, length: int) -> list[int]:
        """Take in a stretch, which overlaps no other; the parts that it makes whole."""
        whole, stop = [], start + length
        for number in range(start // self.part, -(-stop // self.part) if length else 0):
            first, last = self.bounds(number)
            self._missing[number] -= min(stop, last) - max(start, first)
            if not self._missing[number]:
                whole.append(number)
        return whole

    def fill_in_runs(self, size: int, runs: Runs) -> list[int]:
        """Take in bytes that lie all over a plane, which counts when it is whole."""
        plane = runs.plane_offset, runs.plane_size
        self._planes[plane] = self._planes.get(plane, runs.plane_size) - size
        if self._planes[plane]:
            return []
        del self._planes[plane]
        return self.fill(*plane)

    def fill_all(self, stretches: Iterable[tuple[int, int]]) -> list[int]:
        """As `fill`, of several starts and lengths."""
        return [number for start, length in stretches for number in self.fill(start, length)]


class FilePart(io.RawIOBase):
    """Bytes ``start`` to ``stop`` of a file as the body of a request; never whole in memory."""

    def __init__(self, path: Path, start: int, stop: int) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._start, self._length, self._at = start, stop - start, 0

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is: a request may be sent again."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """As of any file."""
        view = memoryview(buffer)[: max(0, self._length - self._at)]
        count = os.preadv(self._descriptor, [view], self._start + self._at) if len(view) else 0
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        self._at = (
            offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        )
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def pieces(self) -> Iterator[bytes]:
        """All of it, piece by piece, from the beginning; then it is there again."""
        self.seek(0)
        while piece := self.read(_STEP):
            yield piece
        self.seek(0)
