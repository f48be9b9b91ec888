"""Kernel of 8-bit integer codes with a float32 scale for each row."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import INFINITY, float_of
from passes.encodings.kernels.codes import round_codes
from passes.encodings.kernels.compiling import FINE, NOT_FINITE, Bytes, Floats, Words, compiled
from passes.encodings.kernels.fp8 import SMALLEST_SCALE, largest_magnitude
from passes.encodings.kernels.rows import columns_of, load_row

LARGEST_CODE = np.int32(127)


@compiled
def int8_rows(words: Words, kind: int, codes: Bytes, scales: Floats) -> int:
    """Codes -127 to 127 with a scale for each row.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        codes: ``[n * columns]``.
        scales: ``[n]``.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    width, inverse, zero = np.uint64(row.size), np.empty(1, np.float32), np.zeros(1, np.float32)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        magnitude = largest_magnitude(row)
        if magnitude >= INFINITY:
            return NOT_FINITE
        scale = float_of(magnitude) / np.float32(LARGEST_CODE)
        if scale < SMALLEST_SCALE:
            scale = np.float32(1)
        scales[n] = scale
        inverse[0] = np.float32(1) / scale
        row_codes = codes[n * row.size : (n + 1) * row.size]
        round_codes(row, width, inverse, zero, -LARGEST_CODE, LARGEST_CODE, row_codes)
    return FINE
