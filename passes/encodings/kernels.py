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
Bits16 = NDArray[np.uint16]
Bits32 = NDArray[np.uint32]
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
def load_row(words: Bits16, kind: int, row: Bits32) -> None:
    """Widen one row of storage words to the bits of float32."""
    if kind == FLOAT32:
        for i in range(row.size):
            row[i] = np.uint32(words[2 * i]) | (np.uint32(words[2 * i + 1]) << np.uint32(16))
    elif kind == BFLOAT16:
        for i in range(row.size):
            row[i] = np.uint32(words[i]) << np.uint32(16)
    else:
        for i in range(row.size):
            row[i] = from_half(np.uint32(words[i]))


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
    rounded = np.uint32(0x7C00) if magnitude >= np.uint32(0x477FF000) else rounded
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
def extremes(row: Bits32, start: int, stop: int) -> tuple[np.float32, np.float32]:
    """The smallest and the largest value of a stretch; NaN shows as beyond infinity."""
    low = high = ordered(row[start])
    for i in range(start, stop):
        key = ordered(row[i])
        low, high = min(low, key), max(high, key)
    return as_float(low), as_float(high)


@compiled
def first_with_magnitude(row: Bits32, start: int, magnitude: np.float32) -> np.float32:
    """The first value from ``start`` on that has this magnitude, which one must have."""
    wanted, i = bits_of(magnitude), start
    while row[i] & MAGNITUDE != wanted:
        i += 1
    return float_of(row[i])


@compiled
def farthest(row: Bits32, start: int, low: np.float32, high: np.float32) -> np.float32:
    """The value of largest magnitude of a stretch with these extremes; of equals, the first."""
    if -low == high:
        return first_with_magnitude(row, start, high)
    return low if -low > high else high


@compiled
def finite(low: np.float32, high: np.float32) -> bool:
    """Whether a stretch with these extremes holds neither NaN nor an infinity."""
    return low - low == ZERO and high - high == ZERO


@compiled
def reciprocal(scale: np.float32) -> np.float32:
    """1 / scale, or 0 where that is not finite: codes of a vanishing scale are zero."""
    inverse = ONE / scale
    return inverse if inverse - inverse == ZERO else ZERO


@compiled
def store_half(half: np.uint32, out: Bytes, at: int) -> None:
    """Write a float16, low byte first."""
    out[at] = np.uint8(half & np.uint32(0xFF))
    out[at + 1] = np.uint8(half >> np.uint32(8))


@compiled
def pack_nibbles(codes: Bytes, out: Bytes, first: int) -> None:
    """Write 4-bit codes to ``out`` from nibble ``first`` on, the low half of a byte first."""
    skip = first % 2
    if skip:
        out[first // 2] |= codes[0] << np.uint8(4)
    base, pairs = (first + skip) // 2, (codes.size - skip) // 2
    for i in range(pairs):
        out[base + i] = codes[skip + 2 * i] | (codes[skip + 2 * i + 1] << np.uint8(4))
    if skip + 2 * pairs < codes.size:
        out[base + pairs] = codes[codes.size - 1]


@compiled
def cast_floats(words: Bits16, kind: int, to: int, out: Bytes) -> int:
    """Rows ``words`` [n, words of a row] as another float type, ties to even.

    Returns:
        OUT_OF_RANGE if a finite weight is infinite in the new type.
    """
    columns = words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]
    row, largest = np.empty(columns, np.uint32), np.uint32(0)
    halves, singles = out.view(np.uint16), out[: out.size // 4 * 4].view(np.uint32)
    for n in range(words.shape[0]):
        load_row(words[n], kind, row)
        for i in range(columns):
            largest = max(largest, row[i] & MAGNITUDE)
        if to == FLOAT32:
            singles[n * columns : (n + 1) * columns] = row
        elif to == FLOAT16:
            for i in range(columns):
                halves[n * columns + i] = np.uint16(to_half(row[i]))
        else:
            for i in range(columns):
                odd = (row[i] >> np.uint32(16)) & np.uint32(1)
                halves[n * columns + i] = np.uint16(
                    (row[i] + np.uint32(0x7FFF) + odd) >> np.uint32(16)
                )
    if largest >= INFINITY:
        return NOT_FINITE
    limit = np.uint32(0x477FF000) if to == FLOAT16 else np.uint32(0x7F7F8000)
    return OUT_OF_RANGE if to != FLOAT32 and largest >= limit else FINE


@compiled
def ggml_q8_0(words: Bits16, kind: int, out: Bytes) -> int:
    """Blocks of 32: float16 scale, then 32 signed codes; codes round half away from zero."""
    columns = words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]
    row, at = np.empty(columns, np.uint32), 0
    for n in range(words.shape[0]):
        load_row(words[n], kind, row)
        for start in range(0, columns, 32):
            low, high = extremes(row, start, start + 32)
            if not finite(low, high):
                return NOT_FINITE
            scale = np.float32(max(-low, high) / np.float32(127))
            half, inverse = to_half(bits_of(scale)), reciprocal(scale)
            if half >= np.uint32(0x7C00):
                return OUT_OF_RANGE
            store_half(half, out, at)
            for i in range(32):
                value = float_of(row[start + i]) * inverse
                whole = np.int32(value)
                rest = value - np.float32(whole)
                whole += np.int32(rest >= HALF) - np.int32(rest <= -HALF)
                out[at + 2 + i] = np.uint8(whole)
            at += 34
    return FINE


