"""Evaluates lazy weights into files: chunked by rows, each weight read once for all artifacts.

Several threads each read a chunk of rows, encode it for every artifact that wants it, and write it
where it belongs, so reading, encoding and writing overlap. Memory is bounded by one chunk a
thread, whatever the size of the model or of a single tensor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import DiskFullError, NonFiniteWeightError, UnsupportedEncodingError
from convert.finite import first_nonfinite
from convert.journal import Journal
from convert.weights import Rows, Weight
from passes.encodings.base import ROW_ALIGNMENT, Bytes
from targets.base import Layout, OutputFile, WriteJob

CHUNK_BYTES = 8 << 20
"""Bytes of source that a thread has in memory at a time, and their encoded forms."""

BytesDone = Callable[[int], None]
"""Called with the source bytes of each chunk that is on its way to disk."""


@dataclass(frozen=True)
class PlacedJob:
    """A write job, the folder that its artifact is being written to, and the journal of it."""

    folder: Path
    job: WriteJob
    journal: Journal | None = None

    def extents(self, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
        """File, offset and size of rows ``start`` to ``stop``, one for each plane."""
        kinds = self.job.encoding.planes(self.job.weight.columns)
        for kind, placement in zip(kinds, self.job.placements, strict=True):
            before = kind.nbytes(start)
            yield placement.file, placement.offset + before, kind.nbytes(stop) - before

    def is_written(self, start: int, stop: int) -> bool:
        """Whether an earlier run wrote these rows."""
        journal = self.journal
        return journal is not None and all(
            journal.holds(*extent) for extent in self.extents(start, stop)
        )


@dataclass(frozen=True)
class Chunk:
    """Rows ``start`` to ``stop`` of a weight, and everything that wants them."""

    weight: Weight
    start: int
    stop: int
    jobs: tuple[PlacedJob, ...]

    @property
    def nbytes(self) -> int:
        """Bytes in the source."""
        return (self.stop - self.start) * self.weight.columns * self.weight.dtype.itemsize


def write_layouts(
    layouts: Sequence[tuple[Path, Layout]],
    done: BytesDone | None = None,
    *,
    threads: int = 2,
    chunk_bytes: int = CHUNK_BYTES,
    journals: Mapping[Path, Journal] | None = None,
) -> None:
    """Write every file of every layout, each below its own folder, which must exist.

    What a journal says is written already is not read, encoded or written again.

    Args:
        layouts: Pairs of an artifact's folder and its layout.
        done: Told of progress in bytes of source; see `source_bytes` for their sum.
        threads: Chunks in work at once.
        chunk_bytes: Bytes of source in a chunk.
        journals: By artifact's folder: remembers what was written.

    Raises:
        NonFiniteWeightError: A weight holds NaN or Inf.
        BrokenInputError: A source file ends early.
        DiskFullError: The file system ran out of space.
    """
    for folder, layout in layouts:
        for file in layout.files:
            _create(folder, file)
    with ExitStack() as opened:
        files = {
            folder / file.path: opened.enter_context(_writable(folder / file.path))
            for folder, layout in layouts
            for file in layout.files
        }
        try:
            chunks = _chunks(layouts, chunk_bytes, journals or {})
            _process(chunks, files, threads, done or (lambda _: None))
        except OSError as error:
            raise _as_disk_full(error) from error


def source_bytes(layouts: Sequence[tuple[Path, Layout]]) -> int:
    """Bytes that `write_layouts` will read."""
    return sum(jobs[0].job.weight.nbytes for jobs in _by_weight(layouts, {}))


def chunk_boundaries(jobs: Sequence[WriteJob], limit: int) -> list[int]:
    """Row numbers at which the common weight of ``jobs`` may be cut, first 0 and last its rows.

    A chunk takes at most ``limit`` bytes unless a row order needs more: no output row of a
    chunk may come from outside it. Chunks start at multiples of `ROW_ALIGNMENT`.
    """
    weight = jobs[0].weight
    allowed = np.zeros(weight.rows + 1, bool)
    allowed[::ROW_ALIGNMENT] = True
    for job in jobs:
        if job.row_order is not None:
            allowed[1:] &= _closed_prefixes(job.row_order)
    allowed[[0, -1]] = True
    cuts = np.flatnonzero(allowed)
    rows_at_most = max(1, limit // (weight.columns * weight.dtype.itemsize))
    boundaries = [0]
    while boundaries[-1] < weight.rows:
        reach = int(np.searchsorted(cuts, boundaries[-1] + rows_at_most, side="right")) - 1
        nearest = int(np.searchsorted(cuts, boundaries[-1], side="right"))
        boundaries.append(int(cuts[max(reach, nearest)]))
    return boundaries


def _closed_prefixes(row_order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the first i + 1 output rows are a permutation of the first i + 1 source rows."""
    closed: NDArray[np.bool_] = np.maximum.accumulate(row_order) == np.arange(len(row_order))
    return closed


