"""The compiled encoders: one pass over the bits of each row, equal bit for bit to the references.

Only `compiled.py` imports this module, and only when the first weight is encoded: numba is slow
to import. All kernels and their helpers share this file because numba's cache notices a change
of the file a kernel is in, not of the files it calls into.

A kernel runs on one thread and holds no lock, so rows are encoded in parallel by calling it from
several threads: numba's own threads would have to be compiled into each kernel (slower to start)
and its fallback threading layer aborts when two threads launch kernels at once.

Reductions compare integers that order like the floats they stand for: without licence to reorder
floating-point operations, only integer reductions become vector instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Words = NDArray[np.uint16]
Bits = NDArray[np.uint32]
Bytes = NDArray[np.uint8]

FLOAT32, FLOAT16, BFLOAT16 = 0, 1, 2
"""What the 16-bit words of a kernel's input are; a float32 is two words, the low one first."""

FINE, NOT_FINITE, OUT_OF_RANGE = 0, 1, 2
"""What a kernel reports of its rows."""

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
ROUND = np.float32(1.5 * 2**23)
"""Adding and subtracting it rounds a float32 below 2**22 to the nearest integer, ties to even."""

FROM_HALF = np.float32(2.0**112)
"""Moves a float32 with the exponent field of a float16 to the float16's value, denormals too."""

SIGN, MAGNITUDE = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
INFINITY = np.uint32(0x7F800000)
KEY_MASK = np.int32(0x7FFFFFFF)
SIXTEEN = np.uint32(16)

HALF_NAN = np.uint32(0x7E00)
FLOAT16_LIMIT, BFLOAT16_LIMIT = np.uint32(0x477FF000), np.uint32(0x7F7F8000)
"""From these magnitudes on, rounding to the nearest float16 or bfloat16 gives infinity."""


def compiled(function: Function) -> Function:
    """Compile at the first call, release the GIL, keep the machine code on disk."""
    decorate = numba.njit(nogil=True, cache=True, error_model="numpy")
    return cast(Function, decorate(function))


@compiled
def float_of(bits: np.uint32) -> np.float32:
    """The float32 with these bits."""
    return np.uint32(bits).view(np.float32)


@compiled
def bits_of(value: np.float32) -> np.uint32:
    """The bits of a float32."""
    return np.float32(value).view(np.uint32)


@compiled
def from_half(half: np.uint32) -> np.uint32:
    """The bits of the float32 that equals a float16; infinity and NaN stay what they are."""
    magnitude = half & np.uint32(0x7FFF)
    moved = float_of(magnitude << np.uint32(13)) * FROM_HALF
    special = INFINITY if magnitude >= np.uint32(0x7C00) else np.uint32(0)
    sign = np.uint32((half & np.uint32(0x8000)) << np.uint32(16))
    return np.uint32(bits_of(moved) | special | sign)


@compiled
def to_half(bits: np.uint32) -> np.uint32:
    """The float16 nearest to a float32, both as bits; ties to even, too large to infinity.

    Below 2**-14 the sum with 0.5 has its last place at 2**-24, the unit of float16 denormals,
    so that the addition itself rounds.
    """
    magnitude = np.uint32(bits & MAGNITUDE)
    odd = (magnitude >> np.uint32(13)) & np.uint32(1)
    normal = (magnitude - np.uint32(0x38000000) + np.uint32(0xFFF) + odd) >> np.uint32(13)
    tiny = bits_of(float_of(magnitude) + HALF) - np.uint32(0x3F000000)
    rounded = tiny if magnitude < np.uint32(0x38800000) else normal
    rounded = np.uint32(0x7C00) if magnitude >= FLOAT16_LIMIT else rounded
    return np.uint32(rounded | ((bits >> np.uint32(16)) & np.uint32(0x8000)))


@compiled
def half_above(value: np.float32) -> np.uint32:
    """The smallest float16 whose magnitude is not below that of ``value``, as bits."""
    half = to_half(bits_of(value))
    stored = float_of(from_half(half))
    return np.uint32(half + np.uint32(1)) if abs(stored) < abs(value) else half


