"""A part of a file as the body of a request, counted as it is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from convert.publishing.contents import Item

Advance = Callable[[int], None]


class FileSlice:
    """Bytes ``start`` to ``start + length`` of an item; closed when it is garbage.

    Args:
        item: The file.
        start: First byte.
        length: Bytes.
        advance: Takes the bytes just read, and takes them back by less than none.
    """

    def __init__(self, item: Item, start: int, length: int, advance: Advance) -> None:
        self._file = _opened(item)
        self._start, self._length, self._advance = start, length, advance
        self._at = 0
        self._file.seek(start)

    def __len__(self) -> int:
        return self._length - self._at

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        left = self._length - self._at
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        self._advance(len(data))
        return data

    def rewind(self) -> None:
        """Begin anew; what was read is taken back."""
        self._advance(-self._at)
        self._at = 0
        self._file.seek(self._start)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> FileSlice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._advance(-self._at)
        self.close()


def _opened(item: Item) -> BinaryIO:
    if isinstance(item.source, Path):
        return item.source.open("rb")
    return io.BytesIO(item.source)
