"""Lazy weights whose rows and columns are multiplied when they are read."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from convert.weights import ComputedWeight, Floats, Rows, Weight


@dataclass(frozen=True, eq=False)
class ScaledWeight(ComputedWeight):
    """``W[i, j] · columns[j] / rows[i]`` in float32.

    Args:
        weight: W.
        column_factors: Positive, ``[columns]``; None for ones.
        row_divisors: Positive, ``[rows]``; None for ones.
    """

    column_factors: Floats | None = None
    row_divisors: Floats | None = None

    @property
    def identity(self) -> Hashable:
        """That of W, and digests of what it is multiplied with."""
        factors = (self.column_factors, self.row_divisors)
        digests = (None if each is None else sha256(each.tobytes()).digest() for each in factors)
        return (ScaledWeight, self.weight.identity, *digests)

    def read_rows(self, start: int, stop: int) -> Rows:
        rows = self.weight.read_rows(start, stop).astype(np.float32)
        if self.column_factors is not None:
            rows *= self.column_factors
        if self.row_divisors is not None:
            rows /= self.row_divisors[start:stop, None]
        return rows

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        original = values.astype(np.float32)
        if self.row_divisors is not None:
            original *= self.row_divisors[start : start + len(values), None]
        if self.column_factors is not None:
            original /= self.column_factors
        yield from self.weight.put_back(original, start)
