"""Kernel of integer codes with a scale for each group of weights."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, float_of, halves_above, reciprocals
from passes.encodings.kernels.blocks import farthest, magnitudes
from passes.encodings.kernels.codes import ROUND, round_codes, store_nibbles
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Bytes,
    Floats,
    Halves,
    Index,
    Words,
    compiled,
)
from passes.encodings.kernels.rows import columns_of, load_row


@compiled
def integer_groups(
    words: Words,
    kind: int,
    lowest: int,
    highest: int,
    codes: Bytes,
    scales: Halves,
    zero_points: Bytes,
) -> int:
    """Integer codes ``lowest`` to ``highest`` with a float16 scale for each group of weights.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        lowest: -127, -8 or 0; 0 asks for zero points.
        highest: 127, 255, 7 or 15; below 16 codes and zero points take four bits.
        codes: The plane of codes.
        scales: The plane of scales, ``[n * groups]``.
        zero_points: The plane of zero points, or empty.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    groups = scales.size // words.shape[0]
    width, bounds = np.uint64(row.size // groups), (np.float32(lowest), np.float32(highest))
    positive, negative = np.empty(groups, np.uint32), np.empty(groups, np.uint32)
    scale, zero = np.empty(groups, np.float32), np.zeros(groups, np.float32)
    four_bits = highest < 16
    row_codes, row_zeros = np.empty(row.size, np.uint8), np.empty(groups, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        if not magnitudes(row, width, positive, negative):
            return NOT_FINITE
        wanted_scales(row, width, positive, negative, bounds, scale)
        if not halves_above(scale, scales[n * groups : (n + 1) * groups]):
            return OUT_OF_RANGE
        reciprocals(scale)
        if lowest == 0:
            round_zero_points(negative, scale, zero, row_zeros)
            if four_bits:
                store_nibbles(row_zeros, np.uint64(n * groups), zero_points)
            else:
                zero_points[n * groups : (n + 1) * groups] = row_zeros
        if not four_bits:
            row_codes = codes[n * row.size : (n + 1) * row.size]
        round_codes(row, width, scale, zero, np.int32(lowest), np.int32(highest), row_codes)
        if four_bits:
            store_nibbles(row_codes, np.uint64(n * row.size), codes)
    return FINE


@compiled
def wanted_scales(
    row: Bits,
    width: Index,
    positive: Bits,
    negative: Bits,
    bounds: tuple[np.float32, np.float32],
    scale: Floats,
) -> None:
    """The scale of each group, before it is rounded.

    Without negative codes the scale spans the group and zero; with as many negative as positive
    codes the largest magnitude is spread over them; with one more negative, the weight of
    largest magnitude becomes the lowest code, which may make the scale negative.
    """
    lowest, highest = bounds
    if lowest == ZERO:
        for g in range(np.uint64(scale.size)):
            scale[g] = (float_of(positive[g]) + float_of(negative[g])) / highest
    elif -lowest == highest:
        for g in range(np.uint64(scale.size)):
            scale[g] = float_of(max(positive[g], negative[g])) / highest
    else:
        farthest(row, width, positive, negative, scale)
        for g in range(np.uint64(scale.size)):
            scale[g] = scale[g] / lowest


@compiled
def round_zero_points(negative: Bits, inverse: Floats, zero: Floats, codes: Bytes) -> None:
    """The code of zero in each group, so that its smallest weight has code 0."""
    for g in range(np.uint64(zero.size)):
        zero[g] = (float_of(negative[g]) * inverse[g] + ROUND) - ROUND
        codes[g] = np.uint8(zero[g])
