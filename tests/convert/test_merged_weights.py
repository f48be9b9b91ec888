"""Updates are added to the rows that are read, and to no others."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from convert.merged_weights import LowRankUpdate, MergedWeight
from convert.weights import ArrayWeight, FloatType, read_float32

RNG = np.random.default_rng(0)


def weight(*shape: int) -> ArrayWeight:
    return ArrayWeight("w", RNG.standard_normal(shape).astype(np.float32))


def test_rows_are_the_sum_in_float32():
    base = ArrayWeight("w", RNG.standard_normal((9, 7)).astype(ml_dtypes.bfloat16))
    one = LowRankUpdate(weight(9, 3), weight(3, 7), 0.5)
    two = LowRankUpdate(weight(7, 2), weight(2, 9), 1e-4, transposed=True)
    merged = MergedWeight(base, (one, two))
    expected = base.array.astype(np.float64)
    expected += 0.5 * one.up.array.astype(np.float64) @ one.down.array
    expected += 1e-4 * (two.up.array.astype(np.float64) @ two.down.array).T
    assert (merged.shape, merged.name, merged.dtype) == ((9, 7), "w", FloatType.F32)
    np.testing.assert_allclose(read_float32(merged), expected, rtol=1e-5, atol=1e-6)
    whole = merged.read_rows(0, 9)
    parts = np.concatenate([merged.read_rows(0, 4), merged.read_rows(4, 9)])
    assert whole.tobytes() == parts.tobytes()


def test_what_reads_the_same_is_known_by_it():
    base, update = weight(4, 4), LowRankUpdate(weight(4, 1), weight(1, 4), 1.0)
    assert MergedWeight(base, (update,)).identity == MergedWeight(base, (update,)).identity
    assert MergedWeight(base, (update,)).identity != base.identity
