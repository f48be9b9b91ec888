"""ggml Q2_K: 2-bit codes, blocks of 16 with 4-bit scales and minima; 2.625 bits a weight."""

from __future__ import annotations

import numpy as np

from passes.encodings.base import Bytes
from passes.encodings.super_lines import SuperLines

_SHIFTS = np.array([0, 2, 4, 6], np.uint8)[:, None]


class Q2_K(SuperLines):  # noqa: N801 - the format's name
    """84 bytes a super-block: 16 bytes of scales and minima, 64 of codes, two float16.

    A scale is the low half of its byte. In each 128 weights those that lie 32 apart share a byte.
    """

    name = "q2_k"
    block_bytes = 84
    bits, width, most = 2, 16, 15
    largest = "9.8e5"

    def pack(self, halves: Bytes, scales: Bytes, minima: Bytes, codes: Bytes) -> Bytes:
        joined = (codes.reshape(-1, 2, 4, 32) << _SHIFTS).sum(2, np.uint8)
        return np.concatenate([scales | (minima << 4), joined.reshape(-1, 64), halves], 1)

    def unpack(self, stored: Bytes) -> tuple[Bytes, Bytes, Bytes, Bytes]:
        codes: Bytes = (stored[:, 16:80].reshape(-1, 2, 1, 32) >> _SHIFTS) & np.uint8(3)
        scales: Bytes = stored[:, :16] & np.uint8(15)
        minima: Bytes = stored[:, :16] >> np.uint8(4)
        return stored[:, 80:], scales, minima, codes.reshape(-1, 256)
