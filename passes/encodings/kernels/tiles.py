"""Rows of weights laid out so that the weights of sixteen blocks are next to each other."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, float_of
from passes.encodings.kernels.compiling import Bits, Floats, Index, Words, compiled
from passes.encodings.kernels.rows import columns_of, load_row
from passes.encodings.kernels.vectors import (
    LANES,
    Vector,
    fused,
    greatest,
    least,
    load,
    minus,
    spread,
    store,
    times,
    transpose,
)

TOGETHER = 64
"""Blocks, few of them in vain, where a row's do not fill tiles."""

SIXTEEN = np.uint64(LANES)


@compiled
def rows_together(rows: int, blocks: int) -> int:
    """How many of ``rows`` rows, each of ``blocks`` blocks, are taken at a time."""
    for few in range(1, LANES + 1):
        if few * blocks % LANES == 0 and few * blocks <= TOGETHER:
            return min(rows, few)
    return min(rows, (TOGETHER + blocks - 1) // blocks)


@compiled
def whole_vectors(count: int) -> int:
    """The least multiple of `LANES` that is not below ``count``."""
    return (count + LANES - 1) // LANES * LANES


@compiled
def load_rows(words: Words, first: int, kind: int, rows: Bits) -> int:
    """Widen rows from ``first`` on to float32, one after the other, as many as there is room for.

    Returns:
        How many there are; the rest of ``rows`` stays as it was.
    """
    columns = columns_of(words, kind)
    count = min(rows.size // columns, words.shape[0] - first)
    for r in range(count):
        load_row(words, first + r, kind, rows[r * columns : (r + 1) * columns])
    return count


@compiled
def side_by_side(blocks: Bits, width: Index, tiles: Floats) -> None:
    """Lay blocks out as tiles ``[width, 16]``, each of sixteen blocks, one tile after the other.

    Args:
        blocks: Float32, or their bits, one block after the other, ``[16 * tiles * width]``.
        width: Weights of a block.
        tiles: Set to the same float32.
    """
    whole = width // SIXTEEN * SIXTEEN
    for start in range(np.uint64(0), np.uint64(tiles.size), SIXTEEN * width):
        for i in range(np.uint64(0), whole, SIXTEEN):
            transpose(blocks, start + i, width, tiles, start + i * SIXTEEN)
        for i in range(whole, width):
            for lane in range(SIXTEEN):
                tiles[start + i * SIXTEEN + lane] = float_of(blocks[start + lane * width + i])


@compiled
def tile_magnitudes(tiles: Floats, width: Index, positive: Bits, negative: Bits) -> bool:
    """As `magnitudes`: of each block's largest and smallest weight; whether all are finite."""
    nothing = finite = spread(ZERO)
    for first in range(np.uint64(0), np.uint64(positive.size), SIXTEEN):
        start, high, low = first * width, nothing, nothing
        for i in range(start, start + width * SIXTEEN, SIXTEEN):
            weights = load(tiles, i)
            high, low = greatest(weights, high), least(weights, low)
            # What is not finite makes NaN of zero.
            finite = fused(weights, nothing, finite)
        store(high, positive, first)
        store(minus(nothing, low), negative, first)
    zeros = np.empty(LANES, np.float32)
    store(finite, zeros, np.uint64(0))
    return bool((zeros == ZERO).all())


@compiled
def normalize(tiles: Floats, start: Index, width: Index, origin: Vector, inverse: Vector) -> None:
    """Subtract its origin from each block of the tile at ``start``; multiply it by its inverse."""
    for i in range(start, start + width * SIXTEEN, SIXTEEN):
        store(times(minus(load(tiles, i), origin), inverse), tiles, i)


@compiled
def importance_tiles(importance: Floats, width: int, rows: int) -> Floats:
    """The importances of a row's weights, laid out for ``rows`` rows; 0 for blocks beyond."""
    blocks = whole_vectors(rows * importance.size // width)
    given = np.zeros(blocks * width, np.float32)
    for r in range(rows):
        given[r * importance.size : (r + 1) * importance.size] = importance
    tiles = np.empty_like(given)
    side_by_side(given.view(np.uint32), np.uint64(width), tiles)
    return tiles
