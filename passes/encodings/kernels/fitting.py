"""Scales that fit blocks of weights best, where some weights count for more than others.

Let weights x with importances m be stored as scale * v. For given v the error
sum(m * (x - scale * v)**2) is least at scale = A / B with A = sum(m * x * v), B = sum(m * v**2),
and is then A**2 / B below that of zeros. So v is chosen for each of a few scales; of these choices
the one with the largest A**2 / B wins, and its A / B is the scale. All this with weights as
multiples of the scale that the format would have without importances.

Sixteen blocks are fitted at a time. They lie side by side in tiles ``[width, 16]``, so that the
numbers of all of them, sums too, are vectors.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ONE, ZERO
from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import Floats, Index, compiled
from passes.encodings.kernels.nf4_values import nearest_values
from passes.encodings.kernels.tiles import SIXTEEN, normalize
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

BOTH_SIGNS = (1.0, 1.2, -0.9, -1.1)
"""Tried as multiples of the usual reciprocal where one code more is negative than positive."""

ONE_SIGN = (1.0, 1.15, 1.3)
NEIGHBOURS = (0.94, 1.06)
"""Tried as multiples of the best reciprocal so far. On SmolLM2-135M the error falls by 1.3 % more
than by trying that reciprocal itself."""

NF4_FACTORS = (1.0, 1.15, -0.95, -1.1)
"""NF4's codebook is lopsided, too."""

RANGE_FACTORS = (1.0, 1.12, 1.25)
MIDDLE, LEAST_VARIANCE = np.float32(7.5), np.float32(0.01)
"""Of the codes 0 to 15."""

LARGEST_CODE, LARGEST_HALF = np.float32(15), np.float32(65504)


@compiled
def fit_signed(x: Floats, m: Floats, width: Index, scales: Floats) -> None:
    """Scales, of either sign, for codes -8 to 7.

    Args:
        x: Weights in tiles; normalized.
        m: Importances, likewise.
        width: Weights of a block.
        scales: Of each block, that without importances; changed where another is better.
    """
    low, high = spread(np.float32(-8)), spread(np.float32(7))
    for first in range(np.uint64(0), np.uint64(scales.size), SIXTEEN):
        start, gain, scale = first * width, spread(ZERO), spread(ONE)
        usual = load(scales, first)
        normalize(x, start, width, gain, reciprocals_of(usual))
        for each in BOTH_SIGNS:
            a, b = sum_integers(x, m, start, width, spread(np.float32(each)), low, high)
            gain, scale = better(a, b, gain, scale)
        a, b = sum_integers(x, m, start, width, over(spread(ONE), scale), low, high)
        gain, scale = better(a, b, gain, scale)
        store(rescaled(usual, scale), scales, first)


@compiled
def fit_zeroed(x: Floats, m: Floats, width: Index, scales: Floats, zeros: Floats) -> None:
    """Scales for codes 0 to 15 minus a zero point, and zero points beside the given ones.

    Args:
        x: Weights; others as for `fit_signed`.
        zeros: Integers 0 to 15; changed by one at most.
    """
    nothing, most = spread(ZERO), spread(LARGEST_CODE)
    for first in range(np.uint64(0), np.uint64(scales.size), SIXTEEN):
        start, gain, scale = first * width, nothing, spread(ONE)
        usual = load(scales, first)
        normalize(x, start, width, nothing, reciprocals_of(usual))
        given = zero = load(zeros, first)
        for each in ONE_SIGN:
            factor = spread(np.float32(each))
            a, b = sum_codes(x, m, start, width, factor, given)
            gain, scale = better(a, b, gain, scale)
        for shift in (-1.0, 1.0):
            moved = plus(given, spread(np.float32(shift)))
            moved, before = least(greatest(moved, nothing), most), gain
            a, b = sum_codes(x, m, start, width, over(spread(ONE), scale), moved)
            gain, scale = better(a, b, gain, scale)
            zero = where_above(gain, before, moved, zero)
        for each in NEIGHBOURS:
            factor = over(spread(np.float32(each)), scale)
            a, b = sum_codes(x, m, start, width, factor, zero)
            gain, scale = better(a, b, gain, scale)
        store(rescaled(usual, scale), scales, first)
        store(zero, zeros, first)


@compiled
def fit_nf4(x: Floats, m: Floats, width: Index, scales: Floats) -> None:
    """Scales, of either sign, for the codebook of NF4: arguments as for `fit_signed`."""
    for first in range(np.uint64(0), np.uint64(scales.size), SIXTEEN):
        start, gain, scale = first * width, spread(ZERO), spread(ONE)
        usual = load(scales, first)
        normalize(x, start, width, gain, reciprocals_of(usual))
        for each in NF4_FACTORS:
            a, b = sum_nf4(x, m, start, width, spread(np.float32(each)))
            gain, scale = better(a, b, gain, scale)
        a, b = sum_nf4(x, m, start, width, over(spread(ONE), scale))
        gain, scale = better(a, b, gain, scale)
        store(rescaled(usual, scale), scales, first)


@compiled
def sum_integers(
    x: Floats, m: Floats, start: Index, width: Index, factor: Vector, low: Vector, high: Vector
) -> tuple[Vector, Vector]:
    """A and B of the integers nearest to ``x * factor`` within bounds; of two the even one.

    Args:
        start: Of the tile, in ``x`` and in ``m``.
    """
    rounding, a, b = spread(ROUND), spread(ZERO), spread(ZERO)
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        weights = load(x, i)
        values = minus(fused(weights, factor, rounding), rounding)
        values = least(greatest(values, low), high)
        product = times(load(m, i), values)
        a, b = fused(weights, product, a), fused(values, product, b)
    return a, b


