"""A file that has not come whole: its bytes so far, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_BLOCK_BYTES = 4 << 20


class PartialFile:
    """Grows at its end; what an earlier call left is hashed when it is opened.

    Args:
        path: The file; made if it is not there.
        advance: Takes the bytes that are there, and less than none when they are discarded.
    """

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        self._file = path.open("a+b")
        self._hash = hashlib.sha256()
        self._advance = advance
        self.size = 0
        self._file.seek(0)
        while block := self._file.read(_BLOCK_BYTES):
            self._count(block)

    @property
    def digest(self) -> str:
        """As registries write it."""
        return f"sha256:{self._hash.hexdigest()}"

    def append(self, block: bytes) -> None:
        """Add bytes."""
        self._file.write(block)
        self._count(block)

    def begin_anew(self) -> None:
        """Discard everything."""
        self._file.truncate(0)
        self._advance(-self.size)
        self.size, self._hash = 0, hashlib.sha256()

    def _count(self, block: bytes) -> None:
        self.size += len(block)
        self._hash.update(block)
        self._advance(len(block))

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._advance(-self.size)
        self._file.close()
