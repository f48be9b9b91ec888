"""Kernels of ggml's blocks of 32 weights."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, float_of, halves_of, reciprocals
from passes.encodings.kernels.blocks import extremes, farthest, magnitudes
from passes.encodings.kernels.codes import (
    copy_codes,
    pack_halves,
    round_codes_away,
    store_heads,
    truncate_codes,
)
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Words,
    compiled,
)
from passes.encodings.kernels.rows import columns_of, load_row

HALF_UP, UP_FROM_EIGHT = np.float32(0.5), np.float32(8.5)
FIRST, SECOND, THIRD = np.uint64(0), np.uint64(1), np.uint64(2)


@compiled
def ggml_q8_0(words: Words, kind: int, out: Words) -> int:
    """Blocks of 17 words: float16 scale, 32 signed codes rounded half away from zero.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        out: ``[n * blocks of a row, words of a block]``.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks = out.shape[0] // words.shape[0]
    width = np.uint64(row.size // blocks)
    positive, negative = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
    scale, halves = np.empty(blocks, np.float32), np.empty(blocks, np.uint16)
    codes = np.empty(row.size, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        if not magnitudes(row, width, positive, negative):
            return NOT_FINITE
        for b in range(np.uint64(blocks)):
            largest = float_of(max(positive[b], negative[b]))
            scale[b] = largest / np.float32(127)
        if not halves_of(scale, halves):
            return OUT_OF_RANGE
        reciprocals(scale)
        round_codes_away(row, width, scale, codes)
        stored = out[n * blocks : (n + 1) * blocks]
        store_heads(halves, stored, FIRST)
        copy_codes(codes.view(np.uint16), stored, SECOND)
    return FINE


@compiled
def ggml_q4_0(words: Words, kind: int, out: Words) -> int:
    """Blocks of 9 words: float16 scale, codes 0..15 for -8..7; the farthest weight is -8.

    Arguments as for `ggml_q8_0`.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks = out.shape[0] // words.shape[0]
    width = np.uint64(row.size // blocks)
    positive, negative = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
    scale, halves = np.empty(blocks, np.float32), np.empty(blocks, np.uint16)
    codes, minimum = np.empty(row.size, np.uint8), np.full(blocks, ZERO)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        if not magnitudes(row, width, positive, negative):
            return NOT_FINITE
        farthest(row, width, positive, negative, scale)
        for b in range(np.uint64(blocks)):
            scale[b] = scale[b] / np.float32(-8)
        if not halves_of(scale, halves):
            return OUT_OF_RANGE
        reciprocals(scale)
        truncate_codes(row, minimum, scale, UP_FROM_EIGHT, codes)
        stored = out[n * blocks : (n + 1) * blocks]
        store_heads(halves, stored, FIRST)
        pack_halves(codes.view(np.uint16), stored, SECOND)
    return FINE


@compiled
def ggml_q4_1(words: Words, kind: int, out: Words) -> int:
    """Blocks of 10 words: float16 scale, float16 minimum, codes 0..15.

    Arguments as for `ggml_q8_0`.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks = out.shape[0] // words.shape[0]
    width = np.uint64(row.size // blocks)
    positive, negative = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
    low, scale = np.empty(blocks, np.float32), np.empty(blocks, np.float32)
    halves, minima = np.empty(blocks, np.uint16), np.empty(blocks, np.uint16)
    codes = np.empty(row.size, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        if not magnitudes(row, width, positive, negative):
            return NOT_FINITE
        extremes(row, width, positive, negative, low, scale)
        for b in range(np.uint64(blocks)):
            scale[b] = (scale[b] - low[b]) / np.float32(15)
        if not (halves_of(scale, halves) and halves_of(low, minima)):
            return OUT_OF_RANGE
        reciprocals(scale)
        truncate_codes(row, low, scale, HALF_UP, codes)
        stored = out[n * blocks : (n + 1) * blocks]
        store_heads(halves, stored, FIRST)
        store_heads(minima, stored, SECOND)
        pack_halves(codes.view(np.uint16), stored, THIRD)
    return FINE
