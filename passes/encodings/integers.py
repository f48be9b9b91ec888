"""Integer codes with a float16 scale for each group of weights: w = scale * (code - zero)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes, Encoding, Plane
from passes.encodings.compiled import Words
from passes.encodings.fitting import (
    importance_of,
    rescaled,
    side_by_side,
    signed_scales,
    zeroed_scales,
)
from passes.encodings.weighting import WeightableEncoding

Floats = NDArray[np.float32]

SMALLEST_GROUP = 16


class IntegerEncoding(WeightableEncoding):
    """Codes ``lowest`` to ``highest``; a zero point for each group if there is no sign.

    Scales are float16 because OpenVINO's compressed weights and GPTQ's take them so, and
    codes are chosen with the scale as stored, so the rounding of the scale costs nothing. A
    scale is rounded up: then the extremes of a group stay within the codes, and every weight
    is at most half a step from what it decodes to. (Signed 4-bit codes reach farther to the
    one side than to the other; a group with equal extremes misses one of them by a step.)

    Args:
        name: Name in recipes.
        lowest: -127, -8 or 0.
        highest: 127, 255, 7 or 15.
        group: Weights that share a scale; None for the whole row.
        regroup: Makes the encoding of the same kind with another group; None where the group
            is the whole row.
    """

    def __init__(
        self,
        name: str,
        lowest: int,
        highest: int,
        group: int | None = None,
        regroup: Callable[[int], Encoding] | None = None,
    ) -> None:
        self.name = name
        self.lowest = lowest
        self.highest = highest
        self.group = group
        self.largest = f"{65504 * max(-lowest, highest):.2g} within a group"
        self._regroup = regroup

    @property
    def family(self) -> str:
        return self.name.partition("_g")[0]

    @property
    def code_dtype(self) -> str:
        """Element type of the codes."""
        return f"{'i' if self.lowest else 'u'}{4 if self.highest < 16 else 8}"

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Codes, scales, and zero points if there are any, shaped ``(groups, group)`` and
        ``(groups, 1)``, or ``(columns,)`` and ``(1,)`` where the group is the whole row.
        """
        codes: tuple[int, ...] = (columns,)
        one_each: tuple[int, ...] = (1,)
        if self.group is not None:
            groups = columns // self.group
            codes, one_each = (groups, self.group), (groups, 1)
        stored = [Plane("codes", self.code_dtype, codes), Plane("scales", "f16", one_each)]
        if self.lowest == 0:
            stored.append(Plane("zero_points", self.code_dtype, one_each))
        return tuple(stored)

    def fit(self, columns: int, *, power_of_two: bool = False) -> Encoding | None:
        """The same with the largest group that divides the columns, not above this group and
        not under 16.
        """
        if self.group is None or self._regroup is None:
            return self
        for group in range(self.group, SMALLEST_GROUP - 1, -1):
            if columns % group == 0 and not (power_of_two and group & (group - 1)):
                return self if group == self.group else self._regroup(group)
        return None

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.integers import integer_groups

        zero_points = planes[2] if self.lowest == 0 else np.empty(0, np.uint8)
        return integer_groups(
            words,
            kind,
            self.lowest,
            self.highest,
            planes[0],
            planes[1].view(np.uint16),
            zero_points,
        )

    @property
    def is_weightable(self) -> bool:
        """8-bit codes are fine enough as they are."""
        return self.highest < 16

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.weighted import weighted_integers

        return weighted_integers(
            words,
            kind,
            importance,
            self.lowest,
            planes[0],
            planes[1].view(np.uint16),
            np.empty(0, np.uint8) if self.lowest else planes[2],
        )

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        groups = rows.astype(np.float32).reshape(-1, self.group or rows.shape[1])
        with np.errstate(all="ignore"):
            wanted, zero_span = self._unrounded_scale(groups)
            scale = round_up(wanted)
            self.checked(rows, scale)
            zero = np.rint(zero_span * _reciprocal(scale))
        return self._stored(groups, scale, zero)

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        groups = rows.astype(np.float32).reshape(-1, self.group or rows.shape[1])
        width = groups.shape[1]
        m = importance_of(importance, width, len(rows))
        with np.errstate(all="ignore"):
            wanted, zero_span = self._unrounded_scale(groups)
            usual = round_up(wanted)
            self.checked(rows, usual)
            zero = np.rint(zero_span * _reciprocal(usual))
            x = side_by_side(groups * _reciprocal(usual), width)
            if self.lowest == 0:
                factor, moved = zeroed_scales(x, m, zero[:, 0])
                zero = moved[:, None]
            else:
                factor = signed_scales(x, m)
            scale = round_up(rescaled(usual.astype(np.float32), factor[:, None]))
        return self._stored(groups, scale, zero)

    def _stored(
        self, groups: Floats, scale: NDArray[np.float16], zero: Floats
    ) -> tuple[Bytes, ...]:
        with np.errstate(all="ignore"):
            codes = np.rint(groups * _reciprocal(scale)) + zero
        stored = [self._pack(np.clip(codes, self.lowest, self.highest))]
        stored.append(scale.view(np.uint8).reshape(-1))
        return tuple(stored if self.lowest else [*stored, self._pack(zero)])

    def _unrounded_scale(self, groups: Floats) -> tuple[Floats, Floats]:
        """The scale of each group, and how far below zero its codes must reach."""
        nothing = np.zeros((len(groups), 1), np.float32)
        if self.lowest == 0:
            low = np.minimum(groups.min(1, keepdims=True), 0)
            high = np.maximum(groups.max(1, keepdims=True), 0)
            return np.abs(high - low) / np.float32(self.highest), -low
        if -self.lowest == self.highest:
            return np.abs(groups).max(1, keepdims=True) / np.float32(self.highest), nothing
        farthest = np.abs(groups).argmax(1)[:, None]
        return np.take_along_axis(groups, farthest, 1) / np.float32(self.lowest), nothing

    def _pack(self, codes: Floats) -> Bytes:
        unpacked = codes.reshape(-1).astype(np.int16).astype(np.uint8)
        if self.highest > 15:
            return unpacked
        padded = np.append(unpacked, np.zeros(unpacked.size % 2, np.uint8)) & 15
        packed: Bytes = padded[::2] | (padded[1::2] << np.uint8(4))
        return packed

    def _unpack(self, data: Bytes, count: int) -> Floats:
        unpacked = data.reshape(-1)
        if self.highest < 16:
            unpacked = np.stack([unpacked & 15, unpacked >> 4], 1).reshape(-1)[:count]
        bits = 4 if self.highest < 16 else 8
        codes = unpacked.astype(np.float32)
        return np.where(codes > self.highest, codes - 2**bits, codes).astype(np.float32)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> Floats:
        group = self.group or columns
        codes = self._unpack(planes[0], rows * columns).reshape(-1, group)
        if self.lowest == 0:
            codes = codes - self._unpack(planes[2], len(codes))[:, None]
        scales = planes[1].reshape(-1).view(np.float16).astype(np.float32)
        return (codes * scales[:, None]).reshape(rows, columns)


def _reciprocal(scale: NDArray[np.float16]) -> Floats:
    """1 / scale, or 0 of 0."""
    inverse = np.float32(1) / scale.astype(np.float32)
    usable: Floats = np.where(scale == 0, np.float32(0), inverse)
    return usable


def round_up(values: Floats) -> NDArray[np.float16]:
    """The float16 nearest to each value among those whose magnitude is not smaller."""
    nearest = values.astype(np.float16)
    short = np.abs(nearest.astype(np.float32)) < np.abs(values)
    return (
        np.where(short, nearest.view(np.uint16) + 1, nearest.view(np.uint16))
        .astype(np.uint16)
        .view(np.float16)
    )
