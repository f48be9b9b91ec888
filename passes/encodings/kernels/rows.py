"""Rows of storage words to float32 and back."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import from_half, to_half
from passes.encodings.kernels.compiling import BFLOAT16, FLOAT32, Bits, Words, compiled

SIXTEEN = np.uint32(16)


@compiled
def columns_of(words: Words, kind: int) -> int:
    """Weights of a row."""
    return words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]


@compiled
def load_row(words: Words, n: int, kind: int, row: Bits) -> None:
    """Widen row ``n`` of storage words to the bits of float32."""
    if kind == FLOAT32:
        for i in range(row.size):
            row[i] = np.uint32(words[n, 2 * i]) | (np.uint32(words[n, 2 * i + 1]) << SIXTEEN)
    elif kind == BFLOAT16:
        for i in range(row.size):
            row[i] = np.uint32(words[n, i]) << SIXTEEN
    else:
        for i in range(row.size):
            row[i] = from_half(np.uint32(words[n, i]))


@compiled
def store_row(row: Bits, n: int, kind: int, words: Words) -> None:
    """Narrow the bits of float32 to row ``n`` of storage words; ties to even."""
    if kind == FLOAT32:
        for i in range(row.size):
            words[n, 2 * i] = np.uint16(row[i])
            words[n, 2 * i + 1] = np.uint16(row[i] >> SIXTEEN)
    elif kind == BFLOAT16:
        for i in range(row.size):
            odd = (row[i] >> SIXTEEN) & np.uint32(1)
            words[n, i] = np.uint16((row[i] + np.uint32(0x7FFF) + odd) >> SIXTEEN)
    else:
        for i in range(row.size):
            words[n, i] = np.uint16(to_half(row[i]))
