"""Kernel of MXFP4: blocks of 32 weights with a power of two as their scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.kernels.bits import HALF, ONE, ZERO, float_of
from passes.encodings.kernels.blocks import magnitudes
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    Bits,
    Bytes,
    Floats,
    Index,
    Words,
    compiled,
)
from passes.encodings.kernels.fitting import magnitude, reciprocals_of
from passes.encodings.kernels.packing import FOUR
from passes.encodings.kernels.rows import columns_of
from passes.encodings.kernels.tiles import (
    SIXTEEN,
    importance_tiles,
    load_rows,
    rows_together,
    side_by_side,
)
from passes.encodings.kernels.vectors import (
    Vector,
    fused,
    load,
    minus,
    plus,
    spread,
    store,
    store_bytes,
    times,
    where_above,
)

Exponents = NDArray[np.int32]
BLOCK, BLOCK_BYTES = np.uint64(32), 17
VALUES = tuple(np.float32(value) for value in (0, 1, 2, 3, 4, 6, 8, 12))
MIDPOINTS = tuple(np.float32(bound) for bound in (0.5, 1.5, 2.5, 3.5, 5, 7, 10))
SHIFTS = (1, -1)
"""Added to the usual exponent: with the usual one, a weight may be larger than 12 by a third."""

LARGEST_EXPONENT = np.int32(252)
MANTISSA_BITS, TO_EXPONENT = np.uint32(23), np.int32(2)
SMALLEST_SCALE = np.uint32(0x00200000)
NEGATIVE = np.float32(8)


@compiled
def mxfp4_blocks(words: Words, kind: int, importance: Floats, out: Bytes) -> int:
    """Blocks of 17 bytes: exponent, codes of a sign and three bits.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        importance: Of each column, 0 to 1; empty for the usual exponents.
        out: ``[n * blocks of a row, 17]``.
    """
    blocks, columns = out.shape[0] // words.shape[0], columns_of(words, kind)
    together = rows_together(words.shape[0], blocks)
    counted = importance if importance.size else np.ones(columns, np.float32)
    m = importance_tiles(counted, 32, together)
    x, rows, codes = np.empty_like(m), np.zeros(m.size, np.uint32), np.empty(m.size, np.uint8)
    positive, negative = np.empty(m.size // 32, np.uint32), np.empty(m.size // 32, np.uint32)
    exponents = np.empty(positive.size, np.int32)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * blocks
        if not magnitudes(rows, BLOCK, positive, negative):
            return NOT_FINITE
        for b in range(np.uint64(exponents.size)):
            largest = max(positive[b], negative[b])
            exponents[b] = max(np.int32(largest >> MANTISSA_BITS) - TO_EXPONENT, np.int32(0))
        if importance.size:
            side_by_side(rows, BLOCK, x)
            fit_exponents(x, m, exponents)
        choose_codes(rows, exponents, codes)
        for b in range(np.uint64(used)):
            block, first = out[np.uint64(n * blocks) + b], b * BLOCK
            block[np.uint64(0)] = np.uint8(exponents[b])
            for i in range(SIXTEEN):
                high = codes[first + SIXTEEN + i]
                block[np.uint64(1) + i] = codes[first + i] | (high << FOUR)
    return FINE


@compiled
def scale_of(exponent: np.int32) -> np.float32:
    """2**(exponent - 128)."""
    if exponent < 2:
        return float_of(SMALLEST_SCALE << np.uint32(exponent))
    return float_of(np.uint32(exponent - 1) << MANTISSA_BITS)


@compiled
def fit_exponents(x: Floats, m: Floats, exponents: Exponents) -> None:
    """Exponents with the least weighted squared error, from the usual one and its neighbours.

    Args:
        x: Weights in tiles ``[32, 16]``.
        m: Importances, likewise.
        exponents: Of each block.
    """
    scale = np.empty(exponents.size, np.float32)
    for b in range(np.uint64(scale.size)):
        scale[b] = scale_of(exponents[b])
    for first in range(np.uint64(0), np.uint64(scale.size), SIXTEEN):
        start, inverse = first * BLOCK, reciprocals_of(load(scale, first))
        best, moved = squared_error(x, m, start, inverse, 0), spread(ZERO)
        for shift in SHIFTS:
            error = squared_error(x, m, start, inverse, shift)
            moved = where_above(best, error, spread(np.float32(shift)), moved)
            best = where_above(best, error, error, best)
        store(moved, scale, first)
    for b in range(np.uint64(scale.size)):
        exponent = max(exponents[b] + np.int32(scale[b]), np.int32(0))
        exponents[b] = min(exponent, LARGEST_EXPONENT)


@compiled
def squared_error(x: Floats, m: Floats, start: Index, inverse: Vector, shift: int) -> Vector:
    """The weighted squared error of sixteen blocks, in units of the usual scales.

    Args:
        x: Weights in tiles.
        m: Importances.
        start: Of the tile.
        inverse: Reciprocals of the usual scales.
        shift: What is added to the usual exponents.
    """
    error = spread(ZERO)
    power = np.float32(2) if shift > 0 else HALF if shift < 0 else ONE
    factor, unit = times(inverse, spread(ONE / power)), spread(power)
    for i in range(start, start + BLOCK * SIXTEEN, SIXTEEN):
        size = magnitude(times(load(x, i), factor))
        missing = times(minus(size, nearest_magnitudes(size)), unit)
        error = fused(times(load(m, i), missing), missing, error)
    return error


@compiled
def nearest_magnitudes(x: Vector) -> Vector:
    """The values nearest to numbers that are not negative; of two the smaller."""
    found = spread(VALUES[0])
    found = where_above(x, spread(MIDPOINTS[0]), spread(VALUES[1]), found)
    found = where_above(x, spread(MIDPOINTS[1]), spread(VALUES[2]), found)
    found = where_above(x, spread(MIDPOINTS[2]), spread(VALUES[3]), found)
    found = where_above(x, spread(MIDPOINTS[3]), spread(VALUES[4]), found)
    found = where_above(x, spread(MIDPOINTS[4]), spread(VALUES[5]), found)
    found = where_above(x, spread(MIDPOINTS[5]), spread(VALUES[6]), found)
    return where_above(x, spread(MIDPOINTS[6]), spread(VALUES[7]), found)


@compiled
def choose_codes(row: Bits, exponents: Exponents, codes: Bytes) -> None:
    """Codes of the nearest values; the smallest scales have no reciprocal, so bounds are scaled."""
    nothing, one, sign = spread(ZERO), spread(ONE), spread(NEGATIVE)
    for b in range(np.uint64(exponents.size)):
        scale = scale_of(exponents[b])
        first, second = spread(MIDPOINTS[0] * scale), spread(MIDPOINTS[1] * scale)
        third, fourth = spread(MIDPOINTS[2] * scale), spread(MIDPOINTS[3] * scale)
        fifth, sixth = spread(MIDPOINTS[4] * scale), spread(MIDPOINTS[5] * scale)
        seventh = spread(MIDPOINTS[6] * scale)
        for i in range(b * BLOCK, (b + np.uint64(1)) * BLOCK, SIXTEEN):
            weights = load(row, i)
            size = magnitude(weights)
            code = where_above(size, first, one, nothing)
            code = plus(code, where_above(size, second, one, nothing))
            code = plus(code, where_above(size, third, one, nothing))
            code = plus(code, where_above(size, fourth, one, nothing))
            code = plus(code, where_above(size, fifth, one, nothing))
            code = plus(code, where_above(size, sixth, one, nothing))
            code = plus(code, where_above(size, seventh, one, nothing))
            below = where_above(
                nothing, weights, where_above(code, nothing, sign, nothing), nothing
            )
            store_bytes(plus(code, below), codes, i)
