"""Scales that fit blocks of weights best, where some weights count for more than others.

Blocks lie side by side in tiles ``[weights of a block, blocks]``, so that sums over a block become
sums of rows: vector instructions that add in the order of a plain loop over the block.

Let weights x with importances m be stored as scale * v. For given v the error
sum(m * (x - scale * v)**2) is least at scale = A / B with A = sum(m * x * v), B = sum(m * v**2),
and is then A**2 / B below that of zeros. So v is chosen for each of a few scales; of these choices
the one with the largest A**2 / B wins, and its A / B is the scale. Weights are given as multiples
of the scale that the format would have without importances; so are the scales that are found.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ONE, ZERO
from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import Floats, compiled
from passes.encodings.kernels.nf4_values import nearest_value
from passes.encodings.kernels.tiles import Tile

BOTH_SIGNS = (1.0, 1.2, -0.9, -1.1)
"""Tried as multiples of the usual reciprocal where one code more is negative than positive."""

ONE_SIGN = (1.0, 1.15, 1.3)
NF4_FACTORS = (1.0, 1.15, -0.95, -1.1)
"""NF4's codebook is lopsided, too."""

RANGE_FACTORS = (1.0, 1.12, 1.25)
MIDDLE, LEAST_VARIANCE = np.float32(7.5), np.float32(0.01)
"""Of the codes 0 to 15."""


@compiled
def fit_signed(x: Tile, m: Tile, mx: Tile, gain: Floats, scale: Floats) -> None:
    """Scales, of either sign, for codes -8 to 7.

    Args:
        x: Weights.
        m: Importances.
        mx: Products of both.
        gain: Set to A**2 / B, 0 where no scale is better than zeros.
        scale: Set to the scale, 1 where no scale is better than zeros.
    """
    factor, a, b = np.empty_like(gain), np.empty_like(gain), np.empty_like(gain)
    low, high = np.full_like(gain, np.float32(-8)), np.full_like(gain, np.float32(7))
    gain[:], scale[:] = ZERO, ONE
    for each in BOTH_SIGNS:
        factor[:] = np.float32(each)
        sum_integers(x, m, mx, factor, low, high, a, b)
        keep_better(a, b, gain, scale)
    invert(scale, factor)
    sum_integers(x, m, mx, factor, low, high, a, b)
    keep_better(a, b, gain, scale)


@compiled
def fit_zeroed(x: Tile, m: Tile, mx: Tile, gain: Floats, scale: Floats, zero: Floats) -> None:
    """Scales for codes 0 to 15 minus a zero point, and zero points beside the given ones.

    Args:
        x: Weights; others as for `fit_signed`.
        zero: Integers 0 to 15; changed by one at most.
    """
    factor, a, b = np.empty_like(gain), np.empty_like(gain), np.empty_like(gain)
    low, high = np.empty_like(gain), np.empty_like(gain)
    before, middle = np.empty_like(gain), zero.copy()
    gain[:], scale[:] = ZERO, ONE
    bounds(zero, ZERO, low, high)
    for each in ONE_SIGN:
        factor[:] = np.float32(each)
        sum_integers(x, m, mx, factor, low, high, a, b)
        keep_better(a, b, gain, scale)
    for shift in (-1.0, 1.0):
        before[:] = gain
        invert(scale, factor)
        bounds(middle, np.float32(shift), low, high)
        sum_integers(x, m, mx, factor, low, high, a, b)
        keep_better(a, b, gain, scale)
        for lane in range(np.uint64(zero.size)):
            zero[lane] = -low[lane] if gain[lane] > before[lane] else zero[lane]
    invert(scale, factor)
    bounds(zero, ZERO, low, high)
    sum_integers(x, m, mx, factor, low, high, a, b)
    keep_better(a, b, gain, scale)


@compiled
def fit_nf4(x: Tile, m: Tile, mx: Tile, gain: Floats, scale: Floats) -> None:
    """Scales, of either sign, for the codebook of NF4: arguments as for `fit_signed`."""
    factor, a, b = np.empty_like(gain), np.empty_like(gain), np.empty_like(gain)
    gain[:], scale[:] = ZERO, ONE
    for each in NF4_FACTORS:
        factor[:] = np.float32(each)
        sum_nf4(x, m, mx, factor, a, b)
        keep_better(a, b, gain, scale)
    invert(scale, factor)
    sum_nf4(x, m, mx, factor, a, b)
    keep_better(a, b, gain, scale)


@compiled
def sum_integers(
    x: Tile, m: Tile, mx: Tile, factor: Floats, low: Floats, high: Floats, a: Floats, b: Floats
) -> None:
    """A and B of the integers nearest to ``x * factor`` within bounds; of two the even one."""
    a[:], b[:] = ZERO, ZERO
    for i in range(np.uint64(x.shape[0])):
        for lane in range(np.uint64(a.size)):
            value = (x[i, lane] * factor[lane] + ROUND) - ROUND
            value = min(max(value, low[lane]), high[lane])
            a[lane] += mx[i, lane] * value
            b[lane] += m[i, lane] * (value * value)


