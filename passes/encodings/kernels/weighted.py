"""Kernels that store weights with scales that were chosen before."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, halves_above, halves_of, reciprocals
from passes.encodings.kernels.codes import (
    clamp_codes,
    pack_halves,
    round_codes,
    store_heads,
    store_nibbles,
)
from passes.encodings.kernels.compiling import Bytes, Floats, Halves, Words, compiled
from passes.encodings.kernels.ggml import FIRST, HALF_UP, SECOND, THIRD, UP_FROM_EIGHT
from passes.encodings.kernels.nf4 import choose_codes
from passes.encodings.kernels.rows import columns_of, load_row


@compiled
def store_q4_0(words: Words, kind: int, scales: Floats, out: Words) -> None:
    """As `ggml_q4_0`, with scales ``[blocks]`` that fit float16."""
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks, codes = out.shape[0] // words.shape[0], np.empty(row.size, np.uint8)
    halves, minimum = np.empty(blocks, np.uint16), np.full(blocks, ZERO)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        scale = scales[n * blocks : (n + 1) * blocks]
        halves_of(scale, halves)
        reciprocals(scale)
        clamp_codes(row, np.uint64(32), minimum, scale, UP_FROM_EIGHT, codes)
        stored = out[n * blocks : (n + 1) * blocks]
        store_heads(halves, stored, FIRST)
        pack_halves(codes.view(np.uint16), stored, SECOND)


@compiled
def store_q4_1(words: Words, kind: int, scales: Floats, minima: Floats, out: Words) -> None:
    """As `ggml_q4_1`, with scales and minima ``[blocks]`` that fit float16."""
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks, codes = out.shape[0] // words.shape[0], np.empty(row.size, np.uint8)
    halves = np.empty(blocks, np.uint16)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        scale = scales[n * blocks : (n + 1) * blocks]
        minimum = minima[n * blocks : (n + 1) * blocks]
        stored = out[n * blocks : (n + 1) * blocks]
        halves_of(scale, halves)
        store_heads(halves, stored, FIRST)
        halves_of(minimum, halves)
        store_heads(halves, stored, SECOND)
        reciprocals(scale)
        clamp_codes(row, np.uint64(32), minimum, scale, HALF_UP, codes)
        pack_halves(codes.view(np.uint16), stored, THIRD)


@compiled
def store_integers(
    words: Words,
    kind: int,
    lowest: int,
    scales: Floats,
    zeros: Floats,
    codes: Bytes,
    halves: Halves,
    zero_points: Bytes,
) -> None:
    """As `integer_groups` with 15 codes above ``lowest``, with scales and zeros ``[groups]``."""
    row = np.empty(columns_of(words, kind), np.uint32)
    groups = scales.size // words.shape[0]
    width, row_codes = np.uint64(row.size // groups), np.empty(row.size, np.uint8)
    row_zeros = np.empty(groups, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        scale, zero = scales[n * groups : (n + 1) * groups], zeros[n * groups : (n + 1) * groups]
        halves_above(scale, halves[n * groups : (n + 1) * groups])
        reciprocals(scale)
        round_codes(row, width, scale, zero, np.int32(lowest), np.int32(lowest + 15), row_codes)
        store_nibbles(row_codes, np.uint64(n * row.size), codes)
        if lowest == 0:
            for g in range(np.uint64(groups)):
                row_zeros[g] = np.uint8(zero[g])
            store_nibbles(row_zeros, np.uint64(n * groups), zero_points)


@compiled
def store_nf4(
    words: Words, kind: int, group: int, scales: Floats, codes: Bytes, halves: Halves
) -> None:
    """As `nf4_groups`, with scales ``[n * groups]`` that fit float16."""
    row = np.empty(columns_of(words, kind), np.uint32)
    groups, row_codes = row.reshape(-1, group), np.empty((row.size // group, group), np.uint8)
    count = len(groups)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        scale = scales[n * count : (n + 1) * count]
        halves_above(scale, halves[n * count : (n + 1) * count])
        reciprocals(scale)
        choose_codes(groups, scale, row_codes)
        store_nibbles(row_codes.reshape(-1), np.uint64(n * row.size), codes)
