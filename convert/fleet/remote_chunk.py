"""Chunks as a worker does them: read, multiplied with, encoded; written or sent back."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import local

import numpy as np

from convert.artifact import holder
from convert.chunk_worker import ChunkWorker
from convert.chunks import Chunk
from convert.errors import UnavailableWorkersError
from convert.fleet.agreement import Agreement
from convert.journal import checksum
from convert.runs import Runs, write_all
from convert.weights import Floats, Rows
from passes.calibration.blas import one_thread_each
from passes.calibration.products import PortableProduct
from passes.calibration.reading import Block
from passes.encodings.base import Bytes


@dataclass(frozen=True)
class Terms:
    """What a worker is told of a run.

    Args:
        agreement: What the driver computes with.
        holders: By artifact's folder, what its lock says while this run holds it. A worker that
            reads it there sees the driver's own folder, and writes into it; None where only the
            driver writes.
    """

    agreement: Agreement
    holders: Mapping[Path, str | None]


@dataclass(frozen=True)
class Piece:
    """Bytes of a file that a worker made.

    Args:
        folder: The artifact's.
        file: Path below it.
        offset: Of the first byte.
        size: Bytes.
        runs: In which they lie; None for one.
        checksum: See `convert.journal.checksum`.
        data: What the driver is to write; None if it is in place.
    """

    folder: Path
    file: str
    offset: int
    size: int
    runs: Runs | None
    checksum: int
    data: Bytes | None


@dataclass(frozen=True)
class Done:
    """Chunks that are done, and the process that did them."""

    pieces: tuple[Piece, ...]
    worker: str


def encode(terms: Terms, chunks: Sequence[Chunk], memory: local | None = None) -> Done:
    """Do chunks, one after the other.

    Args:
        chunks: Every job of them is to be done; see `Chunk.alone`.
        memory: See `ChunkWorker`.

    Raises:
        UnavailableWorkersError: This machine cannot do it.
        TricastError: The weight cannot be read or encoded.
    """
    terms.agreement.require_versions()
    deliveries = _deliveries(terms, chunks)
    worker = ChunkWorker(deliveries, memory)
    for chunk in chunks:
        with _checkpoint_seen(chunk):
            worker.process(chunk)
    return _done(deliveries)


def multiply(
    terms: Terms,
    product: PortableProduct,
    chunks: Sequence[Chunk],
    buffer: Bytes,
    memory: local | None = None,
) -> tuple[Floats, list[Rows]]:
    """Multiply a text with the rows of chunks.

    Args:
        terms: See `Terms`.
        product: See `Product.portable`.
        chunks: Of one weight, one behind the other.
        buffer: As large as all of them, or larger.
        memory: See `ChunkWorker`.

    Returns:
        See `Product.computed`; and the rows of each chunk, which lie in the buffer, for `finish`.

    Raises:
        UnavailableWorkersError: This machine cannot do it.
        TricastError: The weight cannot be read.
    """
    terms.agreement.require_versions()
    terms.agreement.require_arithmetic()
    worker, start, read, first = ChunkWorker({}, memory), chunks[0].start, [], 0
    part = product.of_rows(start, chunks[-1].stop, memory)

    def take(block: Block) -> None:
        part.multiply(Block(block.weight, block.start - start, block.stop - start, block.values))

    with _checkpoint_seen(chunks[0]), one_thread_each(), np.errstate(all="ignore"):
        for chunk in chunks:
            last = first + chunk.nbytes
            read.append(worker.multiply(chunk, take, buffer[first:last]))
            first = last
    return part.computed(), read


def finish(
    terms: Terms, chunks: Sequence[Chunk], read: Sequence[Rows], memory: local | None = None
) -> Done:
    """As `encode`, of chunks whose rows were read by `multiply`."""
    deliveries = _deliveries(terms, chunks)
    worker = ChunkWorker(deliveries, memory)
    for chunk, rows in zip(chunks, read, strict=True):
        worker.process_rows(chunk, rows)
    return _done(deliveries)


class _Delivery:
    """Bytes of one artifact: written where the driver would, or kept for it."""

    def __init__(self, folder: Path, held_by: str | None) -> None:
        self._folder, self._held_by = folder, held_by
        self.pieces: list[Piece] = []

    def write(self, file: str, offset: int, data: Bytes, runs: Runs | None) -> None:
        # Asked each time: a worker that has lost its driver must not write into a later run.
        if self._held_by is not None and holder(self._folder) == self._held_by:
            descriptor = os.open(self._folder / file, os.O_WRONLY)
            try:
                write_all(descriptor, data, offset, runs)
            finally:
                os.close(descriptor)
            kept = None
        else:
            kept = np.array(data)  # the next chunk goes into the same memory
        summed = checksum(np.ascontiguousarray(data))
        self.pieces.append(Piece(self._folder, file, offset, data.nbytes, runs, summed, kept))

    def written(self, file: str, offset: int, size: int, runs: Runs | None) -> None:
        pass


@contextmanager
def _checkpoint_seen(chunk: Chunk) -> Iterator[None]:
    """Explain a file of the checkpoint that is not on this machine."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnavailableWorkersError(
            f"a worker on {socket.gethostname()} does not see what holds {chunk.weight.name}",
            expected="every file of the checkpoint at the same path on all machines",
            found=str(error),
            remedy="put the checkpoint into object storage, or into a folder that all "
            "machines share",
        ) from error


def _deliveries(terms: Terms, chunks: Sequence[Chunk]) -> dict[Path, _Delivery]:
    folders = {placed.folder for chunk in chunks for placed in chunk.jobs}
    return {folder: _Delivery(folder, terms.holders[folder]) for folder in folders}


def _done(deliveries: Mapping[Path, _Delivery]) -> Done:
    pieces = tuple(piece for delivery in deliveries.values() for piece in delivery.pieces)
    return Done(pieces, f"{socket.gethostname()}:{os.getpid()}")
