"""Grids of ggml's super-blocks: scales of groups are codes, too, so those of 256 columns are chosen
together, and what they are multiples of stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedEncodingError
from passes.encodings.base import Bytes, Encoding
from passes.encodings.grids import Floats, Grid, Halves, Loss, Scales, grid_of
from passes.encodings.level_super_blocks import LevelSuperBlocks
from passes.encodings.super_blocks import SUPER_BLOCK
from passes.encodings.super_lines import SuperLines

NAMES = (
    "int4, int4_sym or nf4 with any group size, q4_0, q4_1, q5_0, q5_1, iq4_nl, iq4_xs, "
    "q2_k, q3_k, q4_k, q5_k or q6_k"
)
"""Encodings that have a grid, in words."""

AROUND = (-1, 0, 1)
"""Steps of the code of a scale, from the one that suits best, that are tried."""


@dataclass(frozen=True)
class _Sums:
    """Of each row, but `whole` of all of them: see `LineGrid.refit`."""

    square: Floats
    mixed: Floats
    whole: Floats
    by_scale: Floats
    by_minimum: Floats

    def cost(self, s: Floats, t: Floats) -> Floats:
        """Of adding to the scale, and to what is subtracted."""
        found: Floats = s * (s * self.square - 2 * (t * self.mixed + self.by_scale))
        return found + t * (t * self.whole + 2 * self.by_minimum)

    def best_minimum(self, s: Floats) -> Floats:
        """What to add to what is subtracted if so much is added to the scale."""
        added: Floats = (s * self.mixed - self.by_minimum) / self.whole
        return added

    def best_scale(self) -> Floats:
        """What to add to the scale."""
        wanted: Floats = self.by_scale * self.whole - self.by_minimum * self.mixed
        size: Floats = self.square * self.whole - self.mixed * self.mixed
        added: Floats = wanted / size
        return added


class SuperGrid(Grid):
    """A grid with groups of 256 columns that have units in common."""

    def _heads(self, scales: Sequence[Scales], count: int) -> Bytes:
        """The bytes of the first ``count`` units of each super-block."""
        firsts = scales[:: SUPER_BLOCK // self.group]
        units = np.stack([each.units for each in firsts if each.units is not None], -1)
        halves = units[:count].transpose(1, 2, 0).reshape(-1, count).astype(np.float16)
        return np.ascontiguousarray(halves).view(np.uint8)

    def _multiples(self, codes: Sequence[Halves]) -> Bytes:
        """Codes of each group ``[rows]`` as ``[super-blocks, groups]``."""
        by_row = np.stack(codes, 1).reshape(-1, SUPER_BLOCK // self.group)
        return np.ascontiguousarray(by_row.astype(np.uint8))


class LineGrid(SuperGrid):
    """q2_k, q4_k and q5_k."""

    def __init__(self, encoding: SuperLines) -> None:
        levels = np.arange(1 << encoding.bits, dtype=np.float32)
        super().__init__(
            encoding, encoding.width, SUPER_BLOCK, levels, levels[:-1] + np.float32(0.5)
        )
        self.is_even = True
        self._format = encoding

    def read_all(self, planes: tuple[Bytes, ...], rows: int) -> list[Scales]:
        stored = planes[0].reshape(rows, self._format.block_bytes)
        halves, scales, minima, _ = self._format.unpack(stored)
        units = np.ascontiguousarray(halves).view(np.float16).astype(np.float32).T
        nothing = np.zeros(rows, np.float32)
        return [
            Scales(_halves(scale), nothing, -_halves(minimum), units)
            for scale, minimum in zip(scales.T, minima.T, strict=True)
        ]

    def refit(self, scales: Scales, loss: Loss, places: Bytes) -> Scales:
        """The best pair of codes for these levels, of those around the best scale.

        With levels ``u`` and ``g = He + o``, to make the scale larger by ``s`` and what is
        subtracted by ``t`` costs ``s² uᵀHu + t² 1ᵀH1 - 2 s t uᵀH1 - 2 s uᵀg + 2 t 1ᵀg``.
        """
        levels, start = self.levels[places], scales.grid()
        turned = loss.moments @ levels
        missing = loss.moments @ (loss.weights - (levels * start[0] + start[2])) + loss.others
        sums = _Sums(
            np.einsum("gr,gr->r", levels, turned),
            turned.sum(0),
            loss.moments.sum().reshape(1),
            np.einsum("gr,gr->r", levels, missing),
            missing.sum(0),
        )
        with np.errstate(all="ignore"):
            c, k = self._walk(scales, start, sums)
        return replace(scales, scales=_halves(c), minima=-_halves(k))

    def _walk(self, scales: Scales, start: Floats, sums: _Sums) -> tuple[Floats, Floats]:
        """Codes of a scale and a minimum."""
        assert scales.units is not None
        unit, offset = scales.units
        given = scales.scales.astype(np.float32)
        best, least = (given, -scales.minima.astype(np.float32)), np.zeros_like(unit)
        center = np.rint((start[0] + sums.best_scale()) / unit)
        for tried in (given, *(center + step for step in AROUND)):
            c = np.clip(tried, 0, self._format.most)
            s = c * unit - start[0]
            k = np.rint((sums.best_minimum(s) - start[2]) / offset)
            k = np.clip(k, 0, self._format.most)
            cost = sums.cost(s, k * offset + start[2])
            better = cost < least
            best = np.where(better, c, best[0]), np.where(better, k, best[1])
            least = np.where(better, cost, least)
        return best

    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        stored = self._format.pack(
            self._heads(scales, 2),
            self._multiples([each.scales for each in scales]),
            self._multiples([-each.minima for each in scales]),
            places.reshape(-1, SUPER_BLOCK),
        )
        return (stored.reshape(-1),)


class SuperLevelGrid(SuperGrid):
    """q3_k, q6_k and iq4_xs."""

    def __init__(self, encoding: LevelSuperBlocks) -> None:
        chosen = encoding.search.levels
        levels = chosen.values(np.arange(chosen.count).astype(np.uint8))
        middle = (levels[1:] + levels[:-1]) / np.float32(2)
        super().__init__(encoding, SUPER_BLOCK // encoding.groups, SUPER_BLOCK, levels, middle)
        self.is_even = not chosen.is_codebook
        self._format = encoding
        self._lowest = encoding.head_search.levels.lowest

    def read_all(self, planes: tuple[Bytes, ...], rows: int) -> list[Scales]:
        stored = planes[0].reshape(rows, self._format.block_bytes)
        heads, scales, _ = self._format.unpack(stored)
        units = np.stack([heads[:, 0], np.zeros(rows, np.float32)])
        nothing = np.zeros(rows, np.float16)
        return [
            Scales(_halves(scale), nothing.astype(np.float32), nothing, units) for scale in scales.T
        ]

    def refit(self, scales: Scales, loss: Loss, places: Bytes) -> Scales:
        """The code next to the scale that is best for these levels, if it is better.

        With levels ``u``, to make the scale larger by ``s`` costs ``s² uᵀHu - 2 s uᵀ(He + o)``.
        """
        assert scales.units is not None
        unit, levels, start = scales.units[0], self.levels[places], scales.grid()[0]
        missing = loss.moments @ (loss.weights - levels * start) + loss.others
        wanted = np.einsum("gr,gr->r", levels, missing)
        square = np.einsum("gr,gr->r", levels, loss.moments @ levels)
        with np.errstate(all="ignore"):
            code = np.rint((start + wanted / square) / unit)
            code = np.clip(code, self._lowest, -self._lowest - 1)
            more = code * unit - start
            better = more * (more * square - 2 * wanted) < 0
        return replace(scales, scales=np.where(better, code, scales.scales).astype(np.float16))

    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        stored = self._format.pack(
            self._heads(scales, 1),
            self._multiples([each.scales - np.float16(self._lowest) for each in scales]),
            places.reshape(-1, SUPER_BLOCK),
        )
        return (stored.reshape(-1),)


def any_grid_of(encoding: Encoding) -> Grid | None:
    """The grid of an encoding, whether its groups are independent of each other or not."""
    if isinstance(encoding, SuperLines):
        return LineGrid(encoding)
    if isinstance(encoding, LevelSuperBlocks):
        return SuperLevelGrid(encoding)
    return grid_of(encoding)


def require_any_grid(encoding: Encoding) -> Grid:
    """The grid of an encoding.

    Raises:
        UnsupportedEncodingError: It has none.
    """
    grid = any_grid_of(encoding)
    if grid is None:
        raise UnsupportedEncodingError(
            f"weights cannot be rounded one after another to {encoding.name}", expected=NAMES
        )
    return grid


def _halves(codes: NDArray[np.generic]) -> Halves:
    """Codes, all of them small integers, as they are kept in `Scales`."""
    return codes.astype(np.float16)
