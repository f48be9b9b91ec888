"""ggml IQ4_NL: w = scale * codebook[code], blocks of 32, sixteen uneven values; 4.5 bits each."""

from __future__ import annotations

import numpy as np

from passes.encodings.base import Bytes
from passes.encodings.ggml import Floats, pack_halves, read_half, unpack_halves
from passes.encodings.level_blocks import LevelBlocks
from passes.encodings.levels import Levels, Search


class IQ4_NL(LevelBlocks):  # noqa: N801 - the format's name
    """18 bytes a block: float16 scale, 16 bytes of codes."""

    name = "iq4_nl"
    block_bytes = 18
    largest = "8.3e6"
    search = Search(Levels(16), (1.0, 1.1, 1.2, -0.9, -1.0, -1.1), (0.9, 1.1, 0.96, 1.04))

    def pack(self, codes: Bytes) -> Bytes:
        return pack_halves(codes.astype(np.float32))

    def decode_blocks(self, blocks: Bytes) -> Floats:
        values = self.search.levels.values(unpack_halves(blocks[:, 2:]).astype(np.uint8))
        return read_half(blocks, 0) * values