@compiled
def ordered(bits: np.uint32) -> np.int32:
    """An integer that orders as the floats do (-0 before +0); its own inverse on bits."""
    signed = np.int32(bits)
    return np.int32(signed ^ ((signed >> np.int32(31)) & KEY_MASK))


@compiled
def as_float(key: np.int32) -> np.float32:
    """The float32 that `ordered` made ``key`` of."""
    return float_of(np.uint32(ordered(np.uint32(key))))


@compiled
def load_row(words: Words, n: int, kind: int, row: Bits) -> None:
    """Widen row ``n`` of storage words to the bits of float32."""
    if kind == FLOAT32:
        for i in range(row.size):
            row[i] = np.uint32(words[n, 2 * i]) | (np.uint32(words[n, 2 * i + 1]) << SIXTEEN)
    elif kind == BFLOAT16:
        for i in range(row.size):
            row[i] = np.uint32(words[n, i]) << SIXTEEN
    else:
        for i in range(row.size):
            row[i] = from_half(np.uint32(words[n, i]))


@compiled
def store_row(row: Bits, n: int, kind: int, words: Words) -> None:
    """Narrow the bits of float32 to row ``n`` of storage words; ties to even."""
    if kind == FLOAT32:
        for i in range(row.size):
            words[n, 2 * i] = np.uint16(row[i])
            words[n, 2 * i + 1] = np.uint16(row[i] >> SIXTEEN)
    elif kind == BFLOAT16:
        for i in range(row.size):
            odd = (row[i] >> SIXTEEN) & np.uint32(1)
            words[n, i] = np.uint16((row[i] + np.uint32(0x7FFF) + odd) >> SIXTEEN)
    else:
        for i in range(row.size):
            words[n, i] = np.uint16(to_half(row[i]))


@compiled
def extremes(blocks: Bits, b: int) -> tuple[np.float32, np.float32]:
    """The smallest and the largest value of block ``b``; NaN counts as beyond infinity."""
    low, high = ordered(INFINITY), ordered(INFINITY | SIGN)
    for i in range(blocks.shape[1]):
        key = ordered(blocks[b, i])
        low, high = min(low, key), max(high, key)
    return as_float(low), as_float(high)


@compiled
def first_with_magnitude(blocks: Bits, b: int, magnitude: np.float32) -> np.float32:
    """The first value of block ``b`` that has this magnitude, which one must have."""
    wanted, i = bits_of(magnitude), 0
    while blocks[b, i] & MAGNITUDE != wanted:
        i += 1
    return float_of(blocks[b, i])


@compiled
def farthest(blocks: Bits, b: int, low: np.float32, high: np.float32) -> np.float32:
    """The value of largest magnitude of a block with these extremes; of equals, the first."""
    if -low == high:
        return first_with_magnitude(blocks, b, high)
    return low if -low > high else high


@compiled
def finite(low: np.float32, high: np.float32) -> bool:
    """Whether a block with these extremes holds neither NaN nor an infinity."""
    return low - low == ZERO and high - high == ZERO


@compiled
def reciprocal(scale: np.float32) -> np.float32:
    """1 / scale, or 0 where that is not finite: codes of a vanishing scale are zero."""
    inverse = ONE / scale
    return inverse if inverse - inverse == ZERO else ZERO


@compiled
def store_half(half: np.uint32, out: Bytes, b: int, at: int) -> None:
    """Write a float16 at byte ``at`` of block ``b``, low byte first."""
    out[b, at] = np.uint8(half & np.uint32(0xFF))
    out[b, at + 1] = np.uint8(half >> np.uint32(8))


@compiled
def is_infinite(half: np.uint32) -> bool:
    """Whether a float16 is infinite (or NaN)."""
    return half & np.uint32(0x7C00) == np.uint32(0x7C00)


