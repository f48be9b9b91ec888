"""Codes of more or fewer than four or eight bits, in the order of ggml's blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.kernels.compiling import Bytes, Halves, Index, Words, compiled

SUPER_BLOCK, HALF, QUARTER = np.uint64(256), np.uint64(128), np.uint64(32)
TWO, FOUR, SIX = np.uint8(2), np.uint8(4), np.uint8(6)
LOW, HIGH, SIX_BITS = np.uint8(3), np.uint8(15), np.uint8(63)

EACH_FIRST, EACH_NIBBLE = np.uint64(0x0101010101010101), np.uint64(0x0F0F0F0F0F0F0F0F)
GATHER, TOP = np.uint64(0x0102040810204080), np.uint64(56)
"""A product with `GATHER` has the first bits of eight bytes in its uppermost byte."""


@compiled
def take_fifth_bits(codes: NDArray[np.uint64], blocks: Words, at: Index) -> None:
    """Move the fifth bits of each block's 32 codes to its words ``at`` and the next.

    Args:
        codes: Eight codes each, four a block; left with four bits.
        blocks: ``[blocks, words of a block]``.
        at: Where bit i of two words becomes that of code i.
    """
    for b in range(np.uint64(blocks.shape[0])):
        bits = np.uint64(0)
        for i in range(np.uint64(4)):
            eight = codes[b * np.uint64(4) + i]
            fifth = (((eight >> np.uint64(4)) & EACH_FIRST) * GATHER) >> TOP
            bits |= fifth << (np.uint64(8) * i)
            codes[b * np.uint64(4) + i] = eight & EACH_NIBBLE
        blocks[b, at] = np.uint16(bits)
        blocks[b, at + np.uint64(1)] = np.uint16(bits >> np.uint64(16))


@compiled
def pack_q6_k(halves: Halves, scales: Bytes, codes: Bytes, out: Bytes) -> None:
    """Super-blocks: lower four bits, upper two, signed scales of 8 bits, float16.

    Args:
        halves: One a super-block.
        scales: Sixteen codes 0 to 255 for -128 to 127 a super-block.
        codes: 0 to 63, 256 a super-block.
        out: ``[super-blocks, 210]``.
    """
    for b in range(np.uint64(out.shape[0])):
        block = out[b]
        for h in range(np.uint64(2)):
            first, to = b * SUPER_BLOCK + h * HALF, h * np.uint64(64)
            for i in range(np.uint64(64)):
                low, high = codes[first + i], codes[first + np.uint64(64) + i]
                block[to + i] = (low & HIGH) | (high << FOUR)
            to = HALF + h * QUARTER
            for i in range(QUARTER):
                lower = (codes[first + i] >> FOUR) | (codes[first + QUARTER + i] >> FOUR << TWO)
                third, fourth = first + np.uint64(64) + i, first + np.uint64(96) + i
                upper = (codes[third] >> FOUR << FOUR) | (codes[fourth] >> FOUR << SIX)
                block[to + i] = lower | upper
        for g in range(np.uint64(16)):
            block[np.uint64(192) + g] = scales[b * np.uint64(16) + g] ^ np.uint8(128)
        store_half(halves[b], block, np.uint64(208))


@compiled
def pack_q3_k(halves: Halves, scales: Bytes, codes: Bytes, out: Bytes) -> None:
    """Super-blocks: third bits, lower two bits, sixteen scales of 6 bits, float16.

    Args:
        halves: One a super-block.
        scales: Sixteen codes 0 to 63 for -32 to 31 a super-block.
        codes: 0 to 7, 256 a super-block.
        out: ``[super-blocks, 110]``.
    """
    for b in range(np.uint64(out.shape[0])):
        block, first = out[b], b * SUPER_BLOCK
        for i in range(QUARTER):
            third = np.uint8(0)
            for k in range(np.uint64(8)):
                code = codes[first + k * QUARTER + i]
                third |= (code >> TWO) << np.uint8(k)
            block[i] = third
        for h in range(np.uint64(2)):
            start, to = first + h * HALF, QUARTER + h * QUARTER
            for i in range(QUARTER):
                lower = (codes[start + i] & LOW) | ((codes[start + QUARTER + i] & LOW) << TWO)
                third_part, fourth = start + np.uint64(64) + i, start + np.uint64(96) + i
                upper = ((codes[third_part] & LOW) << FOUR) | ((codes[fourth] & LOW) << SIX)
                block[to + i] = lower | upper
        of_block = scales[b * np.uint64(16) : (b + np.uint64(1)) * np.uint64(16)]
        for i in range(np.uint64(8)):
            high = of_block[np.uint64(8) + i] & HIGH
            block[np.uint64(96) + i] = (of_block[i] & HIGH) | (high << FOUR)
        for i in range(np.uint64(4)):
            pair = (of_block[i] >> FOUR) | (of_block[np.uint64(4) + i] >> FOUR << TWO)
            last = of_block[np.uint64(12) + i] >> FOUR << SIX
            block[np.uint64(104) + i] = pair | (of_block[np.uint64(8) + i] >> FOUR << FOUR) | last
        store_half(halves[b], block, np.uint64(108))


@compiled
def pack_iq4_xs(halves: Halves, scales: Bytes, codes: Bytes, out: Bytes) -> None:
    """Super-blocks: float16, upper two and lower four bits of eight scales, codes of four bits.

    Args:
        halves: One a super-block.
        scales: Eight codes 0 to 63 for -32 to 31 a super-block.
        codes: 0 to 15, 256 a super-block.
        out: ``[super-blocks, 136]``.
    """
    for b in range(np.uint64(out.shape[0])):
        block, upper = out[b], np.uint16(0)
        store_half(halves[b], block, np.uint64(0))
        of_block = scales[b * np.uint64(8) : (b + np.uint64(1)) * np.uint64(8)]
        for g in range(np.uint64(8)):
            upper |= np.uint16(of_block[g] >> FOUR) << np.uint16(np.uint64(2) * g)
        store_half(upper, block, np.uint64(2))
        for i in range(np.uint64(4)):
            low, high = of_block[np.uint64(2) * i], of_block[np.uint64(2) * i + np.uint64(1)]
            block[np.uint64(4) + i] = (low & HIGH) | (high << FOUR)
        for g in range(np.uint64(8)):
            first, to = b * SUPER_BLOCK + g * QUARTER, np.uint64(8) + g * np.uint64(16)
            for i in range(np.uint64(16)):
                block[to + i] = codes[first + i] | (codes[first + np.uint64(16) + i] << FOUR)


@compiled
def store_half(half: np.uint16, block: Bytes, at: Index) -> None:
    """Write sixteen bits, the low byte first."""
    block[at] = np.uint8(half & np.uint16(255))
    block[at + np.uint64(1)] = np.uint8(half >> np.uint16(8))
