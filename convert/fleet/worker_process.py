"""A worker of a fleet: one process for many cores, an actor of Ray with threads of its own."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from threading import local

import numpy as np

from convert.chunks import Chunk
from convert.fleet.agreement import Agreement
from convert.fleet.remote_chunk import Done, Terms, encode, multiply_and_encode
from convert.weights import Floats
from passes.calibration.blas import one_thread_each
from passes.calibration.products import PortableProduct
from passes.encodings import encoding


class WorkerProcess:
    """Does chunks; its methods are called by several threads at once.

    Args:
        agreement: What the driver computes with.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._memory = local()
        # It holds for all threads, so that none of them may take it back.
        self._for_good = ExitStack()
        self._for_good.enter_context(one_thread_each())

    def prepare(self) -> None:
        """Be certain that this process can work for the driver, and load what encoding needs:
        it would take the better part of a second when the first chunks are there.

        Raises:
            UnavailableWorkersError: It has other packages.
        """
        self._agreement.require_versions()
        _encode_something()
        # What was imported stays: to look through it for garbage takes longer than a chunk.
        gc.freeze()

    def encode(self, terms: Terms, chunks: Sequence[Chunk]) -> Done:
        """See `convert.fleet.remote_chunk.encode`."""
        return encode(terms, chunks, self._memory)

    def multiply_and_encode(
        self, terms: Terms, product: PortableProduct, chunks: Sequence[Chunk]
    ) -> Iterator[Floats | Done]:
        """See `convert.fleet.remote_chunk.multiply_and_encode`."""
        yield from multiply_and_encode(terms, product, chunks, self._memory)


def _encode_something() -> None:
    kind, columns = encoding("q4_0"), 32
    planes = tuple(np.empty(plane.nbytes(1), np.uint8) for plane in kind.planes(columns))
    kind.encode_into(np.ones((1, columns), np.float32), planes)
