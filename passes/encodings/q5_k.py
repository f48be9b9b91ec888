"""ggml Q5_K: 5-bit codes, blocks of 32 with 6-bit scales and minima; 5.5 bits a weight."""

from __future__ import annotations

import numpy as np

from passes.encodings.base import Bytes
from passes.encodings.q4_k import pack_pairs, unpack_pairs
from passes.encodings.super_blocks import pack_six_bits, unpack_six_bits
from passes.encodings.super_lines import SuperLines

_BLOCKS = np.arange(8, dtype=np.uint8)


class Q5_K(SuperLines):  # noqa: N801 - the format's name
    """176 bytes a super-block: as q4_k, with 32 bytes of the codes' high bits before the rest.

    Bit b of byte i is the high bit of the i-th weight of block b.
    """

    name = "q5_k"
    block_bytes = 176
    bits, width, most = 5, 32, 63
    largest = "4.1e6"

    def pack(self, halves: Bytes, scales: Bytes, minima: Bytes, codes: Bytes) -> Bytes:
        high = (codes >> np.uint8(4)).reshape(-1, 8, 32) << _BLOCKS[:, None]
        low: Bytes = codes & np.uint8(15)
        parts = (halves, pack_six_bits(scales, minima), high.sum(1, np.uint8))
        return np.concatenate([*parts, pack_pairs(low)], 1)

    def unpack(self, stored: Bytes) -> tuple[Bytes, Bytes, Bytes, Bytes]:
        high: Bytes = (stored[:, None, 16:48] >> _BLOCKS[:, None]) & np.uint8(1)
        codes: Bytes = unpack_pairs(stored[:, 48:]) | (high.reshape(-1, 256) << np.uint8(4))
        return stored[:, :4], *unpack_six_bits(stored[:, 4:16]), codes
