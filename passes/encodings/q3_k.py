"""ggml Q3_K: w = head * (scale - 32) * (code - 4), super-blocks of 256; 3.4375 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.ggml import Floats, read_half
from passes.encodings.level_super_blocks import LevelSuperBlocks
from passes.encodings.levels import Levels, Search

_SHIFTS = np.array([0, 2, 4, 6], np.uint8)[:, None]


class Q3_K(LevelSuperBlocks):  # noqa: N801 - the format's name
    """110 bytes a super-block of sixteen groups: codes, scales of 6 bits, float16 head.

    32 bytes hold third bits of codes, 64 lower two, 12 scales: see ``dequantize_row_q3_K`` in
    ggml-quants.c.
    """

    name = "q3_k"
    block_bytes = 110
    largest = "8.3e6"
    groups = 16
    search = Search(Levels(8), (1.0, 1.3, 1.8, 2.5, -0.85, -1.1, -1.5, -2.2), (0.93, 1.07))
    head_search = Search(Levels(64), (1.0, -1.0, 0.95, 1.05))

    def pack(self, heads: Bytes, scales: Bytes, codes: Bytes) -> Bytes:
        third = np.packbits(codes.reshape(-1, 8, 32) >> 2, axis=1, bitorder="little")
        low = np.bitwise_or.reduce((codes.reshape(-1, 2, 4, 32) & 3) << _SHIFTS, axis=2)
        lower = (scales[:, :8] & 15) | (scales[:, 8:] & 15) << 4
        upper = np.bitwise_or.reduce(scales.reshape(-1, 4, 4) >> 4 << _SHIFTS, axis=1)
        return np.concatenate([third[:, 0], low.reshape(-1, 64), lower, upper, heads], 1)

    def unpack(self, blocks: Bytes) -> tuple[Floats, NDArray[np.int8], Bytes]:
        third = np.unpackbits(blocks[:, None, :32], axis=1, bitorder="little").reshape(-1, 256)
        low = (blocks[:, 32:96].reshape(-1, 2, 1, 32) >> _SHIFTS) & 3
        lower = np.concatenate([blocks[:, 96:104] & 15, blocks[:, 96:104] >> 4], 1)
        upper = (blocks[:, None, 104:108] >> _SHIFTS) & 3
        scales = (lower | upper.reshape(-1, 16) << 4).astype(np.int8) - np.int8(32)
        codes = (low.reshape(-1, 256) | third << 2).astype(np.uint8)
        return read_half(blocks, 108), scales, codes
