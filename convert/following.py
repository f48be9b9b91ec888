"""SHA-256 of an artifact's files, taken while they are being written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Condition

from convert.hashing import FileRecord, WrittenFile, in_background
from convert.runs import Runs
from targets.base import Layout, OutputFile, WriteJob

_PIECE_BYTES = 1 << 20


class FollowingHashes:
    """Hashes the files of one artifact on a thread, as far as each is written without a hole.

    What is hashed is read back from the file. Use as a context manager, which ends the thread.

    Args:
        folder: Where the files are being written; they must exist.
        layout: Says which stretches are still to be written.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._changed = Condition()
        self._stopped = False
        self._frontiers = {
            file.path: _Frontier(file.size, filled(file, layout.jobs)) for file in layout.files
        }
        self._wait = in_background(self._hash_all, folder)

    def written(self, file: str, offset: int, size: int, runs: Runs | None = None) -> None:
        """Tell that these bytes are in place, in runs of a plane perhaps."""
        with self._changed:
            frontier = self._frontiers[file]
            if frontier.fill(offset, size) if runs is None else frontier.fill_in_runs(size, runs):
                self._changed.notify()

    def results(self) -> Mapping[str, WrittenFile]:
        """By path: every file, as soon as all of them are written."""
        return self._wait()

    def __enter__(self) -> FollowingHashes:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _hash_all(self, folder: Path) -> Mapping[str, WrittenFile]:
        return {name: self._hash(folder, name) for name in self._frontiers}

    def _hash(self, folder: Path, name: str) -> WrittenFile:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES))
        size = self._frontiers[name].size
        for start, stop in self._pieces(name):
            piece = buffer[: stop - start]
            # Opened anew: only so does NFS show what another machine has written since.
            descriptor = os.open(folder / name, os.O_RDONLY)
            try:
                found = os.preadv(descriptor, [piece], start)
            finally:
                os.close(descriptor)
            if found != len(piece):
                raise OSError(f"{folder / name} ends before byte {stop}")
            digest.update(piece)
        modified = (folder / name).stat().st_mtime_ns
        return WrittenFile(FileRecord(path=name, size=size, sha256=digest.hexdigest()), modified)

    def _pieces(self, name: str) -> Iterator[tuple[int, int]]:
        """Consecutive stretches of a file, each as soon as it is written."""
        frontier, done = self._frontiers[name], 0
        while done < frontier.size:
            with self._changed:
                while not (self._stopped or frontier.ready_after(done)):
                    self._changed.wait()
                if self._stopped:
                    raise InterruptedError("the artifact is not being written any more")
                reached = frontier.reached
            stop = min(reached, done + _PIECE_BYTES)
            yield done, stop
            done = stop


class _Frontier:
    """How far a file is written without a hole."""

    def __init__(self, size: int, filled: Iterable[tuple[int, int]]) -> None:
        self.size = size
        self.reached = 0
        self._beyond: dict[int, int] = {}
        self._missing: dict[tuple[int, int], int] = {}
        for start, length in filled:
            self.fill(start, length)

    def fill(self, start: int, length: int) -> bool:
        """Take in a stretch, which overlaps no other; whether there is more to hash."""
        if length:
            self._beyond[start] = start + length
        before = self.reached
        while self.reached in self._beyond:
            self.reached = self._beyond.pop(self.reached)
        return self.reached > before

    def fill_in_runs(self, size: int, runs: Runs) -> bool:
        """Take in bytes that lie all over a plane, which counts when it is whole."""
        plane = runs.plane_offset, runs.plane_size
        self._missing[plane] = self._missing.get(plane, runs.plane_size) - size
        if self._missing[plane]:
            return False
        del self._missing[plane]
        return self.fill(*plane)

    def ready_after(self, done: int) -> bool:
        """Whether a whole piece can be hashed, or the rest of the file."""
        return self.reached - done >= _PIECE_BYTES or self.reached == self.size


def filled(file: OutputFile, jobs: Iterable[WriteJob]) -> Iterator[tuple[int, int]]:
    """Start and length of the stretches of a file that no job writes."""
    at = 0
    for offset, length in sorted(_extents(file.path, jobs)):
        yield at, offset - at
        at = offset + length
    yield at, file.size - at


def _extents(file: str, jobs: Iterable[WriteJob]) -> Iterator[tuple[int, int]]:
    for job in jobs:
        planes = job.encoding.planes(job.weight.columns)
        for plane, placement in zip(planes, job.placements, strict=True):
            if placement.file == file:
                yield placement.offset, plane.nbytes(job.weight.rows)
