"""Encodes rows as ggml's super-blocks: q2_k, q4_k and q5_k.

What a super-block stores is made as words of 32 bits, those of sixteen super-blocks side by side,
and turned around at the end.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import float_of
from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Floats,
    Index,
    Words,
    compiled,
)
from passes.encodings.kernels.fitting import reciprocals_of
from passes.encodings.kernels.super_blocks import (
    LARGEST_HALF,
    SIXTEEN,
    fit_blocks,
    nearest_code,
    units,
    walk,
)
from passes.encodings.kernels.tiles import load_rows, side_by_side, tile_magnitudes
from passes.encodings.kernels.vectors import (
    Vector,
    fused,
    load,
    minus,
    plus,
    spread,
    store,
    store_words,
    times,
    transpose,
    where_above,
)

TILE, MOST_WORDS = 4096, 48
"""Weights of sixteen super-blocks; words of one, rounded up to whole squares."""

ZERO, ONE, TWO, THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
FOUR, EIGHT, SUB_BLOCK = np.uint64(4), np.uint64(8), np.uint64(32)
HIGH_BIT = np.float32(15.5)


@compiled
def encode_super_blocks(
    words: Words,
    kind: int,
    importances: Floats,
    bits: int,
    factors: Floats,
    moves: Floats,
    out: Words,
) -> int:
    """Encode super-blocks, wherever in a row they are.

    Args:
        words: ``[n, words of a super-block]``.
        kind: What the words are.
        importances: Of the weights of each sixteen super-blocks, in tiles, over and over.
        bits: 2, 4 or 5: those of a code.
        factors: See `fit_blocks`.
        moves: See `walk`.
        out: ``[n, words of an encoded super-block]``.
    """
    width = np.uint64(16 if bits == 2 else 32)
    levels, most = np.float32((1 << bits) - 1), np.float32(15 if bits == 2 else 63)
    x, rows = np.empty(TILE, np.float32), np.zeros(TILE, np.uint32)
    count = TILE // (16 if bits == 2 else 32)
    positive, negative = np.empty(count, np.uint32), np.empty(count, np.uint32)
    s, t = np.empty(count, np.float32), np.empty(count, np.float32)
    d, dm = np.empty(16, np.float32), np.empty(16, np.float32)
    heads, minima = np.empty(16, np.uint32), np.empty(16, np.uint32)
    packed, turned = np.empty(MOST_WORDS * 16, np.uint32), np.empty(MOST_WORDS * 16, np.uint32)
    bound, tile = LARGEST_HALF * most, 0
    for n in range(0, words.shape[0], 16):
        used = load_rows(words, n, kind, rows)
        side_by_side(rows, np.uint64(256), x)
        m = importances[tile : tile + TILE]
        tile = tile + TILE if tile + TILE < importances.size else 0
        if not tile_magnitudes(x, width, positive, negative):
            return NOT_FINITE
        for b in range(np.uint64(count)):
            t[b] = float_of(negative[b])
            s[b] = (float_of(positive[b]) + t[b]) / levels
        if not (units(s, most, d, heads) and units(t, most, dm, minima)):
            return OUT_OF_RANGE
        fit_blocks(x, m, width, levels, factors, np.float32(0), s, t)
        for b in range(np.uint64(count)):
            s[b], t[b] = min(s[b], bound), min(t[b], bound)
        units(s, most, d, heads)
        units(t, most, dm, minima)
        walk(x, m, width, levels, most, moves, (d, dm), s, t)
        for lane in range(SIXTEEN):
            heads[lane] |= minima[lane] << np.uint32(16)
        pack(bits, x, s, t, d, dm, heads, packed)
        turn(packed, turned, out[n : n + used])
    return FINE


@compiled
def pack(
    bits: int,
    x: Floats,
    s: Floats,
    t: Floats,
    d: Floats,
    dm: Floats,
    heads: Bits,
    packed: Bits,
) -> None:
    """The words of sixteen super-blocks: see ``block_q2_K``, ``q4_K``, ``q5_K`` in ggml-common.h.

    Args:
        bits: As for `encode_super_blocks`.
        x: Weights, in tiles; set to their codes.
        s: The codes of scales, ``[blocks, 16]``.
        t: The codes of minima, likewise.
        d: What the codes of scales are multiples of.
        dm: What the codes of minima are multiples of.
        heads: Two float16 each.
        packed: Set, ``[words, 16]``.
    """
    put_codes(x, s, t, d, dm, np.float32((1 << bits) - 1))
    if bits == 2:
        put_joined(t, ZERO, np.float32(16), s)
        put_words(s, ZERO, FOUR, packed, ZERO)
        put_quarters(x, packed)
        store(load(heads, ZERO), packed, np.uint64(20) * SIXTEEN)
        return
    store(load(heads, ZERO), packed, ZERO)
    put_six_bits(s, t, packed)
    first = FOUR
    if bits == 5:
        put_high_bits(x, packed)
        first = np.uint64(12)
    put_halves(x, packed, first)


@compiled
def put_codes(x: Floats, s: Floats, t: Floats, d: Floats, dm: Floats, levels: np.float32) -> None:
    """Replace weights by their codes."""
    unit, offset, width = load(d, ZERO), load(dm, ZERO), np.uint64(x.size // s.size)
    for first in range(ZERO, np.uint64(s.size), SIXTEEN):
        inverse = reciprocals_of(times(load(s, first), unit))
        minimum, start = times(load(t, first), offset), first * width
        for i in range(start, start + width * SIXTEEN, SIXTEEN):
            store(nearest_code(plus(load(x, i), minimum), inverse, levels), x, i)


@compiled
def put_joined(high: Floats, start: Index, factor: np.float32, low: Floats) -> None:
    """Add multiples of the numbers of ``high`` from ``start`` on to those of ``low``."""
    for i in range(ZERO, np.uint64(low.size), SIXTEEN):
        store(fused(load(high, start + i), spread(factor), load(low, i)), low, i)


@compiled
def put_six_bits(s: Floats, t: Floats, packed: Bits) -> None:
    """Eight pairs of codes 0 to 63 in words 1 to 3: see `pack_six_bits`."""
    parts, half = np.empty(12 * 16, np.float32), FOUR * SIXTEEN
    above, below, upper = spread(np.float32(16)), spread(np.float32(-16)), spread(np.float32(64))
    for i in range(ZERO, half, SIXTEEN):
        scale, minimum = load(s, half + i), load(t, half + i)
        rest, other = sixteenths(scale), sixteenths(minimum)
        store(fused(rest, upper, load(s, i)), parts, i)
        store(fused(other, upper, load(t, i)), parts, half + i)
        scale, minimum = fused(rest, below, scale), fused(other, below, minimum)
        store(fused(minimum, above, scale), parts, TWO * half + i)
    put_words(parts, ZERO, THREE, packed, ONE)


@compiled
def sixteenths(codes: Vector) -> Vector:
    """Integers divided by 16, without remainder."""
    rounding = spread(ROUND)
    lowered = fused(codes, spread(np.float32(1 / 16)), spread(np.float32(-15 / 32)))
    return minus(plus(lowered, rounding), rounding)


@compiled
def put_halves(codes: Floats, packed: Bits, first: Index) -> None:
    """Codes of 4 bits: those of one block in the low halves, of the next in the high ones."""
    block = SUB_BLOCK * SIXTEEN
    for pair in range(FOUR):
        start = pair * TWO * block
        put_joined(codes, start + block, np.float32(16), codes[start : start + block])
        put_words(codes, start, EIGHT, packed, first + pair * EIGHT)


@compiled
def put_high_bits(codes: Floats, packed: Bits) -> None:
    """Take the fifth bits away from codes; those of one place of all blocks share a byte."""
    high, block = np.zeros(32 * 16, np.float32), SUB_BLOCK * SIXTEEN
    one, nothing, below = spread(np.float32(1)), spread(np.float32(0)), spread(np.float32(-16))
    for start in range(ZERO, np.uint64(codes.size), block):
        power = spread(np.float32(np.uint32(1) << np.uint32(start // block)))
        for i in range(ZERO, block, SIXTEEN):
            whole = load(codes, start + i)
            bit = where_above(whole, spread(HIGH_BIT), one, nothing)
            store(fused(bit, power, load(high, i)), high, i)
            store(fused(bit, below, whole), codes, start + i)
    put_words(high, ZERO, EIGHT, packed, FOUR)


@compiled
def put_quarters(codes: Floats, packed: Bits) -> None:
    """Codes of 2 bits: four weights that lie 32 apart share a byte."""
    block = SUB_BLOCK * SIXTEEN
    for half in range(TWO):
        start = half * FOUR * block
        for part in range(ONE, FOUR):
            power = np.float32(np.uint32(1) << np.uint32(TWO * part))
            put_joined(codes, start + part * block, power, codes[start : start + block])
        put_words(codes, start, EIGHT, packed, FOUR + half * EIGHT)


@compiled
def put_words(codes: Floats, start: Index, count: Index, packed: Bits, first: Index) -> None:
    """Bytes, given as numbers ``[4 * count, 16]`` from ``start`` on, in words from ``first`` on."""
    for word in range(count):
        at = start + word * FOUR * SIXTEEN
        store_words(
            load(codes, at),
            load(codes, at + SIXTEEN),
            load(codes, at + TWO * SIXTEEN),
            load(codes, at + THREE * SIXTEEN),
            packed,
            (first + word) * SIXTEEN,
        )


@compiled
def turn(packed: Bits, turned: Bits, out: Words) -> None:
    """Write words ``[words, 16]`` to super-blocks, one after the other."""
    size = np.uint64(out.shape[1])
    for first in range(ZERO, np.uint64(packed.size), np.uint64(256)):
        transpose(packed, first, SIXTEEN, turned, first)
    halves = turned.view(np.uint16)
    for lane in range(np.uint64(out.shape[0])):
        for i in range(size):
            square, place = i // SUB_BLOCK, i % SUB_BLOCK
            out[lane, i] = halves[(square * SIXTEEN + lane) * SUB_BLOCK + place]
