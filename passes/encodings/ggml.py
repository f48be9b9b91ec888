"""What ggml's block formats share: whole blocks of weights, the parts of each side by side."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes, Encoding, Plane
from passes.encodings.compiled import CompiledEncoding, Words

BLOCK = 32
Floats = NDArray[np.float32]


class BlockEncoding(CompiledEncoding):
    """A type of ggml, called as there in lower case: see ``block_*`` in its ggml-common.h."""

    block: int = BLOCK
    """Weights of a block."""

    block_bytes: int

    @abstractmethod
    def decode_blocks(self, blocks: Bytes) -> Floats:
        """Weights ``[n, block]`` of blocks ``[n, block_bytes]``."""

    def block_words(self, plane: Bytes) -> Words:
        """A plane as words of 16 bits, one block a row."""
        return plane.view(np.uint16).reshape(-1, self.block_bytes // 2)

    def planes(self, columns: int) -> tuple[Plane, ...]:
        return (Plane("blocks", "u8", (columns // self.block * self.block_bytes,)),)

    def fit(self, columns: int, *, power_of_two: bool = False) -> Encoding | None:
        return self if columns % self.block == 0 else None

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> Floats:
        return self.decode_blocks(planes[0].reshape(-1, self.block_bytes)).reshape(rows, columns)


class RoundedBlocks(BlockEncoding):
    """Formats whose `encode` equals ``quantize_row_*_ref`` of ggml-quants.c, unless weighted.

    One difference: where a scale is so small that its reciprocal is infinite, ggml's codes are
    undefined; here they are those of a zero weight. The stored scale is zero either way.
    """

    @abstractmethod
    def encode_blocks(self, blocks: Floats) -> tuple[list[NDArray[np.float16]], Bytes]:
        """Reference: the halves at the head of each block ``[n, 1]``, and the bytes of codes."""

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        blocks = rows.astype(np.float32).reshape(-1, self.block)
        with np.errstate(all="ignore"):
            heads, codes = self.encode_blocks(blocks)
        self.checked(rows, np.concatenate(heads))
        return (np.concatenate([*(head.view(np.uint8) for head in heads), codes], 1).reshape(-1),)


def reciprocal(scale: Floats) -> Floats:
    """1 / scale, or 0 where that is not finite."""
    inverse: Floats = np.float32(1) / scale
    inverse[~np.isfinite(inverse)] = 0
    return inverse


def pack_halves(codes: NDArray[np.float32]) -> Bytes:
    """Codes 0 to 15 ``[n, 32]`` in 16 bytes: code i in the low half of byte i, i + 16 above it."""
    whole = np.minimum(np.trunc(codes), 15).astype(np.uint8)
    packed: Bytes = whole[:, :16] | (whole[:, 16:] << np.uint8(4))
    return packed


def unpack_halves(packed: Bytes) -> Floats:
    """The inverse of `pack_halves`."""
    return np.concatenate([packed & 15, packed >> 4], 1).astype(np.float32)


def read_half(blocks: Bytes, at: int) -> Floats:
    """The float16 at byte ``at`` of each block, ``[n, 1]``."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16).astype(np.float32)
