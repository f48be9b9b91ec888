"""From weights to codes, and from codes to the bytes that are stored."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import SIGN, bits_of, float_of
from passes.encodings.kernels.compiling import Bits, Bytes, Floats, Halves, Index, Words, compiled

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
    for b in range(np.uint64(inverse.size)):
        factor, shift = inverse[b], zero[b]
        for i in range(width):
            at = b * width + i
            code = np.int32(((float_of(row[at]) * factor + ROUND) - ROUND) + shift)
            codes[at] = np.uint8(min(max(code, lowest), highest))


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
    row: Bits, width: Index, minimum: Floats, inverse: Floats, half: np.float32, codes: Bytes
) -> None:
    """Codes of ggml's 4-bit formats: trunc((w - minimum) * inverse + half), at most 15."""
    for b in range(np.uint64(inverse.size)):
        least, factor = minimum[b], inverse[b]
        for i in range(width):
            at = b * width + i
            code = np.int32((float_of(row[at]) - least) * factor + half)
            codes[at] = np.uint8(min(code, np.int32(15)))


@compiled
def clamp_codes(
    row: Bits, width: Index, minimum: Floats, inverse: Floats, half: np.float32, codes: Bytes
) -> None:
    """As `truncate_codes`, where weights may lie below the minimum: their code is 0."""
    for b in range(np.uint64(inverse.size)):
        least, factor = minimum[b], inverse[b]
        for i in range(width):
            at = b * width + i
            code = np.int32((float_of(row[at]) - least) * factor + half)
            codes[at] = np.uint8(min(max(code, np.int32(0)), np.int32(15)))


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
