"""ggml Q5_1: w = scale * code + minimum, blocks of 32, codes 0 to 31; 6 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.fitting import LARGEST_HALF, importance_of, side_by_side
from passes.encodings.ggml import (
    BLOCK,
    Floats,
    RoundedBlocks,
    pack_halves,
    read_half,
    reciprocal,
    unpack_halves,
)
from passes.encodings.super_fitting import fit_blocks, nearest, reciprocals
from passes.encodings.super_lines import tiles_of
from passes.encodings.weighting import WeightableEncoding

ANY = -3e38
LEVELS = 31
FACTORS: Floats = np.array([0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1, 1.12], np.float32)
"""Many, because what is lost depends on where few important weights fall between codes."""


class Q5_1(WeightableEncoding, RoundedBlocks):  # noqa: N801 - the format's name
    """24 bytes a block: float16 scale, float16 minimum, 4 bytes of fifth bits, 16 of the others."""

    name = "q5_1"
    block_bytes = 24
    largest = "65504"

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        return self._run(words, kind, np.empty(0, np.float32), planes)

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        return self._run(words, kind, tiles_of(importance.reshape(-1, BLOCK)), planes)

    def _run(self, words: Words, kind: int, tiles: Floats, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.q5_1 import encode_q5_1

        stored = self.block_words(planes[0])
        return encode_q5_1(words.reshape(len(stored), -1), kind, tiles, FACTORS, stored)

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        return RoundedBlocks.reference(self, rows)

    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        scale, lowest = usual_ranges(blocks)
        codes = np.trunc((blocks - lowest) * reciprocal(scale) + np.float32(0.5))
        stored = pack_fives(np.clip(codes, 0, LEVELS).astype(np.uint8))
        return [scale.astype(np.float16), lowest.astype(np.float16)], stored

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        blocks = rows.astype(np.float32).reshape(-1, BLOCK)
        with np.errstate(all="ignore"):
            usual, lowest = usual_ranges(blocks)
            self.checked(rows, np.concatenate([usual, lowest]).astype(np.float16))
            x = side_by_side(blocks - lowest, BLOCK)
            m = importance_of(importance, BLOCK, len(rows))
            nothing = np.zeros(len(blocks), np.float32)
            s, t = fit_blocks(x, m, LEVELS, FACTORS, ANY, usual[:, 0], nothing)
            minimum, scale = lowest[:, 0] - t, np.minimum(s, LARGEST_HALF)
            minimum = np.clip(minimum, -LARGEST_HALF, LARGEST_HALF)
            heads = np.stack([scale, minimum], 1).astype(np.float16)
            d, low = heads.astype(np.float32).T[:, :, None]
            codes = nearest(blocks - low, reciprocals(d), LEVELS)
        return (
            np.concatenate([heads.view(np.uint8), pack_fives(codes.astype(np.uint8))], 1).ravel(),
        )

    def decode_blocks(self, blocks: Bytes) -> Floats:
        fifth = np.unpackbits(blocks[:, 4:8], axis=1, bitorder="little")
        codes = unpack_halves(blocks[:, 8:]) + fifth * np.float32(16)
        weights: Floats = read_half(blocks, 0) * codes + read_half(blocks, 2)
        return weights


def usual_ranges(blocks: Floats) -> tuple[Floats, Floats]:
    """The scales at which the codes span each block, and its smallest weight."""
    # argmin, not min: of zeros of both signs ggml keeps the first.
    lowest = np.take_along_axis(blocks, blocks.argmin(1)[:, None], 1)
    highest = np.take_along_axis(blocks, blocks.argmax(1)[:, None], 1)
    return (highest - lowest) / np.float32(LEVELS), lowest


def pack_fives(codes: Bytes) -> Bytes:
    """Codes 0 to 31 ``[n, 32]``: four bytes of the highest bits, then the rest as halves."""
    fifth = np.packbits(codes >> 4, axis=1, bitorder="little")
    return np.concatenate([fifth, pack_halves((codes & 15).astype(np.float32))], 1)
