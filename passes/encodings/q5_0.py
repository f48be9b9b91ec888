"""ggml Q5_0: w = scale * (code - 16), blocks of 32, codes 0 to 31; 5.5 bits a weight."""

from __future__ import annotations

import numpy as np

from passes.encodings.base import Bytes
from passes.encodings.ggml import Floats, pack_halves, read_half, unpack_halves
from passes.encodings.level_blocks import LevelBlocks
from passes.encodings.levels import Levels, Search


class Q5_0(LevelBlocks):  # noqa: N801 - the format's name
    """22 bytes a block: float16 scale, 4 bytes of fifth bits, 16 bytes of the other four."""

    name = "q5_0"
    block_bytes = 22
    largest = "1e6"
    search = Search(Levels(32), (1.0, 1.3, 1.8, -0.85, -1.1, -1.5), (0.9, 1.1, 0.96, 1.04))

    def pack(self, codes: Bytes) -> Bytes:
        fifth = np.packbits(codes >> 4, axis=1, bitorder="little")
        return np.concatenate([fifth, pack_halves((codes & 15).astype(np.float32))], 1)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        fifth = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
        codes = unpack_halves(blocks[:, 6:]) + fifth * np.float32(16)
        weights: Floats = read_half(blocks, 0) * (codes - np.float32(16))
        return weights
