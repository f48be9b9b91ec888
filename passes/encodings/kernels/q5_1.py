"""Kernel of ggml's q5_1; sixteen blocks at a time."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import float_of, from_half, halves_of, reciprocals
from passes.encodings.kernels.blocks import extremes
from passes.encodings.kernels.codes import pack_halves, store_heads
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Bytes,
    Floats,
    Words,
    compiled,
)
from passes.encodings.kernels.ggml import FIRST, HALF_UP, SECOND, THIRD
from passes.encodings.kernels.packing import take_fifth_bits
from passes.encodings.kernels.super_blocks import LARGEST_HALF, fit_blocks, nearest_code
from passes.encodings.kernels.tiles import load_rows, side_by_side, tile_magnitudes
from passes.encodings.kernels.vectors import (
    greatest,
    least,
    load,
    minus,
    plus,
    spread,
    store,
    store_bytes,
    times,
)

TILE, BLOCK, SIXTEEN = 512, np.uint64(32), np.uint64(16)
LEVELS, ANY = np.float32(31), np.float32(-3e38)
FIFTH = np.uint64(4)


@compiled
def encode_q5_1(words: Words, kind: int, importances: Floats, factors: Floats, out: Words) -> int:
    """Blocks of 12 words: float16 scale, float16 minimum, fifth bits, the other bits.

    Args:
        words: ``[blocks, words of a block's weights]``.
        kind: What the words are.
        importances: Of the weights of each sixteen blocks, in tiles, over and over; empty for
            the usual scales.
        factors: See `fit_blocks`.
        out: ``[blocks, 12]``.
    """
    x, rows, codes = np.empty(TILE, np.float32), np.zeros(TILE, np.uint32), np.empty(TILE, np.uint8)
    positive, negative = np.empty(16, np.uint32), np.empty(16, np.uint32)
    scale, low, t = np.empty(16, np.float32), np.empty(16, np.float32), np.empty(16, np.float32)
    halves, minima, tile = np.empty(16, np.uint16), np.empty(16, np.uint16), 0
    for n in range(0, words.shape[0], 16):
        used = load_rows(words, n, kind, rows)
        side_by_side(rows, BLOCK, x)
        if not tile_magnitudes(x, BLOCK, positive, negative):
            return NOT_FINITE
        extremes(rows, BLOCK, positive, negative, low, scale)
        for b in range(SIXTEEN):
            scale[b] = (scale[b] - low[b]) / LEVELS
        if not (halves_of(scale, halves) and halves_of(low, minima)):
            return OUT_OF_RANGE
        if importances.size:
            lower(x, low)
            t[:] = np.float32(0)
            m = importances[tile : tile + TILE]
            tile = tile + TILE if tile + TILE < importances.size else 0
            fit_blocks(x, m, BLOCK, LEVELS, factors, ANY, scale, t)
            for b in range(SIXTEEN):
                scale[b] = min(scale[b], LARGEST_HALF)
                low[b] = min(max(low[b] - t[b], -LARGEST_HALF), LARGEST_HALF)
            halves_of(scale, halves)
            halves_of(low, minima)
            for b in range(SIXTEEN):
                scale[b] = float_of(from_half(np.uint32(halves[b])))
                low[b] = float_of(from_half(np.uint32(minima[b])))
        reciprocals(scale)
        choose_codes(rows, low, scale, importances.size > 0, codes)
        stored = out[n : n + used]
        store_heads(halves, stored, FIRST)
        store_heads(minima, stored, SECOND)
        take_fifth_bits(codes.view(np.uint64), stored, THIRD)
        pack_halves(codes.view(np.uint16), stored, FIFTH)
    return FINE


@compiled
def lower(x: Floats, low: Floats) -> None:
    """Subtract its smallest weight from each block of a tile."""
    origin = load(low, np.uint64(0))
    for i in range(np.uint64(0), np.uint64(x.size), SIXTEEN):
        store(minus(load(x, i), origin), x, i)


@compiled
def choose_codes(rows: Bits, low: Floats, inverse: Floats, nearest: bool, codes: Bytes) -> None:
    """Codes of ``(w - low) * inverse``: the nearest, or as ggml truncates them plus a half."""
    up, nothing, most = spread(HALF_UP), spread(np.float32(0)), spread(LEVELS)
    for b in range(SIXTEEN):
        minimum, factor = spread(low[b]), spread(inverse[b])
        for i in range(b * BLOCK, (b + np.uint64(1)) * BLOCK, SIXTEEN):
            above = minus(load(rows, i), minimum)
            if nearest:
                store_bytes(nearest_code(above, factor, LEVELS), codes, i)
            else:
                value = plus(times(above, factor), up)
                store_bytes(least(greatest(value, nothing), most), codes, i)
