"""ggml Q8_0: w = scale * code, blocks of 32, codes -127 to 127; 8.5 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.ggml import Floats, RoundedBlocks, read_half, reciprocal


class Q8_0(RoundedBlocks):  # noqa: N801 - the format's name
    """34 bytes a block: float16 scale, 32 signed bytes."""

    name = "q8_0"
    block_bytes = 34
    largest = "8.3e6"

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.ggml import ggml_q8_0

        return ggml_q8_0(words, kind, self.block_words(planes[0]))

    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
        value = blocks * reciprocal(scale)
        whole = np.trunc(value)
        # C's roundf: halves away from zero, unlike numpy's rint.
        codes = whole + np.where(np.abs(value - whole) >= 0.5, np.sign(value), 0)
        return [scale.astype(np.float16)], codes.astype(np.int8).view(np.uint8)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        return read_half(blocks, 0) * blocks[:, 2:].view(np.int8).astype(np.float32)
