"""ggml Q4_K: 4-bit codes, blocks of 32 with 6-bit scales and minima; 4.5 bits a weight."""

from __future__ import annotations

import numpy as np

from passes.encodings.base import Bytes
from passes.encodings.super_blocks import pack_six_bits, unpack_six_bits
from passes.encodings.super_lines import SuperLines


class Q4_K(SuperLines):  # noqa: N801 - the format's name
    """144 bytes a super-block: two float16, 12 bytes of scales and minima, 128 of codes."""

    name = "q4_k"
    block_bytes = 144
    bits, width, most = 4, 32, 63
    largest = "4.1e6"

    def pack(self, halves: Bytes, scales: Bytes, minima: Bytes, codes: Bytes) -> Bytes:
        return np.concatenate([halves, pack_six_bits(scales, minima), pack_pairs(codes)], 1)

    def unpack(self, stored: Bytes) -> tuple[Bytes, Bytes, Bytes, Bytes]:
        return stored[:, :4], *unpack_six_bits(stored[:, 4:16]), unpack_pairs(stored[:, 16:])


def pack_pairs(codes: Bytes) -> Bytes:
    """Codes 0 to 15 ``[n, 256]`` in 128 bytes: of each 64, one and the 32nd after it in a byte."""
    pairs = codes.reshape(-1, 4, 2, 32)
    packed: Bytes = pairs[:, :, 0] | (pairs[:, :, 1] << np.uint8(4))
    return packed.reshape(-1, 128)


def unpack_pairs(packed: Bytes) -> Bytes:
    """The inverse of `pack_pairs`."""
    bytes_of = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([bytes_of & 15, bytes_of >> 4], 2).reshape(-1, 256)
