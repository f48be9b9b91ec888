"""The kernel that rounds columns in order, against plain numpy."""

import numpy as np
import pytest

from passes.encodings.kernels.feedback import LANES, round_in_order
from passes.encodings.nf4 import CODEBOOK, MIDPOINTS

STEPS = np.arange(16, dtype=np.float32)


def reference(weights, wanted, feedback, midpoints, levels, grid):
    scale, zero, minimum = grid
    inverse = np.where(scale == 0, np.float32(0), np.float32(1) / np.where(scale == 0, 1, scale))
    errors, places = np.empty_like(weights), np.empty(weights.shape, np.uint8)
    for c in range(len(weights)):
        value = wanted[c].copy()
        for i in range(c):
            value += feedback[c, i] * errors[i]
        scaled = (value - minimum) * inverse + zero
        places[c] = (scaled[:, None] > midpoints).sum(1)
        rounded = (levels[places[c]] - zero) * scale + minimum
        errors[c] = weights[c] - rounded
    return errors, places


@pytest.mark.parametrize("rows", [1, LANES, LANES + 3])
@pytest.mark.parametrize(
    ("levels", "midpoints"), [(STEPS, STEPS[:-1] + np.float32(0.5)), (CODEBOOK, MIDPOINTS)]
)
def test_equals_the_reference(rows, levels, midpoints):
    random, group = np.random.default_rng(rows), 17

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    weights, feedback = normal(group, rows), normal(group, group)
    wanted = weights + normal(group, rows)
    grid = np.stack([normal(rows), random.integers(0, 16, rows).astype(np.float32), normal(rows)])
    grid[0, 0] = 0
    given = (weights, wanted, feedback / 8, midpoints, levels, grid)
    errors = np.empty_like(weights)
    places = np.empty(weights.shape, np.uint8)
    round_in_order(*given, errors, places)
    for found, expected in zip((errors, places), reference(*given), strict=True):
        assert np.array_equal(found, expected)
