"""A worker of a fleet: one process for many cores, an actor of Ray with threads of its own."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock, local

import numpy as np

from convert.chunks import Chunk
from convert.fleet.agreement import Agreement
from convert.fleet.remote_chunk import Done, Terms, encode, finish, multiply
from convert.weights import Floats, Rows
from passes.calibration.blas import one_thread_each
from passes.calibration.products import PortableProduct
from passes.encodings import warm_up
from passes.encodings.base import Bytes


@dataclass(frozen=True)
class _Read:
    """Chunks that were multiplied and are to be encoded, and the memory in which their rows lie."""

    terms: Terms
    chunks: Sequence[Chunk]
    rows: Sequence[Rows]
    buffer: Bytes


class WorkerProcess:
    """Does chunks; its methods are called by several threads at once.

    Args:
        agreement: What the driver computes with.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._memory = local()
        self._read: dict[int, _Read] = {}
        self._buffers: list[Bytes] = []
        self._choosing = Lock()
        # It holds for all threads, so that none of them may take it back.
        self._for_good = ExitStack()
        self._for_good.enter_context(one_thread_each())

    def prepare(self) -> None:
        """Be certain that this process can work for the driver.

        Raises:
            UnavailableWorkersError: It has other packages.
        """
        self._agreement.require_versions()

    def warm_up(self, encodings: Sequence[str], weighted: bool) -> None:
        """See `passes.encodings.warm_up`."""
        warm_up(encodings, weighted=weighted)
        # What was imported stays: to look through it for garbage takes longer than a chunk.
        gc.freeze()

    def encode(self, terms: Terms, chunks: Sequence[Chunk]) -> Done:
        """See `convert.fleet.remote_chunk.encode`."""
        return encode(terms, chunks, self._memory)

    def multiply(
        self, number: int, terms: Terms, product: PortableProduct, chunks: Sequence[Chunk]
    ) -> Floats:
        """See `convert.fleet.remote_chunk.multiply`; rows that are to be encoded are kept.

        Args:
            number: That `encode_multiplied` will be asked for.
            terms: See there.
            product: See there.
            chunks: See there.

        Returns:
            See `Product.computed`.
        """
        buffer = self._buffer(sum(chunk.nbytes for chunk in chunks))
        computed, rows = multiply(terms, product, chunks, buffer, self._memory)
        self._read[number] = _Read(terms, chunks, rows, buffer)
        return computed

    def encode_multiplied(self, number: int) -> Done:
        """Encode chunks that were multiplied before. See `convert.fleet.remote_chunk.finish`."""
        read = self._read.pop(number)
        try:
            return finish(read.terms, read.chunks, read.rows, self._memory)
        finally:
            self._buffers.append(read.buffer)

    def _buffer(self, size: int) -> Bytes:
        """The smallest memory that suffices and that nobody uses now."""
        with self._choosing:
            fitting = [each.size for each in self._buffers if each.size >= size]
            if fitting:
                sizes = [each.size for each in self._buffers]
                return self._buffers.pop(sizes.index(min(fitting)))
        return np.empty(size, np.uint8)
