"""Kernel of integer codes with a scale for each group of weights."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import (
    HALF_NAN,
    ZERO,
    finite,
    float_of,
    from_half,
    half_above,
    is_infinite,
    reciprocal,
)
from passes.encodings.kernels.blocks import extremes, farthest, store_codes, store_half
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Bytes,
    Words,
    compiled,
)
from passes.encodings.kernels.rows import columns_of, load_row

ROUND = np.float32(1.5 * 2**23)
"""Adding and subtracting it rounds a float32 below 2**22 to the nearest integer, ties to even."""


@compiled
def integer_groups(
    words: Words,
    kind: int,
    group: int,
    lowest: int,
    highest: int,
    codes: Bytes,
    scales: Bytes,
    zero_points: Bytes,
) -> int:
    """Integer codes ``lowest`` to ``highest`` with a float16 scale for each ``group`` weights.

    Args:
        words: [n, words of a row].
        kind: What the words are.
        group: Divides the columns.
        lowest: -127, -8 or 0; 0 asks for zero points.
        highest: 127, 255, 7 or 15; below 16 codes and zero points take four bits.
        codes: The plane of codes.
        scales: The plane of scales, [n * groups, 2].
        zero_points: The plane of zero points, or empty.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    groups = row.reshape(-1, group)
    row_codes, row_zeros = np.empty(groups.shape, np.uint8), np.empty(groups.shape[0], np.uint8)
    bounds, four_bits = (np.float32(lowest), np.float32(highest)), highest < 16
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for g in range(groups.shape[0]):
            half, zero = group_scale(groups, g, lowest, highest)
            if is_infinite(half):
                return NOT_FINITE if half == HALF_NAN else OUT_OF_RANGE
            store_half(half, scales, n * groups.shape[0] + g, 0)
            row_zeros[g] = np.uint8(zero)
            round_codes(groups, g, reciprocal(float_of(from_half(half))), zero, bounds, row_codes)
        store_codes(row_codes.reshape(-1), n * row.size, four_bits, codes)
        if zero_points.size:
            store_codes(row_zeros, n * groups.shape[0], four_bits, zero_points)
    return FINE


@compiled
def group_scale(blocks: Bits, g: int, lowest: int, highest: int) -> tuple[np.uint32, np.float32]:
    """The stored scale of a group, as float16 bits, and its zero point.

    Codes run from ``lowest`` to ``highest``. Without negative codes the scale spans the group
    and zero, and the zero point is the code of zero; with as many negative as positive codes
    the largest magnitude is spread over them; with one more negative, the weight of largest
    magnitude becomes ``lowest``, which may make the scale negative. Rounding the scale up
    keeps the extremes within the codes. The scale is NaN if a weight is not finite.
    """
    low, high = extremes(blocks, g)
    if not finite(low, high):
        return HALF_NAN, ZERO
    if lowest == 0:
        low, high = min(low, ZERO), max(high, ZERO)
        half = half_above(np.float32(abs(high - low) / np.float32(highest)))
        inverse = reciprocal(float_of(from_half(half)))
        return half, np.float32((-low * inverse + ROUND) - ROUND)
    if -lowest == highest:
        return half_above(np.float32(max(abs(low), abs(high)) / np.float32(highest))), ZERO
    return half_above(np.float32(farthest(blocks, g, low, high) / np.float32(lowest))), ZERO


@compiled
def round_codes(
    blocks: Bits,
    g: int,
    inverse: np.float32,
    zero: np.float32,
    bounds: tuple[np.float32, np.float32],
    codes: Bytes,
) -> None:
    """Codes of group ``g``: w * inverse to the nearest integer, plus zero, within bounds."""
    for i in range(blocks.shape[1]):
        code = ((float_of(blocks[g, i]) * inverse + ROUND) - ROUND) + zero
        codes[g, i] = np.uint8(np.int32(min(max(code, bounds[0]), bounds[1])))
