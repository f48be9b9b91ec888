"""The journal of a run: which bytes of an artifact are written, so that a killed run can go on.

A text file that only grows. Its first line says what is being made of what; then comes one line
``[file, offset, size, checksum]`` for every stretch of bytes that was written, with ``count,
stride`` behind them if it lies in so many equal runs, and once the digest of the checkpoint.
Nothing is flushed to disk on the way and no order is kept between bytes and lines, because no line
is trusted: it counts only if the bytes it speaks of are in place and have its checksum. So it does
not matter what a kill, a crash or a power cut lost; a line that was torn, and whatever follows it,
was never written. Bytes that are recorded but lost are written again.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np
import xxhash

from convert.runs import Runs, read_runs
from passes.encodings.base import Bytes

Identity = Mapping[str, Any]
"""What makes two runs the same, as JSON; see `convert.resume`."""

_Stretch = tuple[Any, ...]
"""File, offset and size; and, where its bytes lie apart, their runs and the stride of these."""


class Journal:
    """The journal of one artifact in the making; safe to use from several threads.

    Args:
        path: The journal's file; it need not be there.
        folder: Where the artifact's files are.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._lock = Lock()
        self.identity: Identity = {}
        self.digest: str | None = None
        self._checksums: dict[_Stretch, int] = {}
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._descriptor, self._read(path))

    @property
    def is_empty(self) -> bool:
        """Whether no bytes are recorded, so that nothing would be lost by starting anew."""
        return not self._checksums

    def begin(self, identity: Identity) -> None:
        """Start anew, with a run of this identity."""
        self.identity, self.digest = identity, None
        self._checksums.clear()
        os.ftruncate(self._descriptor, 0)
        self._append({"identity": identity})

    def settle(self, digest: str) -> None:
        """Record the digest of the checkpoint, which may be known only after writing began."""
        if self.digest is None:
            self.digest = digest
            self._append({"digest": digest})

    def holds(self, file: str, offset: int, size: int, runs: Runs | None = None) -> bool:
        """Whether exactly these bytes are recorded, and are still what was recorded."""
        recorded = self._checksums.get((file, offset, size, *_spread(runs)))
        if recorded is None:
            return False
        with (self._folder / file).open("rb", buffering=0) as stream:
            found = np.frombuffer(read_runs(stream.fileno(), size, offset, runs), np.uint8)
        return checksum(found) == recorded

    def record(self, file: str, offset: int, data: Bytes, runs: Runs | None = None) -> None:
        """Remember that ``data`` was written."""
        summed = checksum(np.ascontiguousarray(data))
        self.record_sum(file, offset, data.nbytes, summed, runs)

    def record_sum(
        self, file: str, offset: int, size: int, summed: int, runs: Runs | None = None
    ) -> None:
        """Remember that bytes with this checksum were written."""
        stretch = (file, offset, size, *_spread(runs))
        self._append([file, offset, size, summed, *_spread(runs)])
        self._checksums[stretch] = summed

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
        if self.is_empty:
            self._path.unlink(missing_ok=True)

    def _append(self, entry: object) -> None:
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read(self, path: Path) -> int:
        """Take in the lines that are whole; their bytes."""
        length = 0
        for entry, size in whole_lines(path):
            match entry:
                case {"identity": dict(identity)}:
                    self.identity = identity
                case {"digest": str(digest)}:
                    self.digest = digest
                case [str(file), int(offset), int(count), int(summed), *spread]:
                    stretch = (file, offset, count, *spread)
                    self._checksums[stretch] = summed
                case _:
                    break
            length += size
        return length


def _spread(runs: Runs | None) -> tuple[int, ...]:
    return () if runs is None else (runs.count, runs.stride)


def checksum(data: Bytes) -> int:
    """XXH3 of contiguous bytes, 64 bits: against accidents, not against malice."""
    return xxhash.xxh3_64_intdigest(data.reshape(-1).data)


def whole_lines(path: Path) -> Iterator[tuple[Any, int]]:
    """Each line's content and bytes, up to the first that is torn."""
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n"):
            return
        yield entry, len(line)