@compiled
def sum_nf4(x: Tile, m: Tile, mx: Tile, factor: Floats, a: Floats, b: Floats) -> None:
    """A and B of the values of the codebook nearest to ``x * factor``."""
    a[:], b[:] = ZERO, ZERO
    for i in range(np.uint64(x.shape[0])):
        for lane in range(np.uint64(a.size)):
            value = nearest_value(x[i, lane] * factor[lane])
            a[lane] += mx[i, lane] * value
            b[lane] += m[i, lane] * (value * value)


@compiled
def keep_better(a: Floats, b: Floats, gain: Floats, scale: Floats) -> None:
    """Where A**2 / B is above ``gain``, keep it and the scale."""
    for lane in range(np.uint64(gain.size)):
        ratio = a[lane] / b[lane]
        found = a[lane] * ratio
        better = found > gain[lane]
        gain[lane] = found if better else gain[lane]
        scale[lane] = ratio if better else scale[lane]


@compiled
def invert(scale: Floats, factor: Floats) -> None:
    """Reciprocals; no scale is 0."""
    for lane in range(np.uint64(scale.size)):
        factor[lane] = ONE / scale[lane]


@compiled
def bounds(zero: Floats, shift: np.float32, low: Floats, high: Floats) -> None:
    """The least and the largest code minus the zero point, shifted but kept within 0 to 15."""
    for lane in range(np.uint64(zero.size)):
        moved = min(max(zero[lane] + shift, ZERO), np.float32(15))
        low[lane], high[lane] = -moved, np.float32(15) - moved


@compiled
def fit_ranges(x: Tile, m: Tile, mx: Tile, gain: Floats, scale: Floats, origin: Floats) -> None:
    """Scales and origins for ``x = scale * code + origin`` with codes 0 to 15.

    Least squares of both: with means weighted by m, scale = cov(x, code) / var(code), and the
    error falls short of the variance of x by cov**2 / var.

    Args:
        x: Weights from 0 to 15; others as for `fit_signed`.
        origin: Set to the origin, 0 where no scale is better than one value for all weights.
    """
    factor, start, weight = np.empty_like(gain), np.empty_like(gain), np.empty_like(gain)
    mean, sums = np.empty_like(gain), np.empty((3, gain.size), np.float32)
    weight[:], mean[:] = ZERO, ZERO
    for i in range(np.uint64(x.shape[0])):
        for lane in range(np.uint64(gain.size)):
            weight[lane] += m[i, lane]
            mean[lane] += mx[i, lane]
    mean /= weight
    gain[:], scale[:], origin[:] = ZERO, ONE, ZERO
    for each in RANGE_FACTORS:
        factor[:], start[:] = np.float32(each), MIDDLE - MIDDLE / np.float32(each)
        sum_ranges(x, m, mx, factor, start, sums)
        keep_better_range(sums, weight, mean, gain, scale, origin)
    for _ in range(2):
        invert(scale, factor)
        start[:] = origin
        sum_ranges(x, m, mx, factor, start, sums)
        keep_better_range(sums, weight, mean, gain, scale, origin)


@compiled
def sum_ranges(x: Tile, m: Tile, mx: Tile, factor: Floats, start: Floats, sums: Tile) -> None:
    """Sums of m * code, m * code**2 and m * x * code for the codes nearest to
    ``(x - start) * factor``.
    """
    first, second, mixed = sums[0], sums[1], sums[2]
    sums[:] = ZERO
    for i in range(np.uint64(x.shape[0])):
        for lane in range(np.uint64(factor.size)):
            code = ((x[i, lane] - start[lane]) * factor[lane] + ROUND) - ROUND
            code = min(max(code, ZERO), np.float32(15))
            product = m[i, lane] * code
            first[lane] += product
            second[lane] += product * code
            mixed[lane] += mx[i, lane] * code


@compiled
def keep_better_range(
    sums: Tile, weight: Floats, mean: Floats, gain: Floats, scale: Floats, origin: Floats
) -> None:
    """Where cov**2 / var is above ``gain``, keep it, the scale and the origin.

    Codes that hardly vary are left alone: their variance is mostly rounding.
    """
    for lane in range(np.uint64(gain.size)):
        average = sums[0, lane] / weight[lane]
        variance = sums[1, lane] - sums[0, lane] * average
        covariance = sums[2, lane] - sums[0, lane] * mean[lane]
        ratio = covariance / variance
        found = covariance * ratio
        sound = (variance > LEAST_VARIANCE * weight[lane]) & (covariance > ZERO)
        better = sound & (found > gain[lane])
        gain[lane] = found if better else gain[lane]
        scale[lane] = ratio if better else scale[lane]
        origin[lane] = mean[lane] - ratio * average if better else origin[lane]
