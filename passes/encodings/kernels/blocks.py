"""What is looked up in a block of weights, and how its codes and scales are written."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import (
    INFINITY,
    MAGNITUDE,
    SIGN,
    as_float,
    bits_of,
    float_of,
    ordered,
)
from passes.encodings.kernels.compiling import Bits, Bytes, compiled


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
def store_half(half: np.uint32, out: Bytes, b: int, at: int) -> None:
    """Write a float16 at byte ``at`` of block ``b``, low byte first."""
    out[b, at] = np.uint8(half & np.uint32(0xFF))
    out[b, at + 1] = np.uint8(half >> np.uint32(8))


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
