"""Reference of `passes.encodings.kernels.fitting`: what scales fit weights of unlike importance.

Arrays are ``[weights of a block, blocks]``. Sums over a block are float32, taken weight by weight,
each product added with one rounding only; that decides the last bits. Weights are multiples of the
usual scale, and so are the scales that are found; where no scale is better than zeros, 1 is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Exact = NDArray[np.float64]
"""Products of two float32, which float64 holds exactly."""
Choose = Callable[[Exact], NDArray[np.floating]]
"""The nearest values of a codebook."""

BOTH_SIGNS = (1.0, 1.2, -0.9, -1.1)
ONE_SIGN = (1.0, 1.15, 1.3)
NEIGHBOURS = (0.94, 1.06)
NF4_FACTORS = (1.0, 1.15, -0.95, -1.1)
RANGE_FACTORS = (1.0, 1.12, 1.25)
RANGE_ROUNDS = 2
LEAST_VARIANCE = np.float32(0.01)
LARGEST_HALF = np.float32(65504)


def importance_of(importance: Floats, width: int, rows: int) -> Floats:
    """The importances of columns, laid out for the blocks of ``rows`` rows."""
    return side_by_side(np.tile(importance, rows), width)


def side_by_side(values: NDArray[np.floating], width: int) -> Floats:
    """Rows of blocks as ``[width, blocks]``."""
    return np.ascontiguousarray(values.astype(np.float32).reshape(-1, width).T)


class Fit:
    """The best scale of each block so far.

    Args:
        x: Weights.
        m: Importances.
    """

    def __init__(self, x: Floats, m: Floats) -> None:
        self.x, self.m = x, m
        self.gain = np.zeros(x.shape[1], np.float32)
        self.scale = np.ones(x.shape[1], np.float32)

    def offer(self, factor: Floats | np.float32, choose: Choose) -> NDArray[np.bool_]:
        """Take the scale that suits the values chosen for ``x * factor``, where it is better."""
        values = choose(self.x * np.float64(factor)).astype(np.float32)
        product = self.m * values
        a, b = sum_of_products(self.x, product), sum_of_products(values, product)
        with np.errstate(all="ignore"):
            ratio = a / b
            found = a * ratio
        better: NDArray[np.bool_] = found > self.gain
        self.gain[better], self.scale[better] = found[better], ratio[better]
        return better

    def search(self, factors: tuple[float, ...], choose: Choose) -> Floats:
        """The scales after each factor and one round more from the best of them."""
        for factor in factors:
            self.offer(np.float32(factor), choose)
        self.offer(np.float32(1) / self.scale, choose)
        return self.scale


def signed_scales(x: Floats, m: Floats) -> Floats:
    """Scales, of either sign, for codes -8 to 7."""
    return Fit(x, m).search(BOTH_SIGNS, lambda scaled: np.clip(np.rint(scaled), -8, 7))


def codebook_scales(x: Floats, m: Floats, choose: Choose) -> Floats:
    """Scales, of either sign, for the values of NF4."""
    return Fit(x, m).search(NF4_FACTORS, choose)


def zeroed_scales(x: Floats, m: Floats, zero: Floats) -> tuple[Floats, Floats]:
    """Scales, and zero points, for codes 0 to 15 minus a zero point, which may move by one."""

    def nearest(zero: Floats) -> Choose:
        return lambda scaled: np.clip(np.rint(scaled), -zero, np.float32(15) - zero)

    fit, best = Fit(x, m), zero.copy()
    for factor in ONE_SIGN:
        fit.offer(np.float32(factor), nearest(zero))
    for shift in (-1, 1):
        moved = np.clip(zero + np.float32(shift), 0, 15)
        better = fit.offer(np.float32(1) / fit.scale, nearest(moved))
        best[better] = moved[better]
    for each in NEIGHBOURS:
        fit.offer(np.float32(each) / fit.scale, nearest(best))
    return fit.scale, best


def range_scales(x: Floats, m: Floats) -> tuple[Floats, Floats]:
    """Scales and origins for ``x = scale * code + origin`` with codes 0 to 15."""
    weight = sum_of_products(np.ones_like(m), m)
    with np.errstate(all="ignore"):
        mean = sum_of_products(x, m) / weight
    scale, origin = np.ones(x.shape[1], np.float32), np.zeros(x.shape[1], np.float32)
    gain = np.zeros(x.shape[1], np.float32)

    def offer(factor: Floats | np.float32, start: Floats | np.float32) -> None:
        scaled = (x - start) * np.float64(factor)
        codes = np.clip(np.rint(scaled), 0, 15).astype(np.float32)
        product = m * codes
        first, second = sum_of_products(np.ones_like(m), product), sum_of_products(codes, product)
        mixed = sum_of_products(x, product)
        with np.errstate(all="ignore"):
            average = first / weight
            variance, covariance = second - first * average, mixed - first * mean
            ratio = covariance / variance
            found, moved = covariance * ratio, mean - ratio * average
        better = (variance > LEAST_VARIANCE * weight) & (covariance > 0) & (found > gain)
        gain[better], scale[better], origin[better] = found[better], ratio[better], moved[better]

    for each in RANGE_FACTORS:
        factor, middle = np.float32(each), np.float32(7.5)
        offer(factor, middle - middle / factor)
    for _ in range(RANGE_ROUNDS):
        offer(np.float32(1) / scale, origin.copy())
    return scale, origin


def rescaled(usual: Floats, factor: Floats) -> Floats:
    """Products, or the usual scales where float16 could not hold these."""
    scaled = usual * factor
    return np.where(np.abs(scaled) <= LARGEST_HALF, scaled, usual)


def sum_of_products(first: Floats, second: Floats) -> Floats:
    """Sums over the first axis, row after row, by fused multiplications and additions."""
    total = np.zeros(first.shape[1], np.float32)
    for row, other in zip(first, second, strict=True):
        total = fused(row, other, total)
    return total


def fused(first: Floats, second: Floats, third: Floats) -> Floats:
    """``first * second + third``, rounded once.

    The product is exact in float64. The sum is rounded there to an odd last bit unless it is
    exact, so that rounding it again, to float32, gives what rounding once would (Boldo and
    Melquiond, Emulation of FMA and correctly rounded sums, 2008).
    """
    product = first.astype(np.float64) * second
    total = product + third
    part = total - product
    error = (product - (total - part)) + (third - part)
    bits = total.view(np.int64)
    outward = np.where((error > 0) == (total > 0), 1, -1)
    odd = np.where((error != 0) & (bits % 2 == 0), bits + outward, bits)
    whole: Floats = odd.view(np.float64).astype(np.float32)
    return whole
