"""Rows of weights as float32, the next ones being read while these are multiplied with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats, FloatType, Rows, Weight
from passes.encodings.base import ROW_ALIGNMENT

BLOCK_BYTES = 64 << 20
"""Bytes of float32 in a block. Two are held at a time, and one more as it is stored."""


@dataclass(frozen=True)
class Block:
    """Rows ``start`` to ``stop`` of a weight, ``values [stop - start, columns]``.

    Values are float32, or as they are stored where whoever takes them asks for that.
    """

    weight: Weight
    start: int
    stop: int
    values: Rows

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.values.size * self.weight.dtype.itemsize

    @property
    def is_last(self) -> bool:
        """Whether the weight ends here."""
        return self.stop == self.weight.rows


Take = Callable[[Block], None]
"""Takes in some rows of a weight: multiplies with them, observes them."""


def read_ahead(weights: Iterable[Weight]) -> Generator[Block, None, None]:
    """All rows of the weights, in order, the next block being read in a thread.

    Raises:
        BrokenInputError: A file is damaged.
    """
    pending: deque[Future[Block]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for weight, start, stop in _ranges(weights):
            pending.append(thread.submit(_read, weight, start, stop))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def read_rows(weight: Weight, rows: NDArray[np.int64]) -> Floats:
    """Some rows of a weight, each read once however often it is named.

    Args:
        rows: Their numbers, of any shape.

    Returns:
        float32 ``[*rows.shape, columns]``.
    """
    distinct, places = np.unique(rows, return_inverse=True)
    found = np.empty((len(distinct), weight.columns), np.float32)
    for place, row in enumerate(distinct):
        found[place] = weight.read_rows(int(row), int(row) + 1)[0]
    return found[places.reshape(rows.shape)]


def as_float32(rows: Rows, into: Floats | None = None) -> Floats:
    """The same numbers in float32.

    Args:
        rows: Of any type that a weight has.
        into: Memory of their number, for what is not float32 already.
    """
    if rows.dtype == np.float32:
        return rows
    found = np.empty(rows.shape, np.float32) if into is None else into.reshape(rows.shape)
    if rows.dtype == FloatType.BF16.numpy:
        # A bfloat16 is the upper half of a float32; to put it there is twice as fast as a cast.
        np.left_shift(rows.view(np.uint16), 16, out=found.view(np.uint32), dtype=np.uint32)
    else:
        found[...] = rows
    return found


def _ranges(weights: Iterable[Weight]) -> Iterator[tuple[Weight, int, int]]:
    for weight in weights:
        step = max(1, BLOCK_BYTES // (4 * weight.columns))
        step -= step % ROW_ALIGNMENT if step > ROW_ALIGNMENT else 0  # blocks may be encoded
        for start in range(0, weight.rows, step):
            yield weight, start, min(start + step, weight.rows)


def _read(weight: Weight, start: int, stop: int) -> Block:
    return Block(weight, start, stop, as_float32(weight.read_rows(start, stop)))
