"""What is looked up in the blocks of a row of weights.

A kernel goes through a row in stages: each is one loop over the whole row, or over its blocks, that
does so little that the compiler makes vector instructions of it. For the same reason indices are
unsigned (numba wraps negative ones around), and the width of a block is an argument (a loop of
known length would be unrolled first, and then not be vectorized).
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import (
    INFINITY,
    MAGNITUDE,
    SIGN,
    as_float,
    float_of,
    ordered,
)
from passes.encodings.kernels.compiling import Bits, Floats, Index, compiled

NOTHING = np.uint32(0)


@compiled
def magnitudes(row: Bits, width: Index, positive: Bits, negative: Bits) -> bool:
    """The largest magnitudes of each block, as bits; whether the row is finite.

    Args:
        row: Bits of float32, blocks of ``width`` one after the other.
        width: Weights in a block.
        positive: Set to the magnitude of each block's largest weight, 0 where none is positive.
        negative: Set to the magnitude of each block's smallest weight, 0 where none is negative.
    """
    largest = NOTHING
    for b in range(np.uint64(positive.size)):
        # As integers, positive floats are in their order, and negative ones above them by size.
        signed, unsigned = np.int32(0), NOTHING
        for i in range(width):
            bits = row[b * width + i]
            signed, unsigned = max(signed, np.int32(bits)), max(unsigned, bits)
        positive[b] = np.uint32(signed)
        negative[b] = unsigned & MAGNITUDE if unsigned >= SIGN else NOTHING
        largest = max(largest, positive[b], negative[b])
    return largest < INFINITY


@compiled
def farthest(row: Bits, width: Index, positive: Bits, negative: Bits, found: Floats) -> None:
    """The weight of largest magnitude of each block; of equals, the first.

    Args:
        positive: From `magnitudes`, like ``negative``.
        found: Set to one weight a block.
    """
    for b in range(np.uint64(found.size)):
        below = negative[b] > positive[b]
        found[b] = float_of(negative[b] | SIGN if below else positive[b])
    for b in range(np.uint64(found.size)):
        if positive[b] == negative[b]:
            found[b] = first_with_magnitude(row, b * width, positive[b])


@compiled
def first_with_magnitude(row: Bits, start: Index, magnitude: np.uint32) -> np.float32:
    """The first weight from ``start`` on that has this magnitude, which one must have."""
    at = start
    while row[at] & MAGNITUDE != magnitude:
        at += np.uint64(1)
    return float_of(row[at])


@compiled
def extremes(
    row: Bits, width: Index, positive: Bits, negative: Bits, low: Floats, high: Floats
) -> None:
    """The smallest and the largest weight of each block; of zeros, the first.

    Args:
        positive: From `magnitudes`, like ``negative``.
        low: Set to one weight a block.
        high: Set to one weight a block.
    """
    for b in range(np.uint64(low.size)):
        low[b], high[b] = float_of(negative[b] | SIGN), float_of(positive[b])
    for b in range(np.uint64(low.size)):
        if negative[b] == NOTHING or positive[b] == NOTHING:
            low[b], high[b] = one_sided_extremes(row, b * width, width)


@compiled
def one_sided_extremes(row: Bits, start: Index, width: Index) -> tuple[np.float32, np.float32]:
    """The smallest and the largest of ``width`` weights from ``start`` on, of any sign."""
    least = most = ordered(row[start])
    for i in range(width):
        key = ordered(row[start + i])
        least, most = min(least, key), max(most, key)
    low, high = as_float(least), as_float(most)
    if low == np.float32(0):
        low = first_with_magnitude(row, start, NOTHING)
    return low, high
