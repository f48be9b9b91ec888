"""Reference of `passes.encodings.kernels.super_blocks`: scales and minima of super-blocks.

Arrays are ``[weights of a block, blocks, super-blocks]`` or, for what a block has one of,
``[blocks, super-blocks]``. As in `passes.encodings.fitting`, sums are float32 and taken weight by
weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passes.encodings.fitting import fused
from passes.encodings.integers import round_up

Floats = NDArray[np.float32]

LARGEST_HALF = np.float32(65504)
LEAST_VARIANCE = np.float32(0.01)

PLAIN_FACTORS: Floats = np.array([1], np.float32)
WEIGHTED_FACTORS: Floats = np.array([1, 1.12], np.float32)

_AROUND = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]
PLAIN_MOVES: Floats = np.array(_AROUND, np.float32)
_AFAR = [(step, shift) for step in (5, -5, 2, -2) for shift in (0, 2, -2)]
WEIGHTED_MOVES: Floats = np.array(_AFAR + _AROUND, np.float32)
"""Steps of the codes of a scale and a minimum: tried one after the other, each from the best pair
so far."""


@dataclass(frozen=True)
class Found:
    """What is stored of the scales of super-blocks.

    Args:
        halves: What the codes are multiples of, of the scales and of the minima,
            ``[2, super-blocks]``.
        scales: Codes.
        minima: Codes.
    """

    halves: NDArray[np.float16]
    scales: Floats
    minima: Floats

    def codes(self, x: Floats, levels: int) -> Floats:
        """Those of the weights."""
        unit = self.halves.astype(np.float32)
        return nearest(x + self.minima * unit[1], reciprocals(self.scales * unit[0]), levels)


def find(x: Floats, m: Floats, levels: int, most: int, factors: Floats, moves: Floats) -> Found:
    """The scales and minima of super-blocks.

    Args:
        x: Weights.
        m: Importances.
        levels: The largest code of a weight.
        most: The largest code of a scale or minimum.
        factors: Tried as multiples of the usual reciprocal scale of a block.
        moves: See `WEIGHTED_MOVES`.

    Returns:
        With halves that are not finite where weights are too large.
    """
    t = np.float32(0) - np.minimum(x.min(0), np.float32(0))
    s = (np.maximum(x.max(0), np.float32(0)) + t) / np.float32(levels)
    usual = units(s, t, most)
    fitted = fit_blocks(x, m, levels, factors, 0, s, t)
    s, t = (np.minimum(each, LARGEST_HALF * np.float32(most)) for each in fitted)
    halves = np.where(np.isfinite(usual), units(s, t, most), usual)
    scales, minima = walk(x, m, levels, most, moves, halves.astype(np.float32), s, t)
    return Found(halves, scales, minima)


def units(s: Floats, t: Floats, most: int) -> NDArray[np.float16]:
    """The float16, rounded up, that the largest of each super-block are ``most`` times."""
    return np.stack([round_up(each.max(0) / np.float32(most)) for each in (s, t)])


def fit_blocks(
    x: Floats, m: Floats, levels: int, factors: Floats, lowest: float, s: Floats, t: Floats
) -> tuple[Floats, Floats]:
    """Scale and minimum of each block by itself, by least squares."""
    middle, usual, bound = np.float32(levels * 0.5), s, np.float32(lowest)
    weight, total = _sum(np.ones_like(m), m), _sum(x, m)
    gain, center = np.zeros_like(s), s * middle - t
    for factor in (*factors, None):
        tried, moved = s, t
        if factor is not None:
            tried = usual / factor
            moved = np.maximum(tried * middle - center, bound)
        codes = nearest(x + moved, reciprocals(tried), levels)
        product = m * codes
        first, second = _sum(np.ones_like(m), product), _sum(codes, product)
        mixed = _sum(x, product)
        average, mean = first / weight, total / weight
        variance, covariance = second - first * average, mixed - first * mean
        ratio, alone = covariance / variance, mixed / second
        below = ratio * average - mean
        found = np.where(below < bound, mixed * alone - total * mean, covariance * ratio)
        ratio = np.where(below < bound, alone, ratio)
        below = np.where(below < bound, np.float32(0), below)
        better = (ratio > 0) & (variance > LEAST_VARIANCE * weight) & (found > gain)
        gain, s, t = (
            np.where(better, new, old) for new, old in ((found, gain), (ratio, s), (below, t))
        )
    return s, t


def walk(
    x: Floats,
    m: Floats,
    levels: int,
    most: int,
    moves: Floats,
    unit: Floats,
    s: Floats,
    t: Floats,
) -> tuple[Floats, Floats]:
    """Codes of scales and minima."""
    (d, dm), (inverse_d, inverse_dm) = unit, reciprocals(unit)
    slope = d * np.float32(levels * 0.5) * inverse_dm
    c, k = nearest(s, inverse_d, most), nearest(t, inverse_dm, most)
    error = _error(x, m, levels, c * d, k * dm)
    for step, shift in moves:
        moved = np.clip(c + step, np.float32(0), np.float32(most))
        other = k + fused(step, slope, np.full_like(slope, shift))
        other = nearest(other, np.float32(1), most)
        found = _error(x, m, levels, moved * d, other * dm)
        better = error > found
        c, k, error = (
            np.where(better, new, old) for new, old in ((moved, c), (other, k), (found, error))
        )
    return c, k


def nearest(values: Floats, inverse: Floats | np.float32, levels: int) -> Floats:
    """``values * inverse`` to the nearest integer from 0 to ``levels``, of two the even one."""
    codes: Floats = np.clip(np.rint(values * np.float64(inverse)), 0, levels).astype(np.float32)
    return codes


def reciprocals(scales: Floats) -> Floats:
    """1 / scale, or 0 where that is not finite."""
    inverse = np.float32(1) / scales
    finite: Floats = np.where(np.isfinite(inverse), inverse, np.float32(0))
    return finite


def _error(x: Floats, m: Floats, levels: int, s: Floats, t: Floats) -> Floats:
    """The weighted squared error of each block."""
    raised = x + t
    rest = fused(nearest(raised, reciprocals(s), levels), -s, raised)
    return _sum(m * rest, rest)


def _sum(first: Floats, second: Floats) -> Floats:
    """Sums of products over the first axis, each product added with one rounding."""
    total = np.zeros(first.shape[1:], np.float32)
    for one, other in zip(first, second, strict=True):
        total = fused(one, other, total)
    return total
