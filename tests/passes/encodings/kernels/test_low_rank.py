"""A thin product is added, whichever rows are computed together."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.low_rank import add_low_rank


def test_rows_are_the_same_to_the_bit_in_any_chunks():
    rng = np.random.default_rng(0)
    rows, left, right = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((37, 53), (37, 11), (11, 53))
    )
    scale = np.float32(0.7)
    expected = rows + 0.7 * (left.astype(np.float64) @ right)
    whole, parts = rows.copy(), rows.copy()
    add_low_rank(whole, left, right, scale)
    for start in range(0, 37, 5):
        stop = min(37, start + 5)
        add_low_rank(parts[start:stop], left[start:stop].copy(), right, scale)
    assert whole.tobytes() == parts.tobytes()
    np.testing.assert_allclose(whole, expected, atol=12 * 2.0**-24 * np.abs(expected).max() * 4)
