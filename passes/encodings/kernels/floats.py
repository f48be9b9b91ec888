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
    """Rows as another float type, or as the same.

    Args:
        words: [n, words of a row].
        kind: What they are.
        out: [n, words of a row].
        to: What they shall be.
    """
    if kind == to and kind != FLOAT32:
        infinity = np.uint16(0x7F80 if kind == BFLOAT16 else 0x7C00)
        for n in range(words.shape[0]):
            if copy_row(words[n], out[n]) >= infinity:
                return NOT_FINITE
        return FINE
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


@compiled
def copy_row(words: Words, out: Words) -> np.uint16:
    """Copy floats of 16 bits; the largest magnitude, as bits."""
    largest = np.uint16(0)
    for i in range(words.size):
        out[i] = words[i]
        largest = max(largest, np.uint16(words[i] & np.uint16(0x7FFF)))
    return largest
