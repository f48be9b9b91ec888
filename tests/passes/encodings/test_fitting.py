"""The search for scales against exact least squares and a fine grid of scales."""

import numpy as np
import pytest

from passes.encodings import fitting

WIDTH, BLOCKS = 32, 200


def blocks(seed=0):
    """Weights whose farthest is -8, and importances."""
    random = np.random.default_rng(seed)
    weights = random.standard_t(5, (WIDTH, BLOCKS))
    farthest = np.take_along_axis(weights, np.abs(weights).argmax(0)[None], 0)
    importances = np.exp(2 * random.standard_normal((WIDTH, BLOCKS)))
    importances /= importances.max()
    return (weights / farthest * -8).astype(np.float32), importances.astype(np.float32)


def nearest_code(scaled):
    return np.clip(np.rint(scaled), -8, 7)


def error(x, m, scale):
    codes = nearest_code(x / scale)
    return (m * (x - scale * codes).astype(np.float64) ** 2).sum(0)


def test_the_gain_is_what_least_squares_gains():
    x, m = blocks()
    fit = fitting.Fit(x, m)
    fit.offer(np.float32(1.1), nearest_code)
    codes = nearest_code(x * np.float32(1.1)).astype(np.float64)
    for b in range(0, BLOCKS, 20):
        root = np.sqrt(m[:, b].astype(np.float64))
        [scale], [left], _, _ = np.linalg.lstsq((root * codes[:, b])[:, None], root * x[:, b])
        assert fit.scale[b] == pytest.approx(scale, rel=1e-5)
        assert np.sum((root * x[:, b]) ** 2) - fit.gain[b] == pytest.approx(left, rel=1e-3)


def test_few_scales_come_close_to_a_fine_grid_of_them():
    x, m = blocks(1)
    grid = np.concatenate([np.linspace(0.5, 1.4, 181), -np.linspace(0.5, 1.4, 181)])
    best = np.min([error(x, m, scale) for scale in grid], axis=0)
    found = error(x, m, fitting.signed_scales(x, m))
    usual = error(x, m, np.ones(BLOCKS))
    assert found.sum() < 1.15 * best.sum()
    assert found.sum() < 0.8 * usual.sum()


def test_both_signs_are_used():
    scales = fitting.signed_scales(*blocks(2))
    assert 0.1 < (scales < 0).mean() < 0.6


def test_a_zero_point_moves_by_one_at_most_and_stays_a_code():
    x, m = blocks(3)
    for zero in (0, 7, 15):
        given = np.full(BLOCKS, zero, np.float32)
        scale, moved = fitting.zeroed_scales(np.abs(x) if zero == 0 else x, m, given)
        assert set(moved - zero) <= {-1, 0, 1}
        assert 0 <= moved.min() <= moved.max() <= 15
        assert (scale > 0).all()


def test_a_range_is_the_weighted_regression_on_its_codes():
    random = np.random.default_rng(4)
    codes = random.integers(0, 16, (WIDTH, BLOCKS))
    x = (codes * np.float32(0.9) + np.float32(0.75)).astype(np.float32)
    scale, origin = fitting.range_scales(x, blocks()[1])
    assert np.allclose(scale, 0.9, rtol=1e-4)
    assert np.allclose(origin, 0.75, atol=1e-3)


def test_blocks_in_which_nothing_counts_keep_the_usual_scale():
    x, m = blocks(5)
    m[:, ::2] = 0
    assert (fitting.signed_scales(x, m)[::2] == 1).all()
    scale, origin = fitting.range_scales(np.abs(x), m)
    assert (scale[::2] == 1).all()
    assert not origin[::2].any()
    assert (scale[1::2] != 1).any()


def test_a_scale_that_float16_cannot_hold_is_not_taken():
    usual = np.array([60000, 60000, -60000], np.float32)
    factor = np.array([1.0625, 1.1, 1.1], np.float32)
    assert fitting.rescaled(usual, factor).tolist() == [63750.0, 60000.0, -60000.0]
