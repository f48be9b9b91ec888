"""Kernels of E4M3 codes with a float32 scale for each row, or one for the whole tensor."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import INFINITY, MAGNITUDE, SIGN, float_of
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    Bits,
    Bytes,
    Floats,
    Words,
    compiled,
)
from passes.encodings.kernels.e4m3 import to_e4m3
from passes.encodings.kernels.rows import columns_of, load_row

SMALLEST_SCALE = np.float32(2.0**-126)
"""The smallest normal float32."""

TO_SIGN_OF_BYTE = np.uint32(24)


@compiled
def fp8_rows(
    words: Words,
    kind: int,
    largest: np.float32,
    largest_code: np.uint32,
    codes: Bytes,
    scales: Floats,
) -> int:
    """E4M3 codes with a scale for each row.

    Args:
        words: [n, words of a row].
        kind: What the words are.
        largest: What the largest magnitude of a row is mapped to.
        largest_code: The code of ``largest``; none is above it.
        codes: [n, columns].
        scales: [n].
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        magnitude = largest_magnitude(row)
        if magnitude >= INFINITY:
            return NOT_FINITE
        scale = float_of(magnitude) / largest
        if scale < SMALLEST_SCALE:
            scale = np.float32(1)
        scales[n] = scale
        store_codes(row, scale, largest_code, codes[n])
    return FINE


@compiled
def fp8_scaled_rows(
    words: Words, kind: int, scale: np.float32, largest_code: np.uint32, codes: Bytes
) -> int:
    """E4M3 codes with a scale that is known before.

    Args:
        words: [n, words of a row].
        kind: What the words are.
        scale: Of all rows.
        largest_code: What larger weights saturate at.
        codes: [n, columns].
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        if largest_magnitude(row) >= INFINITY:
            return NOT_FINITE
        store_codes(row, scale, largest_code, codes[n])
    return FINE


@compiled
def largest_magnitude(row: Bits) -> np.uint32:
    """The largest magnitude of a row, as bits; NaN is beyond infinity."""
    largest = np.uint32(0)
    for i in range(np.uint64(row.size)):
        largest = max(largest, np.uint32(row[i] & MAGNITUDE))
    return largest


@compiled
def store_codes(row: Bits, scale: np.float32, largest_code: np.uint32, codes: Bytes) -> None:
    """The code nearest to each weight divided by ``scale``, at most ``largest_code``."""
    for i in range(np.uint64(row.size)):
        bits = row[i]
        code = min(to_e4m3(float_of(bits & MAGNITUDE) / scale), largest_code)
        codes[i] = np.uint8(code | ((bits & SIGN) >> TO_SIGN_OF_BYTE))
