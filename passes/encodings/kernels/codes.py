"""From weights to codes, and from codes to the bytes that are stored."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import SIGN, ZERO, bits_of, float_of
from passes.encodings.kernels.compiling import Bits, Bytes, Floats, Halves, Index, Words, compiled
from passes.encodings.kernels.vectors import (
    LANES,
    greatest,
    least,
    load,
    minus,
    plus,
    spread,
    store_bytes,
    times,
)

BLOCK, SIXTEEN = np.uint64(32), np.uint64(LANES)

ROUND = np.float32(1.5 * 2**23)
"""Adding and subtracting it rounds a float32 below 2**22 to the nearest integer, ties to even."""

BELOW_HALF = np.uint32(0x3EFFFFFF)
"""The bits of the largest float32 below 0.5. Added to a magnitude under 2**22 it rounds up to the
next integer from .5 on and not before, because the sum itself is rounded to the nearest float32.
"""

LOW, FOUR = np.uint16(0xF), np.uint16(4)


@compiled
def round_codes(
    row: Bits,
    width: Index,
    inverse: Floats,
    zero: Floats,
    lowest: np.int32,
    highest: np.int32,
    codes: Bytes,
) -> None:
    """Codes ``w * inverse`` to the nearest integer, ties to even, plus zero, within bounds."""
    rounding, whole = spread(ROUND), width // SIXTEEN * SIXTEEN
    low, high = spread(np.float32(lowest)), spread(np.float32(highest))
    for b in range(np.uint64(inverse.size)):
        start, factor, shift = b * width, spread(inverse[b]), spread(zero[b])
        for i in range(start, start + whole, SIXTEEN):
            value = minus(plus(times(load(row, i), factor), rounding), rounding)
            store_bytes(least(greatest(plus(value, shift), low), high), codes, i)
        for i in range(start + whole, start + width):
            code = np.int32(((float_of(row[i]) * inverse[b] + ROUND) - ROUND) + zero[b])
            codes[i] = np.uint8(min(max(code, lowest), highest))


@compiled
def round_codes_away(row: Bits, width: Index, inverse: Floats, codes: Bytes) -> None:
    """Codes ``w * inverse`` to the nearest integer, halves away from zero as C's roundf."""
    for b in range(np.uint64(inverse.size)):
        factor = inverse[b]
        for i in range(width):
            at = b * width + i
            value = float_of(row[at]) * factor
            nearly_half = float_of((bits_of(value) & SIGN) | BELOW_HALF)
            codes[at] = np.uint8(np.int32(value + nearly_half))


@compiled
def truncate_codes(
    row: Bits, minimum: Floats, inverse: Floats, half: np.float32, codes: Bytes
) -> None:
    """Codes of ggml's 4-bit formats: trunc((w - minimum) * inverse + half), from 0 to 15."""
    up, low, high = spread(half), spread(ZERO), spread(np.float32(15))
    for b in range(np.uint64(inverse.size)):
        start, least_weight, factor = b * BLOCK, spread(minimum[b]), spread(inverse[b])
        for i in range(start, start + BLOCK, SIXTEEN):
            value = plus(times(minus(load(row, i), least_weight), factor), up)
            store_bytes(least(greatest(value, low), high), codes, i)


@compiled
def pack_halves(codes: Words, blocks: Words, head: Index) -> None:
    """Write 32 codes of 4 bits to each block: code i and code i + 16 share a byte.

    Args:
        codes: Two codes a word, 16 words a block.
        blocks: Words of the blocks, ``[blocks, words of a block]``.
        head: Words at the beginning of a block that are not codes.
    """
    for b in range(np.uint64(blocks.shape[0])):
        first = b * np.uint64(16)
        for i in range(np.uint64(8)):
            high = codes[first + np.uint64(8) + i]
            blocks[b, head + i] = codes[first + i] | (high << FOUR)


@compiled
def copy_codes(codes: Words, blocks: Words, head: Index) -> None:
    """Write 32 codes of 8 bits to each block: arguments as for `pack_halves`."""
    for b in range(np.uint64(blocks.shape[0])):
        for i in range(np.uint64(16)):
            blocks[b, head + i] = codes[b * np.uint64(16) + i]


@compiled
def store_heads(halves: Halves, blocks: Words, at: Index) -> None:
    """Write a float16 to each block, at its word ``at``."""
    for b in range(np.uint64(blocks.shape[0])):
        blocks[b, at] = halves[b]


@compiled
def store_nibbles(codes: Bytes, first: Index, out: Bytes) -> None:
    """Write 4-bit codes to ``out`` from nibble ``first`` on, the low half of a byte first."""
    four = np.uint8(4)
    start, rest = first // np.uint64(2), codes
    if first % np.uint64(2):
        out[start] |= codes[0] << four
        start, rest = start + np.uint64(1), codes[1:]
    size = np.uint64(rest.size)
    pairs = size // np.uint64(2)
    for i in range(pairs):
        low, high = rest[np.uint64(2) * i], rest[np.uint64(2) * i + np.uint64(1)]
        out[start + i] = (low & np.uint8(LOW)) | (high << four)
    if size % np.uint64(2):
        out[start + pairs] = rest[size - np.uint64(1)] & np.uint8(LOW)
