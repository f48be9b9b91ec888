"""Float32 and float16 values as the integers that hold their bits."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.compiling import Floats, Halves, compiled

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
FROM_HALF = np.float32(2.0**112)
"""Moves a float32 with the exponent field of a float16 to the float16's value, denormals too."""

SIGN, MAGNITUDE = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
INFINITY = np.uint32(0x7F800000)
KEY_MASK = np.int32(0x7FFFFFFF)

HALF_MAGNITUDE, HALF_INFINITY = np.uint32(0x7FFF), np.uint32(0x7C00)
FLOAT16_LIMIT, BFLOAT16_LIMIT = np.uint32(0x477FF000), np.uint32(0x7F7F8000)
"""From these magnitudes on, rounding to the nearest float16 or bfloat16 gives infinity."""


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
def halves_of(values: Floats, halves: Halves) -> bool:
    """Round each value to the nearest float16; whether none is too large for it."""
    largest = np.uint32(0)
    for i in range(np.uint64(values.size)):
        half = to_half(bits_of(values[i]))
        halves[i] = np.uint16(half)
        largest = max(largest, half & HALF_MAGNITUDE)
    return largest < HALF_INFINITY


@compiled
def halves_above(values: Floats, halves: Halves) -> bool:
    """Round each value, in place too, to the next float16 away from zero.

    Returns:
        Whether none is too large.
    """
    largest = np.uint32(0)
    for i in range(np.uint64(values.size)):
        half = half_above(values[i])
        halves[i], values[i] = np.uint16(half), float_of(from_half(half))
        largest = max(largest, half & HALF_MAGNITUDE)
    return largest < HALF_INFINITY


@compiled
def reciprocal(scale: np.float32) -> np.float32:
    """1 / scale, or 0 where that is not finite: codes of a vanishing scale are zero."""
    inverse = ONE / scale
    return inverse if inverse - inverse == ZERO else ZERO


@compiled
def reciprocals(scales: Floats) -> None:
    """Replace each scale by its `reciprocal`."""
    for i in range(np.uint64(scales.size)):
        scales[i] = reciprocal(scales[i])
