"""ggml IQ4_XS: w = head * (scale - 32) * codebook[code], super-blocks of 256; 4.25 bits each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.ggml import Floats, pack_halves, read_half, unpack_halves
from passes.encodings.level_super_blocks import LevelSuperBlocks
from passes.encodings.levels import Levels, Search

_PLACES = 2 * np.arange(8, dtype=np.uint16)


class IQ4_XS(LevelSuperBlocks):  # noqa: N801 - the format's name
    """136 bytes a super-block of eight groups: float16 head, scales of 6 bits, codes of IQ4_NL.

    Two bytes hold the upper two bits of the scales, four the lower four.
    """

    name = "iq4_xs"
    block_bytes = 136
    largest = "2.6e8"
    groups = 8
    search = Search(Levels(16), (1.0, 1.1, 1.2, -0.9, -1.0, -1.1), (0.9, 1.1, 0.96, 1.04))
    head_search = Search(Levels(64), (1.0, -1.0, 0.95, 1.05))

    def pack(self, heads: Bytes, scales: Bytes, codes: Bytes) -> Bytes:
        upper = np.bitwise_or.reduce(scales.astype(np.uint16) >> 4 << _PLACES, axis=1)
        lower = (scales[:, ::2] & 15) | (scales[:, 1::2] & 15) << 4
        packed = pack_halves(codes.reshape(-1, 32).astype(np.float32)).reshape(-1, 128)
        return np.concatenate([heads, upper[:, None].view(np.uint8), lower, packed], 1)

    def unpack(self, blocks: Bytes) -> tuple[Floats, NDArray[np.int8], Bytes]:
        upper = np.ascontiguousarray(blocks[:, 2:4]).view(np.uint16) >> _PLACES
        lower = np.stack([blocks[:, 4:8] & 15, blocks[:, 4:8] >> 4], -1).reshape(-1, 8)
        scales = (lower | (upper & 3).astype(np.uint8) << 4).astype(np.int8) - np.int8(32)
        codes = unpack_halves(blocks[:, 8:].reshape(-1, 16)).astype(np.uint8)
        return read_half(blocks, 0), scales, codes.reshape(-1, 256)
