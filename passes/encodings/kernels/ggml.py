"""Kernels of ggml's blocks of 32 weights."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import (
    HALF,
    ZERO,
    bits_of,
    finite,
    float_of,
    is_infinite,
    reciprocal,
    to_half,
)
from passes.encodings.kernels.blocks import extremes, farthest, first_with_magnitude, store_half
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Bytes,
    Words,
    compiled,
)
from passes.encodings.kernels.rows import columns_of, load_row


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
            scale = np.float32(max(abs(low), abs(high)) / np.float32(127))
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
def truncate_codes(
    blocks: Bits, b: int, minimum: np.float32, inverse: np.float32, half: np.float32, codes: Bytes
) -> None:
    """Codes of ggml's 4-bit formats: trunc((w - minimum) * inverse + half), at most 15."""
    for i in range(blocks.shape[1]):
        code = np.int32((float_of(blocks[b, i]) - minimum) * inverse + half)
        codes[b, i] = np.uint8(min(code, np.int32(15)))


@compiled
def pack_halves(codes: Bytes, b: int, out: Bytes, at: int, head: int) -> None:
    """Write 32 codes of 4 bits to block ``at``, after ``head`` bytes: i and i + 16 share one."""
    for i in range(16):
        out[at, head + i] = codes[b, i] | (codes[b, 16 + i] << np.uint8(4))
