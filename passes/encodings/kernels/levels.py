"""Scales for weights that are rounded to integers of both signs or to the codebook of IQ4_NL.

As in `passes.encodings.kernels.fitting`, sixteen groups of weights lie side by side, and of the
scales that are tried the one wins whose A**2 / B is largest.

What a group is rounded to is told by how many levels there are: 2n stands for the integers from -n
to n - 1, `CODEBOOK` for the values of IQ4_NL.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ONE, ZERO, bits_of, float_of, from_half, to_half
from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import Bits, Bytes, Floats, Halves, Index, compiled
from passes.encodings.kernels.fitting import magnitude, reciprocals_of
from passes.encodings.kernels.iq4_values import near_values, nearest_codes
from passes.encodings.kernels.tiles import SIXTEEN, normalize
from passes.encodings.kernels.vectors import (
    LANES,
    Vector,
    fused,
    greatest,
    least,
    load,
    minus,
    over,
    plus,
    spread,
    store,
    store_bytes,
    times,
    where_above,
)

CODEBOOK = 16
LARGEST_HALF = np.float32(65504)
LOWEST_VALUE = np.float32(-127)


@compiled
def lowest_level(levels: int) -> np.float32:
    """The level of largest magnitude, which is negative."""
    return LOWEST_VALUE if levels == CODEBOOK else np.float32(-(levels // 2))


@compiled
def farthest_weights(x: Floats, start: Index, width: Index) -> Vector:
    """Of each of sixteen groups the weight of largest magnitude; of two the positive one.

    Args:
        x: Weights in tiles ``[width, 16]``.
        start: Of the tile.
        width: Weights of a group.
    """
    high = low = spread(ZERO)
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        weights = load(x, i)
        high, low = greatest(weights, high), least(weights, low)
    return where_above(minus(spread(ZERO), low), high, low, high)


@compiled
def are_finite(x: Floats) -> bool:
    """Whether all of the numbers are, whose count is a multiple of sixteen."""
    nothing = found = spread(ZERO)
    for i in range(np.uint64(0), np.uint64(x.size), SIXTEEN):
        # What is not finite makes NaN of zero.
        found = fused(load(x, i), nothing, found)
    zeros = np.empty(LANES, np.float32)
    store(found, zeros, np.uint64(0))
    return bool((zeros == ZERO).all())


@compiled
def fit_levels(
    x: Floats,
    m: Floats,
    start: Index,
    width: Index,
    levels: int,
    usual: Vector,
    factors: Floats,
    neighbours: Floats,
) -> tuple[Vector, Vector]:
    """Scales of sixteen groups as multiples of the usual ones; what B is with them.

    Args:
        x: Weights in tiles; those from ``start`` on are divided by ``usual``.
        m: Importances, likewise.
        start: Of the tile.
        width: Weights of a group.
        levels: What the weights are rounded to.
        usual: Scales at which the farthest weight is the lowest level.
        factors: Tried as multiples of the usual reciprocal.
        neighbours: Then tried, one after the other, as multiples of the best reciprocal so far.
    """
    gain = weight = spread(ZERO)
    scale = spread(ONE)
    normalize(x, start, width, gain, reciprocals_of(usual))
    for k in range(factors.size + neighbours.size):
        if k < factors.size:
            factor = spread(factors[k])
        else:
            factor = over(spread(neighbours[k - factors.size]), scale)
        a, b = sum_levels(x, m, start, width, levels, factor)
        ratio = over(a, b)
        found = times(a, ratio)
        scale = where_above(found, gain, ratio, scale)
        weight = where_above(found, gain, b, weight)
        gain = where_above(found, gain, found, gain)
    return scale, weight


@compiled
def sum_levels(
    x: Floats, m: Floats, start: Index, width: Index, levels: int, factor: Vector
) -> tuple[Vector, Vector]:
    """A and B of the levels nearest to ``x * factor``, or nearly so: others as for `fit_levels`."""
    a, b = spread(ZERO), spread(ZERO)
    if levels == CODEBOOK:
        for i in range(start, start + width * SIXTEEN, SIXTEEN):
            weights = load(x, i)
            values = near_values(times(weights, factor))
            product = times(load(m, i), values)
            a, b = fused(weights, product, a), fused(values, product, b)
        return a, b
    low = spread(lowest_level(levels))
    high, rounding = spread(-lowest_level(levels) - ONE), spread(ROUND)
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        weights = load(x, i)
        values = minus(fused(weights, factor, rounding), rounding)
        values = least(greatest(values, low), high)
        product = times(load(m, i), values)
        a, b = fused(weights, product, a), fused(values, product, b)
    return a, b


@compiled
def nearest_integers(values: Vector, levels: int) -> Vector:
    """The integers of so many levels that are nearest to numbers; of two the even one."""
    rounding, lowest = spread(ROUND), lowest_level(levels)
    whole = minus(plus(values, rounding), rounding)
    return least(greatest(whole, spread(lowest)), spread(-lowest - ONE))


@compiled
def choose_levels(row: Bits, width: Index, levels: int, inverse: Floats, codes: Bytes) -> None:
    """Codes of the levels nearest to ``w * inverse``, from 0 on.

    Args:
        row: Weights, group by group.
        width: Weights of a group, a multiple of sixteen.
        levels: What they are rounded to.
        inverse: Of each group.
        codes: Set, as many as weights.
    """
    up = spread(-lowest_level(levels))
    for g in range(np.uint64(inverse.size)):
        start, factor = g * width, spread(inverse[g])
        if levels == CODEBOOK:
            for i in range(start, start + width, SIXTEEN):
                store_bytes(nearest_codes(times(load(row, i), factor)), codes, i)
        else:
            for i in range(start, start + width, SIXTEEN):
                whole = nearest_integers(times(load(row, i), factor), levels)
                store_bytes(plus(whole, up), codes, i)


@compiled
def within_halves(scale: Vector) -> Vector:
    """Numbers, those too large for float16 as the largest that are not."""
    kept = least(magnitude(scale), spread(LARGEST_HALF))
    return where_above(spread(ZERO), scale, minus(spread(ZERO), kept), kept)


@compiled
def nearest_halves(values: Floats, halves: Halves) -> None:
    """Round each value, in place too, to the nearest float16."""
    for i in range(np.uint64(values.size)):
        half = to_half(bits_of(values[i]))
        halves[i], values[i] = np.uint16(half), float_of(from_half(half))
