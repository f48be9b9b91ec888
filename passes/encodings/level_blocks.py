"""Blocks of 32 weights with one float16 scale, chosen by a search: Q5_0 and IQ4_NL."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.fitting import importance_of, rescaled, side_by_side
from passes.encodings.ggml import BLOCK, BlockEncoding, Floats, reciprocal
from passes.encodings.levels import Search
from passes.encodings.weighting import WeightableEncoding

_FLOAT32 = 0
"""See `passes.encodings.kernels.compiling`."""


def importance_by_blocks(importance: Floats, width: int) -> Floats:
    """The same, but for blocks in which nothing counts: there all weights count alike."""
    blocks = importance.reshape(-1, width)
    filled: Floats = np.where(blocks.any(1, keepdims=True), blocks, np.float32(1)).reshape(-1)
    return filled


def all_alike(words: Words, kind: int) -> Floats:
    """Importances for rows in which all weights count alike."""
    return np.ones(words.shape[1] // (2 if kind == _FLOAT32 else 1), np.float32)


class LevelBlocks(WeightableEncoding, BlockEncoding):
    """A block format whose scales are searched; plain, all columns of a block count the same."""

    search: Search

    @abstractmethod
    def pack(self, codes: Bytes) -> Bytes:
        """Codes ``[n, 32]`` as stored after the scale ``[n, block_bytes - 2]``."""

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        return self.run_weighted(words, kind, all_alike(words, kind), planes)

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        return self.weighted_reference(rows, np.ones(rows.shape[1], np.float32))

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.level_blocks import searched_blocks

        counted = importance_by_blocks(importance, BLOCK)
        stored = self.block_words(planes[0])
        return searched_blocks(words, kind, counted, *self.search.arrays(), stored)

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        levels, counted = self.search.levels, importance_by_blocks(importance, BLOCK)
        x, m = side_by_side(rows, BLOCK), importance_of(counted, BLOCK, len(rows))
        with np.errstate(all="ignore"):
            usual = levels.usual(x)
            self.checked(rows, usual.astype(np.float16))
            factor, _ = self.search.scales(x * reciprocal(usual), m)
            stored = rescaled(usual, factor).astype(np.float16)
            inverse = reciprocal(stored.astype(np.float32))
            codes = levels.codes(x * inverse).T
        heads = stored[:, None].view(np.uint8)
        return (np.concatenate([heads, self.pack(codes)], 1).reshape(-1),)