@compiled
def sum_codes(
    x: Floats, m: Floats, start: Index, width: Index, factor: Vector, zero: Vector
) -> tuple[Vector, Vector]:
    """`sum_integers` for the codes 0 to 15 minus a zero point."""
    low, high = minus(spread(ZERO), zero), minus(spread(LARGEST_CODE), zero)
    return sum_integers(x, m, start, width, factor, low, high)


@compiled
def sum_nf4(
    x: Floats, m: Floats, start: Index, width: Index, factor: Vector
) -> tuple[Vector, Vector]:
    """A and B of the values of the codebook nearest to ``x * factor``, as `sum_integers`."""
    a, b = spread(ZERO), spread(ZERO)
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        weights = load(x, i)
        values = nearest_values(times(weights, factor))
        product = times(load(m, i), values)
        a, b = fused(weights, product, a), fused(values, product, b)
    return a, b


@compiled
def better(a: Vector, b: Vector, gain: Vector, scale: Vector) -> tuple[Vector, Vector]:
    """A**2 / B and A / B where that gain is above ``gain``; no scale is 0."""
    ratio = over(a, b)
    found = times(a, ratio)
    return where_above(found, gain, found, gain), where_above(found, gain, ratio, scale)


@compiled
def reciprocals_of(scale: Vector) -> Vector:
    """1 / scale, or 0 where that is not finite."""
    inverse = over(spread(ONE), scale)
    return where_above(spread(ONE), minus(inverse, inverse), inverse, spread(ZERO))


@compiled
def magnitude(values: Vector) -> Vector:
    """Absolute values."""
    return greatest(values, minus(spread(ZERO), values))


@compiled
def rescaled(usual: Vector, factor: Vector) -> Vector:
    """Products, or the usual scales where float16 could not hold these."""
    scaled = times(usual, factor)
    return where_above(magnitude(scaled), spread(LARGEST_HALF), usual, scaled)


@compiled
def fit_ranges(x: Floats, m: Floats, width: Index, scales: Floats, minima: Floats) -> None:
    """Scales and minima for weights ``scale * code + minimum`` with codes 0 to 15.

    Least squares of both: with means weighted by m, scale = cov(x, code) / var(code), and the
    error falls short of the variance of x by cov**2 / var.

    Args:
        x: Weights; others as for `fit_signed`.
        minima: Likewise.
    """
    for first in range(np.uint64(0), np.uint64(scales.size), SIXTEEN):
        start, weight, mean = first * width, spread(ZERO), spread(ZERO)
        usual, least_weight = load(scales, first), load(minima, first)
        normalize(x, start, width, least_weight, reciprocals_of(usual))
        for i in range(start, start + width * SIXTEEN, SIXTEEN):
            weight = plus(weight, load(m, i))
            mean = fused(load(x, i), load(m, i), mean)
        mean = over(mean, weight)
        gain, scale, origin = spread(ZERO), spread(ONE), spread(ZERO)
        for each in RANGE_FACTORS:
            factor = spread(np.float32(each))
            moved = spread(MIDDLE - MIDDLE / np.float32(each))
            sums = sum_ranges(x, m, start, width, factor, moved)
            gain, scale, origin = better_range(sums, weight, mean, gain, scale, origin)
        for _ in range(2):
            sums = sum_ranges(x, m, start, width, over(spread(ONE), scale), origin)
            gain, scale, origin = better_range(sums, weight, mean, gain, scale, origin)
        moved = plus(least_weight, times(usual, origin))
        scale = where_above(magnitude(moved), spread(LARGEST_HALF), spread(ONE), scale)
        moved = where_above(magnitude(moved), spread(LARGEST_HALF), least_weight, moved)
        store(rescaled(usual, scale), scales, first)
        store(moved, minima, first)


@compiled
def sum_ranges(
    x: Floats, m: Floats, start: Index, width: Index, factor: Vector, origin: Vector
) -> tuple[Vector, Vector, Vector]:
    """Sums of m * code, m * code**2 and m * x * code for the codes nearest to
    ``(x - origin) * factor``: arguments as for `sum_integers`.
    """
    rounding, low, high = spread(ROUND), spread(ZERO), spread(LARGEST_CODE)
    first = second = mixed = low
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        weights = load(x, i)
        codes = minus(fused(minus(weights, origin), factor, rounding), rounding)
        codes = least(greatest(codes, low), high)
        product = times(load(m, i), codes)
        first, second = plus(first, product), fused(codes, product, second)
        mixed = fused(weights, product, mixed)
    return first, second, mixed


@compiled
def better_range(
    sums: tuple[Vector, Vector, Vector],
    weight: Vector,
    mean: Vector,
    gain: Vector,
    scale: Vector,
    origin: Vector,
) -> tuple[Vector, Vector, Vector]:
    """cov**2 / var, scale and origin where that gain is above ``gain``.

    Codes that hardly vary are left alone: their variance is mostly rounding.
    """
    first, second, mixed = sums
    average, nothing = over(first, weight), spread(ZERO)
    variance = minus(second, times(first, average))
    covariance = minus(mixed, times(first, mean))
    ratio = over(covariance, variance)
    found = where_above(covariance, nothing, times(covariance, ratio), nothing)
    found = where_above(variance, times(spread(LEAST_VARIANCE), weight), found, nothing)
    moved = minus(mean, times(ratio, average))
    scale = where_above(found, gain, ratio, scale)
    origin = where_above(found, gain, moved, origin)
    return where_above(found, gain, found, gain), scale, origin
