"""ggml Q4_0: w = scale * (code - 8), blocks of 32, codes 0 to 15; 4.5 bits a weight."""

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


class Q4_0(BlockEncoding):  # noqa: N801 - the format's name
    """18 bytes a block: float16 scale, 16 bytes of codes."""

    name = "q4_0"
    block_bytes = 18
    largest = "5.2e5"

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.ggml import ggml_q4_0

        return ggml_q4_0(words, kind, self.block_words(planes[0]))

    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        farthest = np.abs(blocks).argmax(1)[:, None]
        scale = np.take_along_axis(blocks, farthest, 1) / np.float32(-8)
        codes = blocks * reciprocal(scale) + np.float32(8.5)
        return [scale.astype(np.float16)], pack_halves(codes)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        return read_half(blocks, 0) * (unpack_halves(blocks[:, 2:]) - 8)
