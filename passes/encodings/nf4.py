"""nf4 and nf4_dq: 4-bit codes that stand for quantiles of a normal distribution.

Codebook: QLoRA (Dettmers et al., 2023), appendix E. A group's scale is its largest magnitude.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import ROW_ALIGNMENT, Bytes, Encoding, Plane
from passes.encodings.compiled import Words
from passes.encodings.fitting import codebook_scales, importance_of, rescaled, side_by_side
from passes.encodings.integers import SMALLEST_GROUP, round_up
from passes.encodings.weighting import WeightableEncoding

Floats = NDArray[np.float32]

DEFAULT_GROUP = 64
SUPER_GROUP = 256
"""Scales that share a float32 in ``nf4_dq``."""

CODEBOOK: Floats = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
    np.float32,
)
MIDPOINTS: Floats = ((CODEBOOK[1:].astype(np.float64) + CODEBOOK[:-1]) / 2).astype(np.float32)


class Nf4(WeightableEncoding):
    """A float16 scale for each group: 4.25 bits a weight.

    The codes are those nearest to the weights divided by the scale as stored, so the rounding
    of the scale costs nearly nothing; it is rounded up, so that no weight lies beyond the codes.

    Args:
        group: Weights that share a scale: a power of two, 16 or more.
    """

    family = "nf4"
    largest = "65504"

    def __init__(self, group: int = DEFAULT_GROUP) -> None:
        self.group = group
        self.name = self.family if group == DEFAULT_GROUP else f"{self.family}_g{group}"

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Codes ``(groups, group)`` and scales ``(groups, 1)``."""
        groups = columns // self.group
        codes = Plane("codes", "nf4", (groups, self.group))
        return (codes, Plane("scales", "f16", (groups, 1)))

    def fit(self, columns: int, *, power_of_two: bool = False) -> Encoding | None:
        """The same with the largest power of two that divides the columns as group, not above
        this group and not under 16.
        """
        group = min(self.group, columns & -columns)
        if group < SMALLEST_GROUP:
            return None
        return self if group == self.group else type(self)(group)

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.nf4 import nf4_groups

        scales = planes[1].view(np.uint16).reshape(len(words), -1)
        return nf4_groups(words, kind, self.group, planes[0], scales)

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.weighted import weighted_nf4

        halves = planes[1].view(np.uint16)
        return weighted_nf4(words, kind, importance, self.group, planes[0], halves)

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        groups = rows.astype(np.float32).reshape(-1, self.group)
        with np.errstate(all="ignore"):
            scales = round_up(np.abs(groups).max(1))
        self.checked(rows, scales)
        return pack_codes(groups, scales.astype(np.float32)), scales.view(np.uint8)

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        groups = rows.astype(np.float32).reshape(-1, self.group)
        with np.errstate(all="ignore"):
            usual = round_up(np.abs(groups).max(1))
            self.checked(rows, usual)
            x = side_by_side(groups * finite_reciprocal(usual.astype(np.float32)), self.group)
            m = importance_of(importance, self.group, len(rows))
            factor = codebook_scales(x, m, nearest)
            scales = round_up(rescaled(usual.astype(np.float32), factor))
        return pack_codes(groups, scales.astype(np.float32)), scales.view(np.uint8)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> Floats:
        scales = planes[1].reshape(-1).view(np.float16).astype(np.float32)
        return unpack_codes(planes[0], scales).reshape(rows, columns)


