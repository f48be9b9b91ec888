"""How large the sum of many independent draws from one distribution is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 1 << 14
"""Values of a sum up to which it is computed exactly; beyond, as if it were normal."""

Shares = NDArray[np.float64]


def sum_at_most(one: Shares, count: int, sizes: NDArray[np.int64]) -> Shares:
    """Share of the sums of ``count`` draws that are at most as large as each size.

    Args:
        one: Share of each value of a draw, from 0 on.
        count: Draws, at least one.
        sizes: Not negative.
    """
    if count * len(one) > MOST_EXACT:
        return _normal_at_most(one, count, sizes)
    reached = np.cumsum(_sum_of(one, count))
    exact: Shares = reached[np.minimum(sizes, len(reached) - 1)] / reached[-1]
    return exact


def _sum_of(one: Shares, count: int) -> Shares:
    """Distribution of the sum, by repeated squaring."""
    total, power = np.ones(1), one
    while count:
        if count & 1:
            total = np.convolve(total, power)
        count >>= 1
        if count:
            power = np.convolve(power, power)
    return total


def _normal_at_most(one: Shares, count: int, sizes: NDArray[np.int64]) -> Shares:
    values = np.arange(len(one))
    mean = float(one @ values)
    deviation = math.sqrt(count * max(0.0, float(one @ values**2) - mean**2))
    distances = sizes + 0.5 - count * mean
    if deviation < np.finfo(float).eps * count * len(one):
        return (distances >= 0).astype(np.float64)
    scaled = distances / (deviation * math.sqrt(2))
    return np.array([0.5 * (1 + math.erf(distance)) for distance in scaled])