@compiled
def store_nibbles(codes: Bytes, first: int, out: Bytes) -> None:
    """Write 4-bit codes to ``out`` from nibble ``first`` on, the low half of a byte first."""
    low, four = np.uint8(0xF), np.uint8(4)
    if first % 2:
        out[first // 2] |= codes[0] << four
        codes, first = codes[1:], first + 1
    pairs, rest = codes.size // 2, out[first // 2 :]
    for i in range(pairs):
        rest[i] = (codes[2 * i] & low) | (codes[2 * i + 1] << four)
    if codes.size % 2:
        rest[pairs] = codes[2 * pairs] & low


@compiled
def store_codes(codes: Bytes, first: int, four_bits: bool, out: Bytes) -> None:
    """Write codes to ``out`` from the code numbered ``first`` on, as bytes or as nibbles."""
    if four_bits:
        store_nibbles(codes, first, out)
    else:
        rest = out[first:]
        for i in range(codes.size):
            rest[i] = codes[i]


@compiled
def pack_halves(codes: Bytes, b: int, out: Bytes, at: int, head: int) -> None:
    """Write 32 codes of 4 bits to block ``at``, after ``head`` bytes: i and i + 16 share one."""
    for i in range(16):
        out[at, head + i] = codes[b, i] | (codes[b, 16 + i] << np.uint8(4))


@compiled
def truncate_codes(
    blocks: Bits, b: int, minimum: np.float32, inverse: np.float32, half: np.float32, codes: Bytes
) -> None:
    """Codes of ggml's 4-bit formats: trunc((w - minimum) * inverse + half), at most 15."""
    for i in range(blocks.shape[1]):
        code = np.int32((float_of(blocks[b, i]) - minimum) * inverse + half)
        codes[b, i] = np.uint8(min(code, np.int32(15)))


@compiled
def convert_floats(words: Words, kind: int, out: Words, to: int) -> int:
    """Rows as another float type.

    Args:
        words: [n, words of a row].
        kind: What they are.
        out: [n, words of a row].
        to: What they shall be.
    """
    row, largest = np.empty(columns_of(words, kind), np.uint32), np.uint32(0)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for i in range(row.size):
            largest = max(largest, np.uint32(row[i] & MAGNITUDE))
        store_row(row, n, to, out)
    if largest >= INFINITY:
        return NOT_FINITE
    limit = INFINITY if to == FLOAT32 else BFLOAT16_LIMIT if to == BFLOAT16 else FLOAT16_LIMIT
    return OUT_OF_RANGE if largest >= limit else FINE


@compiled
def columns_of(words: Words, kind: int) -> int:
    """Weights of a row."""
    return words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]


@compiled
def ggml_q8_0(words: Words, kind: int, out: Bytes) -> int:
    """Blocks of 34 bytes: float16 scale, 32 signed codes rounded half away from zero."""
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks = row.reshape(-1, 32)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for b in range(blocks.shape[0]):
            at = n * blocks.shape[0] + b
            low, high = extremes(blocks, b)
            if not finite(low, high):
                return NOT_FINITE
            scale = np.float32(max(-low, high) / np.float32(127))
            half, inverse = to_half(bits_of(scale)), reciprocal(scale)
            if is_infinite(half):
                return OUT_OF_RANGE
            store_half(half, out, at, 0)
            for i in range(blocks.shape[1]):
                value = float_of(blocks[b, i]) * inverse
                whole = np.int32(value)
                rest = value - np.float32(whole)
                away = np.int32(rest >= HALF) - np.int32(rest <= -HALF)
                out[at, 2 + i] = np.uint8(whole + away)
    return FINE


