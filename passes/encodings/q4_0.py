"""ggml Q4_0: w = scale * (code - 8), blocks of 32, codes 0 to 15; 4.5 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.fitting import importance_of, rescaled, side_by_side, signed_scales
from passes.encodings.ggml import (
    BLOCK,
    Floats,
    RoundedBlocks,
    pack_halves,
    read_half,
    reciprocal,
    unpack_halves,
)
from passes.encodings.weighting import WeightableEncoding


class Q4_0(WeightableEncoding, RoundedBlocks):  # noqa: N801 - the format's name
    """18 bytes a block: float16 scale, 16 bytes of codes."""

    name = "q4_0"
    block_bytes = 18
    largest = "5.2e5"

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.ggml import ggml_q4_0

        return ggml_q4_0(words, kind, self.block_words(planes[0]))

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.weighted import weighted_q4_0

        return weighted_q4_0(words, kind, importance, self.block_words(planes[0]))

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        return RoundedBlocks.reference(self, rows)

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        blocks = rows.astype(np.float32).reshape(-1, BLOCK)
        with np.errstate(all="ignore"):
            usual = usual_scales(blocks)
            self.checked(rows, usual.astype(np.float16))
            x = side_by_side(blocks * reciprocal(usual), BLOCK)
            found = signed_scales(x, importance_of(importance, BLOCK, len(rows)))
            scale = rescaled(usual, found[:, None])
            codes = np.maximum(blocks * reciprocal(scale) + np.float32(8.5), 0)
        stored = scale.astype(np.float16).view(np.uint8)
        return (np.concatenate([stored, pack_halves(codes)], 1).reshape(-1),)

    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        scale = usual_scales(blocks)
        codes = blocks * reciprocal(scale) + np.float32(8.5)
        return [scale.astype(np.float16)], pack_halves(codes)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        return read_half(blocks, 0) * (unpack_halves(blocks[:, 2:]) - 8)


def usual_scales(blocks: Floats) -> Floats:
    """Those at which the farthest weight of each block has code 0, for -8."""
    farthest = np.abs(blocks).argmax(1)[:, None]
    scales: Floats = np.take_along_axis(blocks, farthest, 1) / np.float32(-8)
    return scales
