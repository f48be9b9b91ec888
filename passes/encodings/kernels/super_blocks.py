"""Scales and minima of ggml's super-blocks, chosen by importances; sixteen super-blocks at a time.

A super-block's blocks are stored as ``w = scale * code - minimum``, where scale and minimum are
small codes themselves, times one float16 each for the whole super-block. First every block is
fitted by itself, by least squares; that sets the two float16. Then the codes of its scale and
minimum walk from one pair to a better one beside it: the error of each pair that is tried is
that of the weights rounded anew.

Sixteen super-blocks lie side by side in tiles ``[256, 16]``: what is one number of a block is one
vector here.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, float_of, from_half, half_above
from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import Bits, Floats, Index, compiled
from passes.encodings.kernels.fitting import reciprocals_of
from passes.encodings.kernels.vectors import (
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
    times,
    where_above,
)

SIXTEEN = np.uint64(16)
LARGEST_HALF, LARGEST_HALF_BITS = np.float32(65504), np.uint32(0x7BFF)
LEAST_VARIANCE = np.float32(0.01)


@compiled
def fit_blocks(
    x: Floats,
    m: Floats,
    width: Index,
    levels: np.float32,
    factors: Floats,
    bound: np.float32,
    s: Floats,
    t: Floats,
) -> None:
    """Scale and minimum of each block by itself, by least squares.

    Args:
        x: Weights, in tiles.
        m: Importances, in tiles.
        width: Weights of a block.
        levels: The largest code.
        factors: Tried as multiples of the usual reciprocal scale; then the best is refined.
        bound: What is subtracted is not below it: 0, or any large negative number for any.
        s: The scales at which codes span each block; changed where another is better.
        t: What is subtracted from its multiples, likewise.
    """
    middle = spread(levels * np.float32(0.5))
    for first in range(np.uint64(0), np.uint64(s.size), SIXTEEN):
        start = first * width
        usual, lowest = load(s, first), load(t, first)
        weight, total = spread(ZERO), spread(ZERO)
        for i in range(start, start + width * SIXTEEN, SIXTEEN):
            weight, total = plus(weight, load(m, i)), fused(load(x, i), load(m, i), total)
        gain, scale, minimum = spread(ZERO), usual, lowest
        center = minus(times(usual, middle), lowest)
        for k in range(factors.size + 1):
            tried, moved = scale, minimum
            if k < factors.size:
                tried = over(usual, spread(factors[k]))
                moved = greatest(minus(times(tried, middle), center), spread(bound))
            sums = sum_codes(x, m, start, width, tried, moved, levels)
            gain, scale, minimum = better_line(sums, weight, total, bound, gain, scale, minimum)
        store(scale, s, first)
        store(minimum, t, first)


@compiled
def sum_codes(
    x: Floats, m: Floats, start: Index, width: Index, s: Vector, t: Vector, levels: np.float32
) -> tuple[Vector, Vector, Vector]:
    """Sums of m * code, m * code**2 and m * x * code for the codes nearest to ``(x + t) / s``."""
    rounding, low, high = spread(ROUND), spread(ZERO), spread(levels)
    inverse, first, second, mixed = reciprocals_of(s), low, low, low
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        weights = load(x, i)
        codes = minus(fused(plus(weights, t), inverse, rounding), rounding)
        codes = least(greatest(codes, low), high)
        product = times(load(m, i), codes)
        first, second = plus(first, product), fused(codes, product, second)
        mixed = fused(weights, product, mixed)
    return first, second, mixed


@compiled
def better_line(
    sums: tuple[Vector, Vector, Vector],
    weight: Vector,
    total: Vector,
    bound: np.float32,
    gain: Vector,
    scale: Vector,
    minimum: Vector,
) -> tuple[Vector, Vector, Vector]:
    """Least squares for given codes, where the error falls by more than ``gain``.

    With means weighted by m the scale is cov / var, and the error is cov**2 / var below the
    variance of x. Where the minimum would be beyond the bound it is 0, and the scale
    sum(m * x * code) / sum(m * code**2).
    """
    first, second, mixed = sums
    average, mean = over(first, weight), over(total, weight)
    nothing, beyond = spread(ZERO), spread(bound)
    variance = minus(second, times(first, average))
    covariance = minus(mixed, times(first, mean))
    ratio = over(covariance, variance)
    below = minus(times(ratio, average), mean)
    found = times(covariance, ratio)
    alone = over(mixed, second)
    found = where_above(beyond, below, minus(times(mixed, alone), times(total, mean)), found)
    ratio = where_above(beyond, below, alone, ratio)
    below = where_above(beyond, below, nothing, below)
    found = where_above(ratio, nothing, found, nothing)
    found = where_above(variance, times(spread(LEAST_VARIANCE), weight), found, nothing)
    scale = where_above(found, gain, ratio, scale)
    minimum = where_above(found, gain, below, minimum)
    return where_above(found, gain, found, gain), scale, minimum


@compiled
def units(values: Floats, most: np.float32, unit: Floats, halves: Bits) -> bool:
    """The float16, rounded up, that the largest value of each super-block is ``most`` times.

    Args:
        values: ``[blocks, 16]``, none negative.
        unit: Set, ``[16]``.
        halves: Set to the bits of the same float16.

    Returns:
        Whether none is too large.
    """
    largest = spread(ZERO)
    for first in range(np.uint64(0), np.uint64(values.size), SIXTEEN):
        largest = greatest(load(values, first), largest)
    store(over(largest, spread(most)), unit, np.uint64(0))
    fits = True
    for lane in range(SIXTEEN):
        half = half_above(unit[lane])
        fits = fits and half <= LARGEST_HALF_BITS
        halves[lane], unit[lane] = half, float_of(from_half(half))
    return fits


@compiled
def nearest_code(value: Vector, inverse: Vector, most: np.float32) -> Vector:
    """``value * inverse`` to the nearest integer from 0 to ``most``."""
    rounding = spread(ROUND)
    code = minus(fused(value, inverse, rounding), rounding)
    return least(greatest(code, spread(ZERO)), spread(most))


@compiled
def walk(
    x: Floats,
    m: Floats,
    width: Index,
    levels: np.float32,
    most: np.float32,
    moves: Floats,
    unit: tuple[Floats, Floats],
    s: Floats,
    t: Floats,
) -> None:
    """Codes of each block's scale and minimum.

    Args:
        x: As for `fit_blocks`; ``m``, ``width`` and ``levels``, too.
        most: The largest code of a scale or minimum.
        moves: ``[n, 2]``: steps of the two codes that are tried, one after the other, each from
            the best so far. With the scale goes the minimum that leaves the middle code's weight
            where it is.
        unit: What the codes of scales, and those of minima, are multiples of, ``[16]``.
        s: Scales; set to their codes.
        t: What is subtracted; set to its codes.
    """
    zero = np.uint64(0)
    d, dm = load(unit[0], zero), load(unit[1], zero)
    inverse_d, inverse_dm = reciprocals_of(d), reciprocals_of(dm)
    slope = times(times(d, spread(levels * np.float32(0.5))), inverse_dm)
    for first in range(zero, np.uint64(s.size), SIXTEEN):
        start = first * width
        c = nearest_code(load(s, first), inverse_d, most)
        k = nearest_code(load(t, first), inverse_dm, most)
        error = error_of(x, m, start, width, times(c, d), times(k, dm), levels)
        for n in range(moves.shape[0]):
            step = spread(moves[n, 0])
            moved = greatest(least(plus(c, step), spread(most)), spread(ZERO))
            other = plus(k, fused(step, slope, spread(moves[n, 1])))
            other = nearest_code(other, spread(np.float32(1)), most)
            found = error_of(x, m, start, width, times(moved, d), times(other, dm), levels)
            c, k = where_above(error, found, moved, c), where_above(error, found, other, k)
            error = where_above(error, found, found, error)
        store(c, s, first)
        store(k, t, first)


@compiled
def error_of(
    x: Floats, m: Floats, start: Index, width: Index, s: Vector, t: Vector, levels: np.float32
) -> Vector:
    """The weighted squared error of each block of a tile."""
    rounding, low, high = spread(ROUND), spread(ZERO), spread(levels)
    inverse, negative, error = reciprocals_of(s), minus(low, s), low
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        raised = plus(load(x, i), t)
        codes = minus(fused(raised, inverse, rounding), rounding)
        codes = least(greatest(codes, low), high)
        rest = fused(codes, negative, raised)
        error = fused(times(load(m, i), rest), rest, error)
    return error
