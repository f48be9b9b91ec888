"""Super-blocks whose blocks each have a scale and a minimum: what q2_k, q4_k and q5_k share."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.ggml import Floats
from passes.encodings.super_blocks import SUPER_BLOCK, SuperBlockEncoding
from passes.encodings.super_fitting import (
    PLAIN_FACTORS,
    PLAIN_MOVES,
    WEIGHTED_FACTORS,
    WEIGHTED_MOVES,
    find,
)

TOGETHER = 16
"""Super-blocks that a kernel takes at a time."""


class SuperLines(SuperBlockEncoding):
    """``w = d * scale * code - dmin * minimum``, with float16 d and dmin for 256 weights."""

    bits: int
    """Bits of a weight's code."""

    width: int
    """Weights that share a scale and a minimum, which are codes."""

    most: int
    """The largest of those."""

    @abstractmethod
    def pack(self, halves: Bytes, scales: Bytes, minima: Bytes, codes: Bytes) -> Bytes:
        """Super-blocks ``[n, block_bytes]``.

        Args:
            halves: The bytes of d and dmin ``[n, 4]``.
            scales: ``[n, blocks]``.
            minima: Likewise.
            codes: ``[n, 256]``.
        """

    @abstractmethod
    def unpack(self, stored: Bytes) -> tuple[Bytes, Bytes, Bytes, Bytes]:
        """The inverse of `pack`."""

    def decode_blocks(self, blocks: Bytes) -> Floats:
        halves, scales, minima, codes = self.unpack(blocks)
        units = np.ascontiguousarray(halves).view(np.float16).astype(np.float32)
        scale, minimum = units[:, :1] * scales, units[:, 1:] * minima
        in_blocks = codes.reshape(len(codes), -1, self.width)
        weights: Floats = scale[..., None] * in_blocks - minimum[..., None]
        return weights.reshape(-1, SUPER_BLOCK)

    def encode_super_blocks(self, x: Floats, m: Floats | None) -> tuple[NDArray[np.float16], Bytes]:
        factors, moves = _search(plain=m is None)
        blocks = self._in_blocks(x)
        costs = np.ones_like(blocks) if m is None else self._in_blocks(counting(m.T).T)
        levels = (1 << self.bits) - 1
        found = find(blocks, costs, levels, self.most, factors, moves)
        codes = found.codes(blocks, levels).transpose(2, 1, 0).reshape(-1, SUPER_BLOCK)
        halves = np.ascontiguousarray(found.halves.T)
        whole = (each.astype(np.uint8) for each in (found.scales.T, found.minima.T, codes))
        return found.halves, self.pack(halves.view(np.uint8), *whole)

    def _in_blocks(self, values: Floats) -> Floats:
        """``[256, n]`` as ``[weights of a block, blocks, n]``."""
        blocks: Floats = values.reshape(-1, self.width, values.shape[1]).transpose(1, 0, 2)
        return blocks

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        return self._run(words, kind, np.ones(SUPER_BLOCK, np.float32), planes, plain=True)

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        return self._run(words, kind, importance, planes, plain=False)

    def _run(
        self,
        words: Words,
        kind: int,
        importance: Floats,
        planes: tuple[Bytes, ...],
        *,
        plain: bool,
    ) -> int:
        from passes.encodings.kernels.super_codes import encode_super_blocks

        stored = self.block_words(planes[0])
        factors, moves = _search(plain=plain)
        return encode_super_blocks(
            words.reshape(len(stored), -1),
            kind,
            tiles_of(counting(importance)),
            self.bits,
            factors,
            moves,
            stored,
        )


def counting(importance: Floats) -> Floats:
    """The same, but 1 for super-blocks in which nothing counts: ``[n, 256]``, as returned."""
    blocks = importance.reshape(-1, SUPER_BLOCK)
    counted: Floats = np.where(blocks.any(1, keepdims=True), blocks, np.float32(1))
    return counted


def _search(*, plain: bool) -> tuple[Floats, Floats]:
    return (PLAIN_FACTORS, PLAIN_MOVES) if plain else (WEIGHTED_FACTORS, WEIGHTED_MOVES)


def tiles_of(blocks: Floats) -> Floats:
    """The importances of as many rows as fill tiles ``[width, 16]``, one tile after the other.

    Args:
        blocks: Of one row, ``[blocks, width]``.
    """
    rows = TOGETHER // math.gcd(len(blocks), TOGETHER)
    tiles = np.tile(blocks, (rows, 1)).reshape(-1, TOGETHER, blocks.shape[1])
    return np.ascontiguousarray(tiles.transpose(0, 2, 1)).reshape(-1)
