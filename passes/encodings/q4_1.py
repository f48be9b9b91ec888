"""ggml Q4_1: w = scale * code + minimum, blocks of 32, codes 0 to 15; 5 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.fitting import (
    LARGEST_HALF,
    importance_of,
    range_scales,
    rescaled,
    side_by_side,
)
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


class Q4_1(WeightableEncoding, RoundedBlocks):  # noqa: N801 - the format's name
    """20 bytes a block: float16 scale, float16 minimum, 16 bytes of codes."""

    name = "q4_1"
    block_bytes = 20
    largest = "65504"

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.ggml import ggml_q4_1

        return ggml_q4_1(words, kind, self.block_words(planes[0]))

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.weighted import weighted_q4_1

        return weighted_q4_1(words, kind, importance, self.block_words(planes[0]))

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        return RoundedBlocks.reference(self, rows)

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        blocks = rows.astype(np.float32).reshape(-1, BLOCK)
        with np.errstate(all="ignore"):
            usual, lowest = usual_ranges(blocks)
            self.checked(rows, np.concatenate([usual, lowest]).astype(np.float16))
            x = side_by_side((blocks - lowest) * reciprocal(usual), BLOCK)
            factor, origin = range_scales(x, importance_of(importance, BLOCK, len(rows)))
            moved = lowest + usual * origin[:, None]
            fits = np.abs(moved) <= LARGEST_HALF
            minimum = np.where(fits, moved, lowest)
            scale = rescaled(usual, np.where(fits, factor[:, None], np.float32(1)))
            codes = (blocks - minimum) * reciprocal(scale) + np.float32(0.5)
        heads = (half.astype(np.float16).view(np.uint8) for half in (scale, minimum))
        packed = pack_halves(np.maximum(codes, 0))
        return (np.concatenate([*heads, packed], 1).reshape(-1),)

    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        scale, lowest = usual_ranges(blocks)
        codes = (blocks - lowest) * reciprocal(scale) + np.float32(0.5)
        return [scale.astype(np.float16), lowest.astype(np.float16)], pack_halves(codes)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        return read_half(blocks, 0) * unpack_halves(blocks[:, 4:]) + read_half(blocks, 2)


def usual_ranges(blocks: Floats) -> tuple[Floats, Floats]:
    """The scales at which the codes span each block, and its smallest weight."""
    # argmin, not min: of zeros of both signs ggml keeps the first.
    lowest = np.take_along_axis(blocks, blocks.argmin(1)[:, None], 1)
    highest = np.take_along_axis(blocks, blocks.argmax(1)[:, None], 1)
    return (highest - lowest) / np.float32(15), lowest
