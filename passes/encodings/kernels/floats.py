"""Kernel of the floating-point encodings."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import BFLOAT16_LIMIT, FLOAT16_LIMIT, INFINITY, MAGNITUDE
from passes.encodings.kernels.compiling import (
    BFLOAT16,
    FINE,
    FLOAT32,
    NOT_FINITE,
    OUT_OF_RANGE,
    Words,
    compiled,
)
from passes.encodings.kernels.rows import columns_of, load_row, store_row


@compiled
def convert_floats(words: Words, kind: int, out: Words, to: int) -> int:
    """Rows as another float type.

    Args:
        words: [n, words of a row].
        kind: What they are.
        out: [n, words of a row].
        to: What they shall be.
    """
    row, largest = np.empty(columns_of(words, kind), np.uint32), np.uint32(0)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for i in range(row.size):
            largest = max(largest, np.uint32(row[i] & MAGNITUDE))
        store_row(row, n, to, out)
    if largest >= INFINITY:
        return NOT_FINITE
    limit = INFINITY if to == FLOAT32 else BFLOAT16_LIMIT if to == BFLOAT16 else FLOAT16_LIMIT
    return OUT_OF_RANGE if largest >= limit else FINE
