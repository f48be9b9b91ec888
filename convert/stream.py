"""Evaluates lazy weights into files: chunked by rows, each weight read once for all artifacts.

Several threads each take a chunk of rows, read it block by block, encode each block for every
artifact that wants it, and write what has come together where it belongs; so reading, encoding and
writing overlap, and a thread of its own hashes each artifact behind the writers. Memory is bounded
by one chunk a thread, whatever the size of the model or of a single tensor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from threading import local

import numpy as np

from convert.chunks import Chunk, PlacedJob, all_chunks, by_weight
from convert.errors import DiskFullError, NonFiniteWeightError, UnsupportedEncodingError
from convert.finite import first_nonfinite
from convert.following import FollowingHashes
from convert.hashing import WrittenFile
from convert.journal import Journal
from convert.weights import Rows
from passes.encodings.base import Bytes
from targets.base import Layout, OutputFile, WriteJob

CHUNK_BYTES = 8 << 20
"""Bytes of source between two writes of a thread; their encoded forms are in memory."""

_SECONDS_BETWEEN_SIGNALS = 1.0

BytesDone = Callable[[int], None]
"""Called with the source bytes of each chunk that is on its way to disk."""

WrittenFiles = Mapping[str, WrittenFile]
"""By path below the artifact's folder."""


def write_layouts(
    layouts: Sequence[tuple[Path, Layout]],
    done: BytesDone | None = None,
    *,
    threads: int = 2,
    chunk_bytes: int = CHUNK_BYTES,
    journals: Mapping[Path, Journal] | None = None,
    abandon: Callable[[], None] = lambda: None,
) -> Mapping[Path, WrittenFiles]:
    """Write every file of every layout, each below its own folder, which must exist.

    What a journal says is written already is not read, encoded or written again.

    Args:
        layouts: Pairs of an artifact's folder and its layout.
        done: Told of progress in bytes of source; see `source_bytes` for their sum.
        threads: Chunks in work at once.
        chunk_bytes: Bytes of source in a chunk.
        journals: By artifact's folder: remembers what was written.
        abandon: Called when an error ends it all, before other threads are waited for: lets go
            of reads that wait for bytes which have not come yet.

    Returns:
        By artifact's folder: every file with its SHA-256, as read back.

    Raises:
        NonFiniteWeightError: A weight holds NaN or Inf.
        BrokenInputError: A source file ends early.
        DiskFullError: The file system ran out of space.
    """
    for folder, layout in layouts:
        for file in layout.files:
            _create(folder, file)
    with ExitStack() as opened:
        outputs = {folder: _Output(folder, layout, opened) for folder, layout in layouts}
        worker = _Worker(outputs)
        try:
            chunks = all_chunks(layouts, chunk_bytes, journals or {})
            _work_off(chunks, worker, threads, done or (lambda _: None), abandon)
            return {folder: output.hashes.results() for folder, output in outputs.items()}
        except OSError as error:
            raise _as_disk_full(error) from error


def source_bytes(layouts: Sequence[tuple[Path, Layout]]) -> int:
    """Bytes that `write_layouts` will read."""
    return sum(jobs[0].job.weight.nbytes for jobs in by_weight(layouts, {}))


def _work_off(
    chunks: Iterator[Chunk],
    worker: _Worker,
    threads: int,
    done: BytesDone,
    abandon: Callable[[], None],
) -> None:
    """Work off the chunks on several threads; the first error ends it all."""
    working: set[Future[int]] = set()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for chunk in chunks:
                working.add(pool.submit(worker.process, chunk))
                if len(working) > 2 * threads:
                    finished, working = _some_of(working)
                    done(sum(future.result() for future in finished))
            while working:
                finished, working = _some_of(working)
                done(sum(future.result() for future in finished))
        except BaseException:
            abandon()
            pool.shutdown(cancel_futures=True)
            raise


def _some_of(working: set[Future[int]]) -> tuple[set[Future[int]], set[Future[int]]]:
    """Those that have finished, perhaps none yet, and the others."""
    # A signal that comes just before a wait is seen only after it, and a download may take hours.
    return wait(working, timeout=_SECONDS_BETWEEN_SIGNALS, return_when=FIRST_COMPLETED)


