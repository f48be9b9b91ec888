"""Kernels of Q5_0 and IQ4_NL: blocks of 32 weights with a float16 scale chosen by importances."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import halves_of, reciprocals
from passes.encodings.kernels.codes import pack_halves, store_heads
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bytes,
    Floats,
    Halves,
    Words,
    compiled,
)
from passes.encodings.kernels.fitting import rescaled
from passes.encodings.kernels.ggml import FIRST, SECOND
from passes.encodings.kernels.levels import (
    CODEBOOK,
    are_finite,
    choose_levels,
    farthest_weights,
    fit_levels,
    lowest_level,
    nearest_halves,
)
from passes.encodings.kernels.packing import take_fifth_bits
from passes.encodings.kernels.tiles import (
    SIXTEEN,
    importance_tiles,
    load_rows,
    rows_together,
    side_by_side,
)
from passes.encodings.kernels.vectors import load, over, spread, store

BLOCK, FOURTH = np.uint64(32), np.uint64(3)


@compiled
def searched_blocks(
    words: Words,
    kind: int,
    importance: Floats,
    levels: int,
    factors: Floats,
    neighbours: Floats,
    out: Words,
) -> int:
    """Blocks of Q5_0 or IQ4_NL.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        importance: Of each column, 0 to 1.
        levels: 32 for Q5_0, `CODEBOOK` for IQ4_NL.
        factors: See `fit_levels`.
        neighbours: See `fit_levels`.
        out: ``[n * blocks of a row, words of a block]``.
    """
    blocks, columns = out.shape[0] // words.shape[0], importance.size
    together = rows_together(words.shape[0], blocks)
    m = importance_tiles(importance, 32, together)
    x, rows, codes = np.empty_like(m), np.zeros(m.size, np.uint32), np.empty(m.size, np.uint8)
    scale, halves = np.empty(m.size // 32, np.float32), np.empty(m.size // 32, np.uint16)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * blocks
        side_by_side(rows, BLOCK, x)
        if not are_finite(x):
            return NOT_FINITE
        usual_scales(x, levels, scale)
        if not halves_of(scale, halves):
            return OUT_OF_RANGE
        for first in range(np.uint64(0), np.uint64(scale.size), SIXTEEN):
            usual = load(scale, first)
            found, _ = fit_levels(x, m, first * BLOCK, BLOCK, levels, usual, factors, neighbours)
            store(rescaled(usual, found), scale, first)
        nearest_halves(scale, halves)
        reciprocals(scale)
        choose_levels(rows, BLOCK, levels, scale, codes)
        store_blocks(halves, codes, levels, out[n * blocks : n * blocks + used])
    return FINE


@compiled
def usual_scales(x: Floats, levels: int, scale: Floats) -> None:
    """Of each block, that at which its farthest weight is the lowest level."""
    lowest = spread(lowest_level(levels))
    for first in range(np.uint64(0), np.uint64(scale.size), SIXTEEN):
        store(over(farthest_weights(x, first * BLOCK, BLOCK), lowest), scale, first)


@compiled
def store_blocks(halves: Halves, codes: Bytes, levels: int, out: Words) -> None:
    """Write as many blocks as there is room for."""
    store_heads(halves, out, FIRST)
    if levels == CODEBOOK:
        pack_halves(codes.view(np.uint16), out, SECOND)
    else:
        take_fifth_bits(codes.view(np.uint64), out, SECOND)
        pack_halves(codes.view(np.uint16), out, FOURTH)
