"""Reads a chunk of a weight once: for the text that runs through the model, for every artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import local
from typing import Protocol

import numpy as np

from convert.chunks import Chunk, PlacedJob
from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from convert.finite import first_nonfinite
from convert.runs import Runs
from convert.weights import Rows
from passes.calibration.reading import Block, Take
from passes.encodings.base import Bytes
from targets.base import WriteJob


class Output(Protocol):
    """The files of an artifact."""

    def write(self, file: str, offset: int, data: Bytes, runs: Runs | None) -> None:
        """Put bytes in their place."""

    def written(self, file: str, offset: int, size: int, runs: Runs | None) -> None:
        """Tell that these bytes are in place."""


class ChunkWorker:
    """Processes chunks on any number of threads, each of which uses its memory again and again.

    Args:
        outputs: By artifact's folder.
        memory: Of each thread, if it is to outlive this.
    """

    def __init__(self, outputs: Mapping[Path, Output], memory: local | None = None) -> None:
        self._outputs = outputs
        self._memory = memory if memory is not None else local()

    def process(self, chunk: Chunk) -> int:
        """Read, encode and write one chunk; its bytes in the source."""
        missing = chunk.missing
        if missing:
            self._write(chunk, missing, self._encode(chunk, missing, self._read_by_blocks(chunk)))
        self._tell(chunk)
        return chunk.nbytes

    def multiply_and_process(self, chunk: Chunk, take: Take, taken: Callable[[], None]) -> int:
        """As `process`, but first `multiply`; then ``taken`` is called."""
        rows = self.multiply(chunk, take)
        taken()
        return self.process_rows(chunk, rows)

    def multiply(self, chunk: Chunk, take: Take, buffer: Bytes | None = None) -> Rows:
        """Hand the rows of a chunk over, as stored, cell by cell.

        Args:
            chunk: Of a weight.
            take: Takes in each cell.
            buffer: As large as the chunk, for the rows; None for memory of this thread.

        Returns:
            All of them; without a buffer they are lost when this thread reads the next chunk.
        """
        if buffer is None:
            rows = self._read(chunk, chunk.start, chunk.stop)
        else:
            rows = chunk.weight.read_rows_into(chunk.start, chunk.stop, buffer)
        for start, stop in chunk.cells():
            cell = rows[start - chunk.start : stop - chunk.start]
            with np.errstate(all="ignore"):
                take(Block(chunk.weight, start, stop, cell))
        return rows

    def process_rows(self, chunk: Chunk, rows: Rows) -> int:
        """As `process`, of rows that are read; its bytes in the source if anything wants them."""
        missing = chunk.missing
        if missing:
            blocks = (
                (start, rows[start - chunk.start : stop - chunk.start])
                for start, stop in chunk.blocks()
            )
            self._write(chunk, missing, self._encode(chunk, missing, blocks))
        self._tell(chunk)
        return chunk.nbytes if chunk.jobs else 0

    def _read_by_blocks(self, chunk: Chunk) -> Iterator[tuple[int, Rows]]:
        for start, stop in chunk.blocks():
            yield start, self._read(chunk, start, stop)

    def _read(self, chunk: Chunk, start: int, stop: int) -> Rows:
        size = (stop - start) * chunk.weight.columns * chunk.weight.dtype.itemsize
        return chunk.weight.read_rows_into(start, stop, self._buffer("source", size))

    def _encode(
        self, chunk: Chunk, jobs: Sequence[PlacedJob], blocks: Iterator[tuple[int, Rows]]
    ) -> list[tuple[Bytes, ...]]:
        """The planes of each job for all rows of the chunk."""
        rows, columns = chunk.stop - chunk.start, chunk.weight.columns
        kinds = [placed.job.encoding.planes(columns) for placed in jobs]
        encoded = [
            tuple(self._buffer(f"{number} {kind.name}", kind.nbytes(rows)) for kind in planes)
            for number, planes in enumerate(kinds)
        ]
        for start, block in blocks:
            first, last = start - chunk.start, start - chunk.start + len(block)
            for placed, planes, whole in zip(jobs, kinds, encoded, strict=True):
                parts = tuple(
                    plane[kind.nbytes(first) : kind.nbytes(last)]
                    for kind, plane in zip(planes, whole, strict=True)
                )
                _encode_block(placed.job, start, block, parts)
        return encoded

    def _write(
        self, chunk: Chunk, jobs: Sequence[PlacedJob], encoded: Sequence[tuple[Bytes, ...]]
    ) -> None:
        for placed, planes in zip(jobs, encoded, strict=True):
            for piece in placed.pieces(chunk.start, chunk.stop, planes):
                self._outputs[placed.folder].write(*piece)
                if placed.journal:
                    placed.journal.record(*piece)

    def _tell(self, chunk: Chunk) -> None:
        for placed in chunk.jobs:
            for extent in placed.extents(chunk.start, chunk.stop):
                self._outputs[placed.folder].written(*extent)

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
