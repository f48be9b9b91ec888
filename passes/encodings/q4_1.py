"""ggml Q4_1: w = scale * code + minimum, blocks of 32, codes 0 to 15; 5 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.ggml import (
    BlockEncoding,
    Floats,
    pack_halves,
    read_half,
    reciprocal,
    unpack_halves,
)


class Q4_1(BlockEncoding):  # noqa: N801 - the format's name
    """20 bytes a block: float16 scale, float16 minimum, 16 bytes of codes."""

    name = "q4_1"
    block_bytes = 20
    largest = "65504"

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.ggml import ggml_q4_1

        return ggml_q4_1(words, kind, self.block_words(planes[0]))

    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        # argmin, not min: of zeros of both signs ggml keeps the first.
        lowest = np.take_along_axis(blocks, blocks.argmin(1)[:, None], 1)
        highest = np.take_along_axis(blocks, blocks.argmax(1)[:, None], 1)
        scale = (highest - lowest) / np.float32(15)
        codes = (blocks - lowest) * reciprocal(scale) + np.float32(0.5)
        return [scale.astype(np.float16), lowest.astype(np.float16)], pack_halves(codes)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        return read_half(blocks, 0) * unpack_halves(blocks[:, 4:]) + read_half(blocks, 2)
