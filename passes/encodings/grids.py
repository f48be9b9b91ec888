"""Encodings as grids: which values a group of weights may take, and how they are stored.

A group's values are ``scale * (level - zero) + minimum``. Those of groups that are independent of
each other are here; those of super-blocks in `passes.encodings.super_grids`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedEncodingError
from passes.encodings.base import Bytes, Encoding
from passes.encodings.ggml import BLOCK, pack_halves
from passes.encodings.integers import IntegerEncoding
from passes.encodings.level_blocks import LevelBlocks
from passes.encodings.nf4 import CODEBOOK, MIDPOINTS, Nf4, Nf4DoubleQuantized
from passes.encodings.q4_0 import Q4_0
from passes.encodings.q4_1 import Q4_1
from passes.encodings.q5_1 import Q5_1, pack_fives
from passes.encodings.weighting import WeightableEncoding

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

STEPS: Floats = np.arange(16, dtype=np.float32)


@dataclass(frozen=True)
class Scales:
    """What places a grid: one of each for every row of one group of columns, ``[rows]``.

    Args:
        scales: As stored.
        zeros: Zero points; zeros where there are none.
        minima: As stored; zeros where there are none.
        units: What scales and minima are multiples of, ``[2, rows]``, if they are.
    """

    scales: Halves
    zeros: Floats
    minima: Halves
    units: Floats | None = None

    def grid(self) -> Floats:
        """Scales, zeros and minima as float32 ``[3, rows]``."""
        scales, minima = self.scales.astype(np.float32), self.minima.astype(np.float32)
        if self.units is not None:
            scales, minima = scales * self.units[0], minima * self.units[1]
        return np.stack([scales, self.zeros, minima])


@dataclass(frozen=True)
class Loss:
    """What rounding a group of columns costs, in errors ``e`` of its weights: ``eᵀHe + 2 eᵀo``.

    Args:
        weights: ``[group, rows]``.
        moments: H, ``[group, group]``.
        others: o, what the errors of other groups add, ``[group, rows]``.
    """

    weights: Floats
    moments: Floats
    others: Floats


class Grid(ABC):
    """The grid of an encoding.

    Args:
        encoding: For whole rows.
        group: Columns that share a scale.
        span: Columns whose scales are chosen together.
        levels: Ascending.
        midpoints: The numbers halfway between them.
    """

    def __init__(
        self,
        encoding: WeightableEncoding,
        group: int,
        span: int,
        levels: Floats,
        midpoints: Floats,
    ) -> None:
        self.encoding = encoding
        self.group = group
        self.span = span
        self.levels = levels
        self.midpoints = midpoints
        self.is_even = False
        """Whether levels are known to be successive integers."""

    def choose_all(self, values: Floats, costs: Floats) -> list[Scales]:
        """The scales that fit a span's groups best, each squared error weighted by a cost.

        Args:
            values: ``[rows, span]``.
            costs: ``[span]``.

        Raises:
            UnsupportedEncodingError: A value is too large.
        """
        return self.read_all(self.encoding.weighted(costs).encode(values), len(values))

    @abstractmethod
    def read_all(self, planes: tuple[Bytes, ...], rows: int) -> list[Scales]:
        """The scales of each group in the planes of rows of one span."""

    @abstractmethod
    def refit(self, scales: Scales, loss: Loss, places: Bytes) -> Scales:
        """The scales of a group that suit its levels, as they can be stored.

        Args:
            scales: Those that it has.
            loss: What they cost.
            places: Numbers of levels ``[group, rows]``.
        """

    @abstractmethod
    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        """The planes of whole rows.

        Args:
            places: Numbers of levels ``[rows, columns]``.
            scales: Of each group.
        """


class GroupGrid(Grid):
    """The grid of an encoding whose groups are independent of each other."""

    def __init__(
        self, encoding: WeightableEncoding, group: int, levels: Floats, midpoints: Floats
    ) -> None:
        super().__init__(encoding, group, group, levels, midpoints)

    def choose(self, values: Floats, costs: Floats) -> Scales:
        """`choose_all` of one group."""
        [scales] = self.choose_all(values, costs)
        return scales

    def read_all(self, planes: tuple[Bytes, ...], rows: int) -> list[Scales]:
        return [self.read(planes, rows)]

    @abstractmethod
    def read(self, planes: tuple[Bytes, ...], rows: int) -> Scales:
        """The scales in the planes of rows of one group."""

    def refit(self, scales: Scales, loss: Loss, places: Bytes) -> Scales:
        """With ``e = w - s u - m`` for steps ``u``, scale ``s`` and minimum ``m`` the loss is least
        for ``s = uᵀ(H(w - m) + o) / uᵀHu``.
        """
        _, zeros, minima = scales.grid()
        steps = self.levels[places] - zeros
        missing = loss.moments @ (loss.weights - minima) + loss.others
        wanted = np.einsum("gr,gr->r", steps, missing)
        size = np.einsum("gr,gr->r", steps, loss.moments @ steps)
        with np.errstate(all="ignore"):
            found = (wanted / size).astype(np.float16)
        usable = (
            np.isfinite(found) & (found != 0) & (np.signbit(found) == np.signbit(scales.scales))
        )
        return replace(scales, scales=np.where(usable, found, scales.scales))


class IntegerGrid(GroupGrid):
    """int4 and int4_sym."""

    def __init__(self, encoding: IntegerEncoding) -> None:
        assert encoding.group is not None
        levels = STEPS + np.float32(encoding.lowest)
        super().__init__(encoding, encoding.group, levels, levels[:-1] + np.float32(0.5))
        self._lowest = encoding.lowest

    def read(self, planes: tuple[Bytes, ...], rows: int) -> Scales:
        scales = planes[1].view(np.float16)
        zeros = np.zeros(rows, np.float32)
        if not self._lowest:
            zeros = unpack_nibbles(planes[2], rows).astype(np.float32)
        return Scales(scales, zeros, np.zeros(rows, np.float16))

    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        codes = pack_nibbles((places + np.uint8(self._lowest % 16)) & np.uint8(15))
        halves = _side_by_side([each.scales for each in scales])
        if self._lowest:
            return codes, halves.view(np.uint8).reshape(-1)
        zeros = _side_by_side([each.zeros for each in scales]).astype(np.uint8)
        return codes, halves.view(np.uint8).reshape(-1), pack_nibbles(zeros)


class Nf4Grid(GroupGrid):
    """nf4."""

    def __init__(self, encoding: Nf4) -> None:
        super().__init__(encoding, encoding.group, CODEBOOK, MIDPOINTS)

    def read(self, planes: tuple[Bytes, ...], rows: int) -> Scales:
        nothing = np.zeros(rows, np.float16)
        return Scales(planes[1].view(np.float16), nothing.astype(np.float32), nothing)

    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        halves = _side_by_side([each.scales for each in scales])
        return pack_nibbles(places), halves.view(np.uint8).reshape(-1)


class BlockGrid(GroupGrid):
    """q4_0, q4_1 and q5_1."""

    def __init__(self, encoding: Q4_0 | Q4_1 | Q5_1) -> None:
        self._has_minima, self._has_fifths = not isinstance(encoding, Q4_0), encoding.name == "q5_1"
        levels = STEPS - np.float32(0 if self._has_minima else 8)
        if self._has_fifths:
            levels = np.arange(32, dtype=np.float32)
        super().__init__(encoding, BLOCK, levels, levels[:-1] + np.float32(0.5))
        self._block_bytes = encoding.block_bytes

    def read(self, planes: tuple[Bytes, ...], rows: int) -> Scales:
        blocks = planes[0].reshape(rows, self._block_bytes)
        heads = np.ascontiguousarray(blocks[:, :4]).view(np.float16)
        nothing = np.zeros(rows, np.float16)
        return Scales(
            heads[:, 0], nothing.astype(np.float32), heads[:, 1] if self._has_minima else nothing
        )

    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        heads = [_side_by_side([each.scales for each in scales])]
        if self._has_minima:
            heads.append(_side_by_side([each.minima for each in scales]))
        blocks = places.reshape(-1, BLOCK)
        codes = pack_fives(blocks) if self._has_fifths else pack_halves(blocks.astype(np.float32))
        parts = [head.reshape(-1, 1).view(np.uint8) for head in heads]
        return (np.concatenate([*parts, codes], 1).reshape(-1),)


class LevelGrid(GroupGrid):
    """q5_0 and iq4_nl."""

    def __init__(self, encoding: LevelBlocks) -> None:
        chosen = encoding.search.levels
        levels = chosen.values(np.arange(chosen.count).astype(np.uint8))
        super().__init__(encoding, BLOCK, levels, (levels[1:] + levels[:-1]) / np.float32(2))
        self._pack, self._block_bytes = encoding.pack, encoding.block_bytes

    def read(self, planes: tuple[Bytes, ...], rows: int) -> Scales:
        blocks = planes[0].reshape(rows, self._block_bytes)
        nothing = np.zeros(rows, np.float16)
        heads = np.ascontiguousarray(blocks[:, :2]).view(np.float16)[:, 0]
        return Scales(heads, nothing.astype(np.float32), nothing)

    def pack(self, places: Bytes, scales: list[Scales]) -> tuple[Bytes, ...]:
        heads = _side_by_side([each.scales for each in scales]).reshape(-1, 1).view(np.uint8)
        return (np.concatenate([heads, self._pack(places.reshape(-1, BLOCK))], 1).reshape(-1),)


def grid_of(encoding: Encoding) -> GroupGrid | None:
    """The grid of an encoding whose groups are independent of each other; None of others."""
    if isinstance(encoding, IntegerEncoding) and encoding.is_weightable and encoding.group:
        return IntegerGrid(encoding)
    if isinstance(encoding, Nf4) and not isinstance(encoding, Nf4DoubleQuantized):
        return Nf4Grid(encoding)
    if isinstance(encoding, LevelBlocks):
        return LevelGrid(encoding)
    return BlockGrid(encoding) if isinstance(encoding, (Q4_0, Q4_1, Q5_1)) else None


def require_grid(encoding: Encoding) -> GroupGrid:
    """The grid of an encoding.

    Raises:
        UnsupportedEncodingError: It has none.
    """
    grid = grid_of(encoding)
    if grid is None:
        raise UnsupportedEncodingError(
            f"weights cannot be rounded one after another to {encoding.name}",
            expected="int4, int4_sym or nf4 with any group size, q4_0, q4_1, q5_0, q5_1, iq4_nl",
        )
    return grid


def pack_nibbles(codes: Bytes) -> Bytes:
    """Codes 0 to 15, all of them in a row, two a byte, the first in the low half."""
    flat = codes.reshape(-1)
    padded = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    packed: Bytes = padded[::2] | (padded[1::2] << np.uint8(4))
    return packed


def unpack_nibbles(packed: Bytes, count: int) -> Bytes:
    """The inverse of `pack_nibbles`."""
    return np.stack([packed & 15, packed >> 4], -1).reshape(-1)[:count]


def _side_by_side(columns: list[NDArray[np.floating]]) -> NDArray[np.floating]:
    return np.ascontiguousarray(np.stack(columns, 1))
