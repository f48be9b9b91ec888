"""Kernels of 4-bit formats whose scales are chosen by importances of the columns.

A few rows at a time, as many as fill tiles: the usual scales, from the extremes of each block; the
search for better ones; then the codes.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import float_of, halves_above, halves_of, reciprocals
from passes.encodings.kernels.blocks import extremes, farthest
from passes.encodings.kernels.codes import (
    pack_halves,
    round_codes,
    store_heads,
    store_nibbles,
    truncate_codes,
)
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
from passes.encodings.kernels.fitting import fit_nf4, fit_ranges, fit_signed, fit_zeroed
from passes.encodings.kernels.ggml import FIRST, HALF_UP, SECOND, THIRD, UP_FROM_EIGHT
from passes.encodings.kernels.integers import round_zero_points, wanted_scales
from passes.encodings.kernels.nf4 import choose_codes
from passes.encodings.kernels.tiles import (
    importance_tiles,
    load_rows,
    rows_together,
    side_by_side,
    tile_magnitudes,
)

BLOCK = np.uint64(32)


@compiled
def weighted_q4_0(words: Words, kind: int, importance: Floats, out: Words) -> int:
    """As `ggml_q4_0`, with scales chosen by importances.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        importance: Of each column, 0 to 1.
        out: ``[n * blocks of a row, words of a block]``.
    """
    blocks, columns = out.shape[0] // words.shape[0], importance.size
    together = rows_together(words.shape[0], blocks)
    m = importance_tiles(importance, 32, together)
    x, rows, codes = np.empty_like(m), np.zeros(m.size, np.uint32), np.empty(m.size, np.uint8)
    scale, nothing = np.empty(m.size // 32, np.float32), np.zeros(m.size // 32, np.float32)
    positive, negative = np.empty(scale.size, np.uint32), np.empty(scale.size, np.uint32)
    halves = np.empty(scale.size, np.uint16)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * blocks
        side_by_side(rows, BLOCK, x)
        if not tile_magnitudes(x, BLOCK, positive, negative):
            return NOT_FINITE
        farthest(rows, BLOCK, positive, negative, scale)
        scale /= np.float32(-8)
        if not halves_of(scale, halves):
            return OUT_OF_RANGE
        fit_signed(x, m, BLOCK, scale)
        halves_of(scale, halves)
        reciprocals(scale)
        truncate_codes(rows, nothing, scale, UP_FROM_EIGHT, codes)
        stored = out[n * blocks : n * blocks + used]
        store_heads(halves, stored, FIRST)
        pack_halves(codes.view(np.uint16), stored, SECOND)
    return FINE


@compiled
def weighted_q4_1(words: Words, kind: int, importance: Floats, out: Words) -> int:
    """As `ggml_q4_1`, with scales and minima chosen by importances.

    Arguments as for `weighted_q4_0`.
    """
    blocks, columns = out.shape[0] // words.shape[0], importance.size
    together = rows_together(words.shape[0], blocks)
    m = importance_tiles(importance, 32, together)
    x, rows, codes = np.empty_like(m), np.zeros(m.size, np.uint32), np.empty(m.size, np.uint8)
    low, scale = np.empty(m.size // 32, np.float32), np.empty(m.size // 32, np.float32)
    positive, negative = np.empty(scale.size, np.uint32), np.empty(scale.size, np.uint32)
    halves, minima = np.empty(scale.size, np.uint16), np.empty(scale.size, np.uint16)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * blocks
        side_by_side(rows, BLOCK, x)
        if not tile_magnitudes(x, BLOCK, positive, negative):
            return NOT_FINITE
        extremes(rows, BLOCK, positive, negative, low, scale)
        for b in range(np.uint64(scale.size)):
            scale[b] = (scale[b] - low[b]) / np.float32(15)
        if not (halves_of(scale, halves) and halves_of(low, minima)):
            return OUT_OF_RANGE
        fit_ranges(x, m, BLOCK, scale, low)
        halves_of(scale, halves)
        halves_of(low, minima)
        reciprocals(scale)
        truncate_codes(rows, low, scale, HALF_UP, codes)
        stored = out[n * blocks : n * blocks + used]
        store_heads(halves, stored, FIRST)
        store_heads(minima, stored, SECOND)
        pack_halves(codes.view(np.uint16), stored, THIRD)
    return FINE


@compiled
def weighted_integers(
    words: Words,
    kind: int,
    importance: Floats,
    lowest: int,
    codes: Bytes,
    scales: Halves,
    zero_points: Bytes,
) -> int:
    """As `integer_groups` with 15 codes above ``lowest``, with scales and zero points chosen by
    importances.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        importance: Of each column, 0 to 1.
        lowest: -8 or 0; 0 asks for zero points.
        codes: The plane of codes.
        scales: The plane of scales, ``[n * groups]``.
        zero_points: The plane of zero points, or empty.
    """
    groups, columns = scales.size // words.shape[0], importance.size
    together, width = rows_together(words.shape[0], groups), np.uint64(columns // groups)
    m = importance_tiles(importance, columns // groups, together)
    x, rows, row_codes = np.empty_like(m), np.zeros(m.size, np.uint32), np.empty(m.size, np.uint8)
    count, bounds = m.size // (columns // groups), (np.float32(lowest), np.float32(lowest + 15))
    scale, inverse = np.empty(count, np.float32), np.empty(count, np.float32)
    zero, row_zeros = np.zeros(count, np.float32), np.empty(count, np.uint8)
    positive, negative = np.empty(count, np.uint32), np.empty(count, np.uint32)
    halves = np.empty(count, np.uint16)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * groups
        side_by_side(rows, width, x)
        if not tile_magnitudes(x, width, positive, negative):
            return NOT_FINITE
        wanted_scales(rows, width, positive, negative, bounds, scale)
        if not halves_above(scale, halves):
            return OUT_OF_RANGE
        if lowest == 0:
            inverse[:] = scale
            reciprocals(inverse)
            round_zero_points(negative, inverse, zero, row_zeros)
            fit_zeroed(x, m, width, scale, zero)
            for g in range(np.uint64(used)):
                row_zeros[g] = np.uint8(zero[g])
            store_nibbles(row_zeros[:used], np.uint64(n * groups), zero_points)
        else:
            fit_signed(x, m, width, scale)
        halves_above(scale, halves)
        scales[n * groups : n * groups + used] = halves[:used]
        reciprocals(scale)
        round_codes(rows, width, scale, zero, np.int32(lowest), np.int32(lowest + 15), row_codes)
        store_nibbles(row_codes[: used * width], np.uint64(n * columns), codes)
    return FINE


@compiled
def weighted_nf4(
    words: Words, kind: int, importance: Floats, group: int, codes: Bytes, scales: Halves
) -> int:
    """As `nf4_groups`, with scales ``[n * groups]`` chosen by importances ``[columns]``."""
    groups, columns, width = scales.size // words.shape[0], importance.size, np.uint64(group)
    together = rows_together(words.shape[0], groups)
    m = importance_tiles(importance, group, together)
    x, rows = np.empty_like(m), np.zeros(m.size, np.uint32)
    shaped, row_codes = rows.reshape(-1, group), np.empty((m.size // group, group), np.uint8)
    scale, halves = np.empty(len(shaped), np.float32), np.empty(len(shaped), np.uint16)
    positive, negative = np.empty(len(shaped), np.uint32), np.empty(len(shaped), np.uint32)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * groups
        side_by_side(rows, width, x)
        if not tile_magnitudes(x, width, positive, negative):
            return NOT_FINITE
        for g in range(np.uint64(scale.size)):
            scale[g] = float_of(max(positive[g], negative[g]))
        if not halves_above(scale, halves):
            return OUT_OF_RANGE
        fit_nf4(x, m, width, scale)
        halves_above(scale, halves)
        scales[n * groups : n * groups + used] = halves[:used]
        reciprocals(scale)
        choose_codes(shaped, scale, row_codes)
        store_nibbles(row_codes.reshape(-1)[: used * group], np.uint64(n * columns), codes)
    return FINE
