"""Rows of weights that are hard to encode, for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from convert.weights import FloatType, Rows

HARD = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -7.5, 127.0, 1e-45, -1e-40, 1e-38, 6e-8, -6e-5, 3000.0],
    np.float32,
)
"""Zeros of both signs, ties, denormals of float32 and of float16, and a large value."""


@dataclass(frozen=True)
class HardRows:
    """Recipe for an array; small enough to print in a failing example."""

    rows: int
    columns: int
    dtype: FloatType
    seed: int
    scale: float
    hard_share: float

    def make(self) -> Rows:
        """Finite weights ``[rows, columns]``: Gaussian, some replaced by `HARD` values."""
        random = np.random.default_rng(self.seed)
        values = random.standard_normal((self.rows, self.columns)) * self.scale
        hard = random.random(values.shape) < self.hard_share
        values[hard] = random.choice(HARD, int(hard.sum()))
        return values.astype(np.float32).astype(self.dtype.numpy)


def hard_rows(columns: st.SearchStrategy[int]) -> st.SearchStrategy[HardRows]:
    """Rows not a multiple of 8, of the columns given."""
    return st.builds(
        HardRows,
        rows=st.integers(1, 11),
        columns=columns,
        dtype=st.sampled_from(FloatType),
        seed=st.integers(0, 2**16),
        scale=st.sampled_from([0.0, 1e-39, 1e-7, 1e-5, 0.02, 1.0, 900.0]),
        hard_share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    )
