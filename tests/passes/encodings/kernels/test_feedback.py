"""The kernel that rounds columns in order, against plain numpy."""

import numpy as np
import pytest

from passes.encodings.kernels.feedback import LANES, round_in_order, round_to_integers
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


def integer_reference(weights, wanted, feedback, lowest, highest, grid):
    scale, zero, minimum = grid
    inverse = np.where(scale == 0, np.float32(0), np.float32(1) / np.where(scale == 0, 1, scale))
    errors, places = np.empty_like(weights), np.empty(weights.shape, np.uint8)
    for c in range(len(weights)):
        value = wanted[c].copy()
        for i in range(c):
            value += feedback[c, i] * errors[i]
        level = np.rint(np.clip((value - minimum) * inverse + zero, lowest, highest))
        places[c] = level - lowest
        errors[c] = weights[c] - ((level - zero) * scale + minimum)
    return errors, places


@pytest.mark.parametrize("rows", [1, LANES, LANES + 3])
@pytest.mark.parametrize(("lowest", "highest"), [(0, 3), (0, 31), (-4, 3), (-32, 31)])
def test_integers_equal_the_reference(rows, lowest, highest):
    random, group = np.random.default_rng(rows), 17

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    weights, feedback = normal(group, rows), normal(group, group)
    grid = np.stack([normal(rows) / 4, np.zeros(rows, np.float32), normal(rows)])
    grid[0, 0] = 0
    ends = np.float32(lowest), np.float32(highest)
    given = (weights, weights + normal(group, rows), feedback / 8, *ends, grid)
    errors, places = np.empty_like(weights), np.empty(weights.shape, np.uint8)
    round_to_integers(*given, errors, places)
    for found, expected in zip((errors, places), integer_reference(*given), strict=True):
        assert np.array_equal(found, expected)
    assert rows == 1 or places.max() == highest - lowest
