"""Rows of weights laid out so that the weights of many blocks are next to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.kernels.bits import float_of
from passes.encodings.kernels.compiling import Bits, Floats, Index, Words, compiled
from passes.encodings.kernels.rows import columns_of, load_row

Tile = NDArray[np.float32]
"""``[weights of a block, blocks]``."""

LANES = 64
"""Blocks that keep vector instructions busy; rows with fewer are taken several at a time."""


@compiled
def rows_together(rows: int, blocks: int) -> int:
    """How many of ``rows`` rows, each of ``blocks`` blocks, are taken at a time."""
    return min(rows, (LANES + blocks - 1) // blocks)


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
def importance_tile(importance: Floats, width: int, rows: int) -> Tile:
    """The importances of a row's weights, laid out for ``rows`` rows at once."""
    blocks = importance.size // width
    tile = np.empty((width, rows * blocks), np.float32)
    for r in range(rows):
        for b in range(blocks):
            for i in range(width):
                tile[i, r * blocks + b] = importance[b * width + i]
    return tile


@compiled
def lay_out(
    rows: Bits, width: Index, origin: Floats, inverse: Floats, m: Tile, x: Tile, mx: Tile
) -> None:
    """Weights minus their block's ``origin``, times its ``inverse``, and their products with m."""
    for b in range(np.uint64(inverse.size)):
        least, factor = origin[b], inverse[b]
        for i in range(width):
            x[i, b] = (float_of(rows[b * width + i]) - least) * factor
    for i in range(width):
        for b in range(np.uint64(inverse.size)):
            mx[i, b] = m[i, b] * x[i, b]
