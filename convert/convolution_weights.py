"""Lazy weights of short convolutions over the sequence, as matrices over neighbouring tokens."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedError
from convert.weights import Floats, FloatType, Rows, Weight, WeightView, read_float32

_BLOCK_BYTES = 32 << 20
"""Bytes of float32 that a product of weights takes in at a time."""


@dataclass(frozen=True)
class Taps(WeightView):
    """``W [out, in, K, 1]`` as the matrix ``[out, K·in]`` whose columns go tap by tap.

    In the checkpoint the taps of one input channel are neighbours. Apart, each tap is a matrix
    that can be cut by columns on its own, and no block of a quantized row mixes two taps, which
    differ in size.
    """

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows, and all taps of all channels."""
        return (self.weight.rows, self.weight.columns)

    def read_rows(self, start: int, stop: int) -> Rows:
        stored = self.weight.read_rows(start, stop)
        taps, count = self.weight.shape[2], stop - start
        rows = np.empty((count, taps, self.columns // taps), stored.dtype)
        for tap in range(taps):
            rows[:, tap] = stored[:, tap::taps]
        return rows.reshape(count, self.columns)

    @property
    def identity(self) -> Hashable:
        """That of the convolution's weight, rearranged."""
        return (Taps, self.weight.identity)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        taps = self.weight.shape[2]
        stored = values.reshape(len(values), taps, -1).transpose(0, 2, 1)
        yield from self.weight.put_back(stored.reshape(values.shape), start)


@dataclass(frozen=True)
class CollapsedTaps(Weight):
    """Two convolutions with nothing between them as one, whose taps go side by side.

    Of ``c[t] = Σ A_j x[t-j]`` and ``y[t] = Σ B_i c[t-i]`` it is ``C_k = Σ B_i A_j, i + j = k``,
    as the matrix ``[out, taps·in]``, oldest tap first. Computed in float32 when it is read, from
    some rows of B and one block of A after another.

    Args:
        name: Name of the result.
        outer: B, ``[out, inner, taps, 1]``.
        inner: A, ``[inner, in, taps, 1]``.
    """

    name: str
    outer: Weight
    inner: Weight

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows of the outer, channels of the inner, all taps that both reach together."""
        taps = self.outer.shape[2] + self.inner.shape[2] - 1
        return (self.outer.rows, taps * self.inner.shape[1])

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Float32, in which the products are made."""
        return FloatType.F32

    def read_rows(self, start: int, stop: int) -> Rows:
        outer = _by_tap(self.outer, start, stop)
        channels = self.inner.shape[1]
        rows = np.zeros((stop - start, self.shape[1] // channels, channels), np.float32)
        step = max(1, _BLOCK_BYTES // (4 * self.inner.columns))
        for first in range(0, self.inner.rows, step):
            last = min(first + step, self.inner.rows)
            inner = _by_tap(self.inner, first, last)
            for i, late in enumerate(outer):
                for j, early in enumerate(inner):
                    rows[:, i + j] += late[:, first:last] @ early
        return rows.reshape(stop - start, self.shape[1])

    @property
    def identity(self) -> Hashable:
        """Those of both convolutions' weights."""
        return (CollapsedTaps, self.outer.identity, self.inner.identity)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        raise _not_separable(self.name)


@dataclass(frozen=True)
class CarriedBias(Weight):
    """What the inner convolution's bias amounts to behind some taps of the outer: ``Σ B_i a``.

    Args:
        name: Name of the result, a vector.
        outer: B, ``[out, inner, taps, 1]``.
        bias: a, ``[inner]``.
        taps: Which of B's taps see a token.
        added: A vector to add, if any.
    """

    name: str
    outer: Weight
    bias: Weight
    taps: tuple[int, ...]
    added: Weight | None = None

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """One for each row of the outer convolution."""
        return (self.outer.rows,)

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Float32, in which the products are made."""
        return FloatType.F32

    def read_rows(self, start: int, stop: int) -> Rows:
        outer, inner = _by_tap(self.outer, start, stop), read_float32(self.bias)
        total = np.zeros((stop - start, 1), np.float32)
        for tap in self.taps:
            total[:, 0] += outer[tap] @ inner
        if self.added is not None:
            total += self.added.read_rows(start, stop).astype(np.float32)
        return total

    @property
    def identity(self) -> Hashable:
        """Those of all that goes into it."""
        added = None if self.added is None else self.added.identity
        return (CarriedBias, self.outer.identity, self.bias.identity, self.taps, added)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        raise _not_separable(self.name)


def _not_separable(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name} is a product of two weights, which cannot be told from it",
        remedy="fuse each convolution by itself",
    )


def _by_tap(weight: Weight, start: int, stop: int) -> NDArray[np.float32]:
    """Some rows of a convolution's weight as float32 ``[taps, rows, in]``."""
    taps = weight.shape[2]
    rows = weight.read_rows(start, stop).reshape(stop - start, weight.shape[1], taps)
    return np.ascontiguousarray(rows.transpose(2, 0, 1), dtype=np.float32)
