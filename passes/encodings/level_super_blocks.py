"""Super-blocks of groups whose scales, multiples of one more, are searched: Q6_K, Q3_K, IQ4_XS."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.ggml import Floats, reciprocal
from passes.encodings.level_blocks import all_alike, importance_by_blocks
from passes.encodings.levels import Search, fit_heads
from passes.encodings.super_blocks import SUPER_BLOCK, SuperBlockEncoding


class LevelSuperBlocks(SuperBlockEncoding):
    """A format of super-blocks in which ``w = head * scale * level``."""

    groups: int
    """Of a super-block."""

    search: Search
    """For the scales of groups."""

    head_search: Search
    """For what these are multiples of, with the levels of the multiples."""

    @abstractmethod
    def pack(self, heads: Bytes, scales: Bytes, codes: Bytes) -> Bytes:
        """Super-blocks ``[n, block_bytes]``.

        Args:
            heads: Float16, ``[n, 2]``.
            scales: Codes ``[n, groups]``, from 0 on.
            codes: ``[n, 256]``, from 0 on.
        """

    @abstractmethod
    def unpack(self, blocks: Bytes) -> tuple[Floats, NDArray[np.int8], Bytes]:
        """The inverse of `pack`, but for heads and scales as numbers: ``[n, 1], [n, groups]``."""

    def decode_blocks(self, blocks: Bytes) -> Floats:
        return self.scaled(*self.unpack(blocks))

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        return self.run_weighted(words, kind, all_alike(words, kind), planes)

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.super_levels import searched_super_blocks

        counted = importance_by_blocks(importance, SUPER_BLOCK)
        levels, factors, neighbours = self.search.arrays()
        scale_levels, scale_factors, _ = self.head_search.arrays()
        kinds = (self.groups, levels, scale_levels)
        stored = planes[0].reshape(-1, self.block_bytes)
        return searched_super_blocks(
            words, kind, counted, *kinds, factors, neighbours, scale_factors, stored
        )

    def encode_super_blocks(self, x: Floats, m: Floats | None) -> tuple[NDArray[np.float16], Bytes]:
        counted = np.ones_like(x) if m is None else np.where(m.any(0), m, np.float32(1))
        groups = self._side_by_side(x)
        usual = self.search.levels.usual(groups)
        factor, weight = self.search.scales(groups * reciprocal(usual), self._side_by_side(counted))
        by_group = (self.groups, x.shape[1])
        scale = (usual * factor).reshape(by_group)
        head, multiples, largest = fit_heads(scale, weight.reshape(by_group), self.head_search)
        inverse = reciprocal(head.astype(np.float32) * multiples)
        codes = self.search.levels.codes(groups * inverse.reshape(-1))
        in_place = codes.reshape(-1, *by_group).transpose(2, 1, 0).reshape(-1, SUPER_BLOCK)
        scales = (multiples - self.head_search.levels.lowest).astype(np.uint8)
        return largest, self.pack(head[:, None].view(np.uint8), scales.T, in_place)

    def _side_by_side(self, x: Floats) -> Floats:
        """Groups ``[width, groups * super-blocks]`` of super-blocks ``[256, super-blocks]``."""
        groups = x.reshape(self.groups, -1, x.shape[1]).transpose(1, 0, 2)
        laid_out: Floats = groups.reshape(-1, self.groups * x.shape[1])
        return laid_out

    def scaled(self, heads: Floats, scales: NDArray[np.int8], codes: Bytes) -> Floats:
        """Weights ``[n, 256]`` of what `unpack` gives."""
        values = self.search.levels.values(codes).reshape(len(codes), self.groups, -1)
        scale = heads * scales.astype(np.float32)
        weights: Floats = (scale[:, :, None] * values).reshape(codes.shape)
        return weights
