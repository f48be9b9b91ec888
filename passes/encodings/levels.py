"""Reference of `passes.encodings.kernels.levels`: scales for weights that are rounded to levels.

Levels are integers of both signs, one more of them negative, or the codebook of IQ4_NL.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passes.encodings.base import Bytes
from passes.encodings.fitting import LARGEST_HALF, fused, sum_of_products
from passes.encodings.ggml import Floats, reciprocal

Halves = NDArray[np.float16]

CODEBOOK: Floats = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)
"""``kvalues_iq4nl`` in ggml-common.h."""

LOWEST_VALUE = np.float32(-127)
PLACE: Floats = np.array(
    [8.186579e-11, -6.9163247e-10, -2.7435426e-06, 1.9509705e-06, 0.085292354, -0.12156448],
    np.float32,
)
"""Polynomial that rounds to a place from -8 on, and errs by 0.026 at most."""

AT_PLACE: Floats = np.array(
    [0.0015860428, 0.08183981, -0.016812054, 11.43981, 1.4329897], np.float32
)
"""Polynomial that rounds to the value at a place."""

MIDPOINTS: Floats = (CODEBOOK[1:] + CODEBOOK[:-1]) / np.float32(2)


@dataclass(frozen=True)
class Levels:
    """What weights are rounded to.

    Args:
        count: 16 for the codebook, 2n for the integers from -n to n - 1.
    """

    count: int

    @property
    def is_codebook(self) -> bool:
        """Whether they are the values of IQ4_NL."""
        return self.count == len(CODEBOOK)

    @property
    def lowest(self) -> np.float32:
        """The level of largest magnitude."""
        lowest: np.float32 = LOWEST_VALUE if self.is_codebook else np.float32(-(self.count // 2))
        return lowest

    def near(self, x: Floats, factor: Floats | np.float32) -> Floats:
        """The levels nearest to products, of two integers the even one; see also `near_values`."""
        if self.is_codebook:
            return near_values(x * factor)
        # float64 holds the product: the kernel multiplies and rounds in one.
        whole = np.clip(np.rint(x * np.asarray(factor, np.float64)), self.lowest, -self.lowest - 1)
        return whole.astype(np.float32)

    def codes(self, values: Floats) -> Bytes:
        """The places, from the lowest level on, of those nearest to numbers."""
        if self.is_codebook:
            return np.searchsorted(MIDPOINTS, values).astype(np.uint8)
        whole = np.clip(np.rint(values), self.lowest, -self.lowest - 1)
        return (whole - self.lowest).astype(np.uint8)

    def values(self, codes: Bytes) -> Floats:
        """The levels at places."""
        if self.is_codebook:
            return CODEBOOK[codes]
        return codes.astype(np.float32) + self.lowest

    def usual(self, x: Floats) -> Floats:
        """Scales ``[groups]`` at which the farthest of weights ``[width, groups]`` is lowest."""
        high, low = np.maximum(x.max(0), 0), np.minimum(x.min(0), 0)
        usual: Floats = np.where(-low > high, low, high) / self.lowest
        return usual


@dataclass(frozen=True)
class Search:
    """Which scales are tried.

    Args:
        levels: What weights are rounded to.
        factors: As multiples of the usual reciprocal.
        neighbours: As multiples of the best reciprocal so far, one after the other.
    """

    levels: Levels
    factors: tuple[float, ...]
    neighbours: tuple[float, ...] = ()

    def arrays(self) -> tuple[int, Floats, Floats]:
        """The same for a kernel."""
        factors, neighbours = (
            np.array(each, np.float32) for each in (self.factors, self.neighbours)
        )
        return self.levels.count, factors, neighbours

    def scales(self, x: Floats, m: Floats) -> tuple[Floats, Floats]:
        """Scales as multiples of the usual, and the sum of m * level**2 with them.

        Args:
            x: Weights as multiples of the usual scales, ``[width, groups]``.
            m: Importances, likewise.
        """
        gain, weight = np.zeros((2, x.shape[1]), np.float32)
        scale = np.ones(x.shape[1], np.float32)
        _, factors, neighbours = self.arrays()
        for k, given in enumerate((*factors, *neighbours)):
            factor = given if k < len(factors) else given / scale
            values = self.levels.near(x, factor)
            product = m * values
            a, b = sum_of_products(x, product), sum_of_products(values, product)
            ratio = a / b
            found = a * ratio
            better = found > gain
            gain[better], scale[better], weight[better] = found[better], ratio[better], b[better]
        return scale, weight


def fit_heads(scale: Floats, weight: Floats, search: Search) -> tuple[Halves, Floats, Halves]:
    """What the scales of a super-block's groups are multiples of, and the multiples.

    Args:
        scale: ``[groups, super-blocks]``.
        weight: How much each counts.
        search: With the levels of the multiples.

    Returns:
        The float16, the multiples, and the float16 that are usual.
    """
    usual = search.levels.usual(scale)
    relative = scale * reciprocal(usual)
    factor, _ = search.scales(relative, weight)
    # Adding zero makes positive what is zero, as in the kernel.
    wanted = np.clip(usual * factor, -LARGEST_HALF, LARGEST_HALF) + np.float32(0)
    near = wanted.astype(np.float16)
    outward = np.nextafter(near, np.copysign(np.float16(np.inf), near))
    short = np.abs(near.astype(np.float32)) < np.abs(wanted)
    head = near.copy()
    errors = []
    for half in (near, np.where(short, outward, near)):
        unit = half.astype(np.float32) * reciprocal(usual)
        inverse = reciprocal(unit)
        error = np.zeros_like(unit)
        codes = search.levels.values(search.levels.codes(relative * inverse))
        for row, code, counted in zip(relative, codes, weight, strict=True):
            missing = row - unit * code
            error = fused(counted * missing, missing, error)
        errors.append((half, error, codes))
    (near, near_error, codes), (far, far_error, far_codes) = errors
    better = near_error > far_error
    head = np.where(better, far, near)
    return head, np.where(better, far_codes, codes), usual.astype(np.float16)


def near_values(x: Floats) -> Floats:
    """Values of the codebook that are nearest to numbers, or nearly so: see `PLACE`."""
    place = _polynomial(PLACE, np.clip(x, CODEBOOK[0], CODEBOOK[-1]))
    return np.rint(_polynomial(AT_PLACE, np.rint(place)))


def _polynomial(factors: Floats, x: Floats) -> Floats:
    """By Horner's rule, each step rounded once."""
    total = np.full_like(x, factors[0])
    for factor in factors[1:]:
        total = fused(total, x, np.full_like(x, factor))
    return total
