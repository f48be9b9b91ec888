"""ggml Q6_K: w = head * scale * (code - 32), super-blocks of 256; 6.5625 bits a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.ggml import Floats, read_half
from passes.encodings.level_super_blocks import LevelSuperBlocks
from passes.encodings.levels import Levels, Search


class Q6_K(LevelSuperBlocks):  # noqa: N801 - the format's name
    """210 bytes a super-block of sixteen groups: codes, signed scales of 8 bits, float16 head.

    128 bytes hold lower four bits of codes, 64 upper two: see ``dequantize_row_q6_K`` in
    ggml-quants.c.
    """

    name = "q6_k"
    block_bytes = 210
    largest = "2.6e8"
    groups = 16
    search = Search(Levels(64), (1.0, 1.3, 1.8, -0.85, -1.1, -1.5), (0.9, 1.1, 0.96, 1.04))
    head_search = Search(Levels(256), (1.0, -1.0, 0.95))

    def pack(self, heads: Bytes, scales: Bytes, codes: Bytes) -> Bytes:
        halves = codes.reshape(-1, 2, 4, 32)
        low = (halves[:, :, :2] & 15) | (halves[:, :, 2:] & 15) << 4
        shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
        high = np.bitwise_or.reduce(halves >> 4 << shifts, axis=2)
        parts = (low.reshape(-1, 128), high.reshape(-1, 64), scales ^ np.uint8(128), heads)
        return np.concatenate(parts, 1)

    def unpack(self, blocks: Bytes) -> tuple[Floats, NDArray[np.int8], Bytes]:
        low = blocks[:, :128].reshape(-1, 2, 1, 2, 32) >> np.array([0, 4], np.uint8)[:, None, None]
        shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
        high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> shifts
        codes = ((low.reshape(-1, 2, 4, 32) & 15) | (high & 3) << 4).astype(np.uint8)
        scales = blocks[:, 192:208].view(np.int8)
        return read_half(blocks, 208), scales, codes.reshape(-1, 256)