def _by_weight(
    layouts: Sequence[tuple[Path, Layout]], journals: Mapping[Path, Journal]
) -> list[list[PlacedJob]]:
    groups: dict[Hashable, list[PlacedJob]] = {}
    for folder, layout in layouts:
        for job in layout.jobs:
            groups.setdefault(job.weight.identity, []).append(
                PlacedJob(folder, job, journals.get(folder))
            )
    return list(groups.values())


def _chunks(
    layouts: Sequence[tuple[Path, Layout]], chunk_bytes: int, journals: Mapping[Path, Journal]
) -> Iterator[Chunk]:
    for jobs in _by_weight(layouts, journals):
        boundaries = chunk_boundaries([placed.job for placed in jobs], chunk_bytes)
        for start, stop in pairwise(boundaries):
            yield Chunk(jobs[0].job.weight, start, stop, tuple(jobs))


def _process(
    chunks: Iterator[Chunk], files: Mapping[Path, int], threads: int, done: BytesDone
) -> None:
    """Work off the chunks on several threads; the first error ends it all."""
    working: set[Future[int]] = set()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for chunk in chunks:
                working.add(pool.submit(_process_chunk, chunk, files))
                if len(working) > 2 * threads:
                    finished, working = wait(working, return_when=FIRST_COMPLETED)
                    done(sum(future.result() for future in finished))
            done(sum(future.result() for future in working))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _process_chunk(chunk: Chunk, files: Mapping[Path, int]) -> int:
    """Read, encode and write one chunk; its bytes in the source."""
    missing = [job for job in chunk.jobs if not job.is_written(chunk.start, chunk.stop)]
    if missing:
        rows = chunk.weight.read_rows(chunk.start, chunk.stop)
    for placed in missing:
        encoded = _encode(placed.job, chunk, rows)
        extents = placed.extents(chunk.start, chunk.stop)
        for (file, offset, _), plane in zip(extents, encoded, strict=True):
            _write_all(files[placed.folder / file], plane, offset)
            if placed.journal:
                placed.journal.record(file, offset, plane)
    return chunk.nbytes


def _not_finite(chunk: Chunk, rows: Rows) -> NonFiniteWeightError:
    row, column = first_nonfinite(rows) or (0, 0)
    return NonFiniteWeightError(
        f"tensor {chunk.weight.name!r} holds a value that is not finite",
        expected="finite weights only",
        found=f"{rows[row, column]} at row {chunk.start + row}, column {column}",
        remedy="the checkpoint is damaged or its training diverged; get another copy",
    )


def _encode(job: WriteJob, chunk: Chunk, rows: Rows) -> tuple[Bytes, ...]:
    ordered = rows
    if job.row_order is not None:
        ordered = rows[job.row_order[chunk.start : chunk.stop] - chunk.start]
    try:
        return job.encoding.encode(ordered)
    except NonFiniteWeightError as error:
        raise _not_finite(chunk, rows) from error
    except UnsupportedEncodingError as error:
        raise UnsupportedEncodingError(
            f"{error.what} in tensor {chunk.weight.name!r}",
            expected=error.expected,
            remedy=error.remedy,
        ) from error


@contextmanager
def _writable(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: Bytes, offset: int) -> None:
    view = np.ascontiguousarray(data).reshape(-1).data
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _create(folder: Path, file: OutputFile) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.touch()
        with path.open("r+b") as stream:
            stream.truncate(file.size)
            for offset, data in file.segments:
                stream.seek(offset)
                stream.write(data)
    except OSError as error:
        raise _as_disk_full(error) from error


def _as_disk_full(error: OSError) -> Exception:
    if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return error
    return DiskFullError(
        "the disk is full",
        found=os.strerror(error.errno),
        remedy="free some space and run the same command again, or choose another --out",
    )