@compiled
def ggml_q4_0(words: Words, kind: int, out: Bytes) -> int:
    """Blocks of 18 bytes: float16 scale, codes 0..15 for -8..7; the farthest weight is -8."""
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks = row.reshape(-1, 32)
    codes = np.empty(blocks.shape, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for b in range(blocks.shape[0]):
            at = n * blocks.shape[0] + b
            low, high = extremes(blocks, b)
            if not finite(low, high):
                return NOT_FINITE
            scale = np.float32(farthest(blocks, b, low, high) / np.float32(-8))
            half = to_half(bits_of(scale))
            if is_infinite(half):
                return OUT_OF_RANGE
            store_half(half, out, at, 0)
            truncate_codes(blocks, b, ZERO, reciprocal(scale), np.float32(8.5), codes)
            pack_halves(codes, b, out, at, 2)
    return FINE


@compiled
def ggml_q4_1(words: Words, kind: int, out: Bytes) -> int:
    """Blocks of 20 bytes: float16 scale, float16 minimum, codes 0..15."""
    row = np.empty(columns_of(words, kind), np.uint32)
    blocks = row.reshape(-1, 32)
    codes = np.empty(blocks.shape, np.uint8)
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for b in range(blocks.shape[0]):
            at = n * blocks.shape[0] + b
            low, high = extremes(blocks, b)
            if not finite(low, high):
                return NOT_FINITE
            if low == ZERO:
                low = first_with_magnitude(blocks, b, ZERO)
            scale = np.float32((high - low) / np.float32(15))
            half, minimum = to_half(bits_of(scale)), to_half(bits_of(low))
            if is_infinite(half) or is_infinite(minimum):
                return OUT_OF_RANGE
            store_half(half, out, at, 0)
            store_half(minimum, out, at, 2)
            truncate_codes(blocks, b, low, reciprocal(scale), HALF, codes)
            pack_halves(codes, b, out, at, 4)
    return FINE


@compiled
def group_scale(blocks: Bits, g: int, lowest: int, highest: int) -> tuple[np.uint32, np.float32]:
    """The stored scale of a group, as float16 bits, and its zero point.

    Codes run from ``lowest`` to ``highest``. Without negative codes the scale spans the group
    and zero, and the zero point is the code of zero; with as many negative as positive codes
    the largest magnitude is spread over them; with one more negative, the weight of largest
    magnitude becomes ``lowest``, which may make the scale negative. Rounding the scale up
    keeps the extremes within the codes. The scale is NaN if a weight is not finite.
    """
    low, high = extremes(blocks, g)
    if not finite(low, high):
        return HALF_NAN, ZERO
    if lowest == 0:
        low, high = min(low, ZERO), max(high, ZERO)
        half = half_above(np.float32((high - low) / np.float32(highest)))
        inverse = reciprocal(float_of(from_half(half)))
        return half, np.float32((-low * inverse + ROUND) - ROUND)
    if -lowest == highest:
        return half_above(np.float32(max(-low, high) / np.float32(highest))), ZERO
    return half_above(np.float32(farthest(blocks, g, low, high) / np.float32(lowest))), ZERO


@compiled
def round_codes(
    blocks: Bits,
    g: int,
    inverse: np.float32,
    zero: np.float32,
    bounds: tuple[np.float32, np.float32],
    codes: Bytes,
) -> None:
    """Codes of group ``g``: w * inverse to the nearest integer, plus zero, within bounds."""
    for i in range(blocks.shape[1]):
        code = ((float_of(blocks[g, i]) * inverse + ROUND) - ROUND) + zero
        codes[g, i] = np.uint8(np.int32(min(max(code, bounds[0]), bounds[1])))


@compiled
def integer_groups(
    words: Words,
    kind: int,
    group: int,
    lowest: int,
    highest: int,
    codes: Bytes,
    scales: Bytes,
    zero_points: Bytes,
) -> int:
    """Integer codes ``lowest`` to ``highest`` with a float16 scale for each ``group`` weights.

    Args:
        words: [n, words of a row].
        kind: What the words are.
        group: Divides the columns.
        lowest: -127, -8 or 0; 0 asks for zero points.
        highest: 127, 255, 7 or 15; below 16 codes and zero points take four bits.
        codes: The plane of codes.
        scales: The plane of scales, [n * groups, 2].
        zero_points: The plane of zero points, or empty.
    """
    row = np.empty(columns_of(words, kind), np.uint32)
    groups = row.reshape(-1, group)
    row_codes, row_zeros = np.empty(groups.shape, np.uint8), np.empty(groups.shape[0], np.uint8)
    bounds, four_bits = (np.float32(lowest), np.float32(highest)), highest < 16
    for n in range(words.shape[0]):
        load_row(words, n, kind, row)
        for g in range(groups.shape[0]):
            half, zero = group_scale(groups, g, lowest, highest)
            if is_infinite(half):
                return NOT_FINITE if half == HALF_NAN else OUT_OF_RANGE
            store_half(half, scales, n * groups.shape[0] + g, 0)
            row_zeros[g] = np.uint8(zero)
            round_codes(groups, g, reciprocal(float_of(from_half(half))), zero, bounds, row_codes)
        store_codes(row_codes.reshape(-1), n * row.size, four_bits, codes)
        if zero_points.size:
            store_codes(row_zeros, n * groups.shape[0], four_bits, zero_points)
    return FINE