class Nf4DoubleQuantized(Nf4):
    """Scales as FP8 (E4M3), and a float32 scale for each 256 of them: 4.127 bits a weight.

    The 256 are consecutive scales of a row, the last of a row fewer if need be; where rows have
    fewer, those of 2, 4 or 8 rows are counted through.

    The float32 scale is a power of two, the least that keeps its 256 within E4M3. Floating-point
    numbers are no finer for filling their range to the last (mean squared errors on normal and on
    heavy-tailed weights are within 0.2 % of those of mapping the largest to 448), and a power of
    two makes the scale of a group independent of its neighbours', as long as none is 2**14 times
    as large: a shard of a matrix is encoded exactly as within the whole. E4M3 is rounded to
    nearest. (bitsandbytes stores scales as 8-bit codes of a codebook of its own, after
    subtracting their mean.)
    """

    family = "nf4_dq"
    largest = "3.2e38"

    @property
    def is_weightable(self) -> bool:
        """E4M3 is too coarse for scales that are chosen finely."""
        return False

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Codes ``(groups, group)``, scales ``(groups, 1)``, and the scales of scales."""
        groups = columns // self.group
        super_groups = -(-groups // SUPER_GROUP)
        return (
            Plane("codes", "nf4", (groups, self.group)),
            Plane("scales", "f8e4m3", (groups, 1)),
            Plane("super_scales", "f32", (super_groups,), shared_rows(groups)),
        )

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.compiling import FLOAT32
        from passes.encodings.kernels.nf4 import nf4_nested_groups

        groups = words.shape[1] // (2 if kind == FLOAT32 else 1) // self.group
        shared, super_scales = shared_rows(groups), planes[2].view(np.float32)
        return nf4_nested_groups(
            words, kind, self.group, shared, planes[0], planes[1], super_scales
        )

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        groups = rows.astype(np.float32).reshape(-1, self.group)
        with np.errstate(all="ignore"):
            largest = np.abs(groups).max(1)
            member = super_group_of(len(rows), rows.shape[1] // self.group)
            super_scales = np.zeros(member[-1] + 1, np.float32)
            np.maximum.at(super_scales, member, largest)
            super_scales = _least_power_of_two(super_scales)
            codes = (largest / super_scales[member]).astype(ml_dtypes.float8_e4m3fn)
            scales = codes.astype(np.float32) * super_scales[member]
        self.checked(rows, scales)
        packed = pack_codes(groups, scales)
        return packed, codes.view(np.uint8), super_scales.view(np.uint8)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> Floats:
        scales = planes[1].reshape(-1).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
        super_scales = planes[2].reshape(-1).view(np.float32)
        scales *= super_scales[super_group_of(rows, columns // self.group)]
        return unpack_codes(planes[0], scales).reshape(rows, columns)


def shared_rows(groups: int) -> int:
    """Consecutive rows, a power of two, that together have 256 groups at most."""
    shared = ROW_ALIGNMENT
    while shared > 1 and shared * groups > SUPER_GROUP:
        shared //= 2
    return shared


def super_group_of(rows: int, groups: int) -> NDArray[np.int64]:
    """Which float32 scale each of the ``rows * groups`` groups has, numbered in order."""
    row, group = np.divmod(np.arange(rows * groups), groups)
    super_groups = -(-groups // SUPER_GROUP)
    numbers: NDArray[np.int64] = row // shared_rows(groups) * super_groups + group // SUPER_GROUP
    return numbers


def pack_codes(groups: Floats, scales: Floats) -> Bytes:
    """Nearest codes of ``groups`` ``[n, group]``, two a byte, the first in the low half; of two
    equally near the lower.
    """
    with np.errstate(all="ignore"):
        normalized = (groups * finite_reciprocal(scales)).reshape(-1)
    codes = np.searchsorted(MIDPOINTS, normalized).astype(np.uint8)
    packed: Bytes = codes[::2] | (codes[1::2] << np.uint8(4))
    return packed


def nearest(weights: NDArray[np.floating]) -> Floats:
    """The values of the codebook nearest to weights, as float32; of two the lower."""
    return CODEBOOK[np.searchsorted(MIDPOINTS, weights.astype(np.float32))]


def finite_reciprocal(scales: Floats) -> Floats:
    """1 / scale as a column, or 0 where that is not finite."""
    inverse = np.float32(1) / scales
    usable: Floats = np.where(np.isfinite(inverse), inverse, np.float32(0))
    return usable[:, None]


def unpack_codes(packed: Bytes, scales: Floats) -> Floats:
    """The weights ``[n, group]`` that codes and the scale of each group stand for."""
    codes = np.stack([packed & 15, packed >> 4], -1).reshape(len(scales), -1)
    return CODEBOOK[codes] * scales[:, None]


def _least_power_of_two(largest: Floats) -> Floats:
    """The least p = 2**k >= 2**-126 with ``largest`` <= 448 * p."""
    least = np.maximum(largest.astype(np.float64) / 448, 2.0**-126)
    mantissa, exponent = np.frexp(least)
    return np.ldexp(1.0, np.where(mantissa == 0.5, exponent - 1, exponent)).astype(np.float32)
