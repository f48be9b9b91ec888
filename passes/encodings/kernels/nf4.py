"""Kernels of NF4 codes, with float16 scales or with doubly quantized ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.kernels.bits import (
    INFINITY,
    MAGNITUDE,
    float_of,
    from_half,
    half_above,
    reciprocal,
)
from passes.encodings.kernels.codes import store_nibbles
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Bytes,
    Words,
    compiled,
)
from passes.encodings.kernels.e4m3 import from_e4m3, to_e4m3
from passes.encodings.kernels.rows import columns_of, load_row

MIDPOINTS = tuple(
    np.float32(bound)
    for bound in (
        *(-0.8480964, -0.6106329, -0.45999527, -0.33967942, -0.2346074, -0.13791174, -0.045525018),
        *(0.03979015, 0.12025525, 0.20352125, 0.29201376, 0.38931254, 0.50166345, 0.6427869),
        0.86147845,
    )
)
"""Halfway between neighbouring values of the codebook, as float32."""

SUPER_GROUP = 256
LARGEST_HALF = np.float32(65504)
NESTED_LIMIT = np.uint32(0x7F780000)
"""From 248 * 2**120 on, as bits, a magnitude rounds to a scale that float32 cannot hold."""

LARGEST_E4M3_MANTISSA = np.uint32(0x600000)
"""The mantissa of 448 = 1.75 * 2**8, the largest E4M3 value, in a float32."""

EIGHT, FOUR, TWO = np.uint32(8), np.uint32(4), np.uint32(2)


@compiled
def nf4_groups(words: Words, kind: int, group: int, codes: Bytes, scales: Words) -> int:
    """NF4 codes with a float16 scale for each ``group`` weights.

    Args:
        words: [n, words of a row].
        kind: What the words are.
        group: Divides the columns; even.
        codes: The plane of codes.
        scales: [n, groups of a row], float16.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    groups = row.reshape(-1, group)
    magnitudes, inverses = np.empty(len(groups), np.uint32), np.empty(len(groups), np.float32)
    row_codes = np.empty(groups.shape, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        largest = find_magnitudes(groups, magnitudes)
        if largest >= INFINITY:
            return NOT_FINITE
        if float_of(largest) > LARGEST_HALF:
            return OUT_OF_RANGE
        for g in range(len(groups)):
            half = half_above(float_of(magnitudes[g]))
            scales[n, g] = np.uint16(half)
            inverses[g] = reciprocal(float_of(from_half(half)))
        choose_codes(groups, inverses, row_codes)
        store_nibbles(row_codes.reshape(-1), np.uint64(n * row.size), codes)
    return FINE


@compiled
def nf4_nested_groups(
    words: Words,
    kind: int,
    group: int,
    shared: int,
    codes: Bytes,
    scales: Bytes,
    super_scales: NDArray[np.float32],
) -> int:
    """NF4 codes with E4M3 scales, and a float32 scale for each 256 of these or fewer.

    Args:
        words: [n, words of a row].
        kind: What the words are.
        group: Divides the columns; even.
        shared: Consecutive rows whose scales are counted through; 1 where a row has over 256.
        codes: The plane of codes.
        scales: [n * groups of a row], E4M3.
        super_scales: As many as there are, in order.
    """
    columns, super_group = columns_of(words, kind), 0
    rows = np.empty((shared, columns), np.uint32)
    groups = rows.reshape(-1, group)
    magnitudes, inverses = np.empty(len(groups), np.uint32), np.empty(len(groups), np.float32)
    unpacked = np.empty(groups.shape, np.uint8)
    for first in range(0, words.shape[0], shared):
        count = min(shared, words.shape[0] - first)
        for r in range(count):
            load_row(words, first + r, kind, rows[r])
        used, scales_here = count * columns // group, scales[first * columns // group :]
        for start in range(0, used, SUPER_GROUP):
            stop = min(start + SUPER_GROUP, used)
            largest = find_magnitudes(groups[start:stop], magnitudes[start:stop])
            if largest >= NESTED_LIMIT:
                return NOT_FINITE if largest >= INFINITY else OUT_OF_RANGE
            super_scale = super_scale_for(largest)
            super_scales[super_group] = super_scale
            super_group += 1
            for g in range(start, stop):
                code = to_e4m3(float_of(magnitudes[g]) / super_scale)
                scales_here[g] = np.uint8(code)
                inverses[g] = reciprocal(from_e4m3(code) * super_scale)
        choose_codes(groups[:used], inverses, unpacked)
        store_nibbles(unpacked.reshape(-1)[: count * columns], np.uint64(first * columns), codes)
    return FINE


@compiled
def find_magnitudes(groups: Bits, magnitudes: Bits) -> np.uint32:
    """The largest magnitude in each group and in all, as bits; NaN is beyond infinity."""
    overall = np.uint32(0)
    for g in range(groups.shape[0]):
        largest = np.uint32(0)
        for i in range(groups.shape[1]):
            largest = max(largest, np.uint32(groups[g, i] & MAGNITUDE))
        magnitudes[g] = largest
        overall = max(overall, largest)
    return overall


@compiled
def choose_codes(groups: Bits, inverses: NDArray[np.float32], codes: Bytes) -> None:
    """The number of midpoints below each weight, once it is multiplied by its group's inverse.

    A binary search of four steps, written as selections: each step keeps one half of the
    midpoints that are left. No branch and no table, so that it becomes vector instructions.
    """
    for g in range(groups.shape[0]):
        inverse = inverses[g]
        for i in range(groups.shape[1]):
            x = float_of(groups[g, i]) * inverse
            eight = x > MIDPOINTS[7]
            m0 = MIDPOINTS[8] if eight else MIDPOINTS[0]
            m1 = MIDPOINTS[9] if eight else MIDPOINTS[1]
            m2 = MIDPOINTS[10] if eight else MIDPOINTS[2]
            m3 = MIDPOINTS[11] if eight else MIDPOINTS[3]
            m4 = MIDPOINTS[12] if eight else MIDPOINTS[4]
            m5 = MIDPOINTS[13] if eight else MIDPOINTS[5]
            m6 = MIDPOINTS[14] if eight else MIDPOINTS[6]
            four = x > m3
            m0, m1, m2 = (m4 if four else m0), (m5 if four else m1), (m6 if four else m2)
            two = x > m1
            one = x > (m2 if two else m0)
            high = np.uint32(eight) * EIGHT + np.uint32(four) * FOUR
            codes[g, i] = np.uint8(high + np.uint32(two) * TWO + np.uint32(one))


@compiled
def super_scale_for(largest: np.uint32) -> np.float32:
    """The least power of two that keeps ``largest`` within E4M3; no denormal float32."""
    rounding = np.uint32(0x7FFFFF) - LARGEST_E4M3_MANTISSA
    exponent = np.int32((largest + rounding) >> np.uint32(23)) - np.int32(8)
    return float_of(np.uint32(max(exponent, np.int32(1))) << np.uint32(23))