class _Output:
    """The files of an artifact, and their hashes."""

    def __init__(self, folder: Path, layout: Layout, opened: ExitStack) -> None:
        self._folder = folder
        self.hashes = opened.enter_context(FollowingHashes(folder, layout))

    def write(self, file: str, offset: int, data: Bytes) -> None:
        # Opened anew: a process may not hold hundreds of shards open.
        descriptor = os.open(self._folder / file, os.O_WRONLY)
        try:
            write_all(descriptor, data, offset)
        finally:
            os.close(descriptor)


class _Worker:
    """Processes chunks on any number of threads, each of which uses its memory again and again."""

    def __init__(self, outputs: Mapping[Path, _Output]) -> None:
        self._outputs = outputs
        self._memory = local()

    def process(self, chunk: Chunk) -> int:
        """Read, encode and write one chunk; its bytes in the source."""
        missing = [job for job in chunk.jobs if not job.is_written(chunk.start, chunk.stop)]
        encoded = self._encode(chunk, missing) if missing else []
        for placed, planes in zip(missing, encoded, strict=True):
            extents = placed.extents(chunk.start, chunk.stop)
            for (file, offset, _), plane in zip(extents, planes, strict=True):
                self._outputs[placed.folder].write(file, offset, plane)
                if placed.journal:
                    placed.journal.record(file, offset, plane)
        for placed in chunk.jobs:
            for extent in placed.extents(chunk.start, chunk.stop):
                self._outputs[placed.folder].hashes.written(*extent)
        return chunk.nbytes

    def _encode(self, chunk: Chunk, jobs: Sequence[PlacedJob]) -> list[tuple[Bytes, ...]]:
        """The planes of each job for all rows of the chunk."""
        rows, columns = chunk.stop - chunk.start, chunk.weight.columns
        kinds = [placed.job.encoding.planes(columns) for placed in jobs]
        encoded = [
            tuple(self._buffer(f"{number} {kind.name}", kind.nbytes(rows)) for kind in planes)
            for number, planes in enumerate(kinds)
        ]
        for start, stop in chunk.blocks():
            source = self._buffer("source", (stop - start) * columns * chunk.weight.dtype.itemsize)
            block = chunk.weight.read_rows_into(start, stop, source)
            for placed, planes, whole in zip(jobs, kinds, encoded, strict=True):
                parts = tuple(
                    plane[kind.nbytes(start - chunk.start) : kind.nbytes(stop - chunk.start)]
                    for kind, plane in zip(planes, whole, strict=True)
                )
                _encode_block(placed.job, start, block, parts)
        return encoded

    def _buffer(self, name: str, size: int) -> Bytes:
        """This thread's memory of that name, at least once as large; what it held is lost."""
        buffers: dict[str, Bytes] = self._memory.__dict__
        if name not in buffers or buffers[name].size < size:
            buffers[name] = np.empty(size, np.uint8)
        return buffers[name][:size]


def _encode_block(job: WriteJob, start: int, rows: Rows, planes: tuple[Bytes, ...]) -> None:
    """Encode the rows from ``start`` on."""
    ordered = rows
    if job.row_order is not None:
        ordered = rows[job.row_order[start : start + len(rows)] - start]
    try:
        job.encoding.encode_into(ordered, planes)
    except NonFiniteWeightError as error:
        raise _not_finite(job.weight.name, start, rows) from error
    except UnsupportedEncodingError as error:
        raise UnsupportedEncodingError(
            f"{error.what} in tensor {job.weight.name!r}",
            expected=error.expected,
            remedy=error.remedy,
        ) from error


def _not_finite(name: str, start: int, rows: Rows) -> NonFiniteWeightError:
    row, column = first_nonfinite(rows) or (0, 0)
    return NonFiniteWeightError(
        f"tensor {name!r} holds a value that is not finite",
        expected="finite weights only",
        found=f"{rows[row, column]} at row {start + row}, column {column}",
        remedy="the checkpoint is damaged or its training diverged; get another copy",
    )


def write_all(descriptor: int, data: Bytes, offset: int) -> None:
    """Write contiguous bytes at ``offset`` of a file."""
    view, at = data.data, offset
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


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