@compiled
def ggml_q4_0(words: Bits16, kind: int, out: Bytes) -> int:
    """Blocks of 32: float16 scale, then codes 0..15 that stand for -8..7; i and i + 16 share
    a byte. The weight of largest magnitude becomes -8.
    """
    columns = words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]
    row, at = np.empty(columns, np.uint32), 0
    for n in range(words.shape[0]):
        load_row(words[n], kind, row)
        for start in range(0, columns, 32):
            low, high = extremes(row, start, start + 32)
            if not finite(low, high):
                return NOT_FINITE
            scale = np.float32(farthest(row, start, low, high) / np.float32(-8))
            half, inverse = to_half(bits_of(scale)), reciprocal(scale)
            if half & np.uint32(0x7C00) == np.uint32(0x7C00):
                return OUT_OF_RANGE
            store_half(half, out, at)
            pack_halves(row, start, inverse, ZERO, np.float32(8.5), out, at + 2)
            at += 18
    return FINE


@compiled
def ggml_q4_1(words: Bits16, kind: int, out: Bytes) -> int:
    """Blocks of 32: float16 scale and minimum, then codes 0..15; i and i + 16 share a byte."""
    columns = words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]
    row, at = np.empty(columns, np.uint32), 0
    for n in range(words.shape[0]):
        load_row(words[n], kind, row)
        for start in range(0, columns, 32):
            low, high = extremes(row, start, start + 32)
            if not finite(low, high):
                return NOT_FINITE
            if low == ZERO:
                low = first_with_magnitude(row, start, ZERO)
            scale = np.float32((high - low) / np.float32(15))
            half, inverse = to_half(bits_of(scale)), reciprocal(scale)
            minimum = to_half(bits_of(low))
            if max(half, minimum & np.uint32(0x7FFF)) >= np.uint32(0x7C00):
                return OUT_OF_RANGE
            store_half(half, out, at)
            store_half(minimum, out, at + 2)
            pack_halves(row, start, inverse, low, HALF, out, at + 4)
            at += 20
    return FINE


@compiled
def pack_halves(
    row: Bits32,
    start: int,
    inverse: np.float32,
    minimum: np.float32,
    offset: np.float32,
    out: Bytes,
    at: int,
) -> None:
    """Code 32 weights as trunc((w - minimum) * inverse + offset), at most 15, in 16 bytes."""
    top = np.int32(15)
    for i in range(16):
        first = (float_of(row[start + i]) - minimum) * inverse + offset
        second = (float_of(row[start + 16 + i]) - minimum) * inverse + offset
        low, high = min(np.int32(first), top), min(np.int32(second), top)
        out[at + i] = np.uint8(low | (high << np.int32(4)))


@compiled
def group_scale(
    row: Bits32, start: int, stop: int, lowest: int, highest: int
) -> tuple[np.uint32, np.float32]:
    """The stored scale of a group, as float16 bits, and its zero point.

    Codes run from ``lowest`` to ``highest``. Without negative codes the scale spans the group
    and zero, and the zero point is the code of zero; with as many negative as positive codes
    the largest magnitude is spread over them; with one more negative, the weight of largest
    magnitude becomes ``lowest``, which may make the scale negative. Rounding the scale up
    keeps the extremes within the codes. The scale is NaN if a weight is not finite.
    """
    low, high = extremes(row, start, stop)
    if not finite(low, high):
        return np.uint32(0x7E00), ZERO
    if lowest == 0:
        low, high = min(low, ZERO), max(high, ZERO)
        half = half_above(np.float32((high - low) / np.float32(highest)))
        inverse = reciprocal(float_of(from_half(half)))
        return half, np.float32((-low * inverse + ROUND) - ROUND)
    if -lowest == highest:
        return half_above(np.float32(max(-low, high) / np.float32(highest))), ZERO
    return half_above(np.float32(farthest(row, start, low, high) / np.float32(lowest))), ZERO


@compiled
def integer_groups(
    words: Bits16,
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
        highest: 127, 255, 7 or 15; below 16 codes and zero points are packed in nibbles.
        codes: One code a weight.
        scales: One float16 a group.
        zero_points: One a group, or empty.
    """
    columns = words.shape[1] // 2 if kind == FLOAT32 else words.shape[1]
    groups, packed = columns // group, highest < 16
    mask = np.uint8(0xF if packed else 0xFF)
    row, zeros = np.empty(columns, np.uint32), np.empty(groups, np.uint8)
    unpacked = np.empty(columns, np.uint8)
    bottom, top = np.float32(lowest), np.float32(highest)
    for n in range(words.shape[0]):
        load_row(words[n], kind, row)
        line = unpacked if packed else codes[n * columns : (n + 1) * columns]
        for g in range(groups):
            start, stop = g * group, (g + 1) * group
            half, zero = group_scale(row, start, stop, lowest, highest)
            if half & np.uint32(0x7C00) == np.uint32(0x7C00):
                return OUT_OF_RANGE if half & np.uint32(0x3FF) == np.uint32(0) else NOT_FINITE
            store_half(half, scales, 2 * (n * groups + g))
            zeros[g] = np.uint8(zero)
            inverse = reciprocal(float_of(from_half(half)))
            for i in range(start, stop):
                code = ((float_of(row[i]) * inverse + ROUND) - ROUND) + zero
                code = min(max(code, bottom), top)
                line[i] = np.uint8(np.int32(code)) & mask
        if packed:
            pack_nibbles(unpacked, codes, n * columns)
            if zero_points.size:
                pack_nibbles(zeros, zero_points, n * groups)
        elif zero_points.size:
            zero_points[n * groups : (n + 1) * groups] = zeros
    return FINE
