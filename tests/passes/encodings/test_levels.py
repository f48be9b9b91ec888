"""The search for scales of integers of both signs and of IQ4_NL's codebook."""

import numpy as np
import pytest
from gguf.quants import IQ4_NL as PEER

from passes.encodings.levels import CODEBOOK, MIDPOINTS, Levels, Search, fit_heads, near_values

WIDTH, GROUPS = 16, 300
SEARCH = Search(Levels(16), (1.0, 1.1, 1.2, -0.9, -1.0, -1.1), (0.9, 1.1, 0.96, 1.04))
HEADS = Search(Levels(64), (1.0, -1.0, 0.95, 1.05))


@pytest.fixture(scope="module")
def groups():
    """Weights, and importances of which the largest is 1."""
    random = np.random.default_rng(0)
    x = random.standard_t(5, (WIDTH, GROUPS)).astype(np.float32)
    m = np.exp(2 * random.standard_normal((WIDTH, GROUPS)))
    return x, (m / m.max()).astype(np.float32)


def error(levels, x, m, scale):
    codes = levels.codes((x / scale).astype(np.float32))
    return (m * (x - scale * levels.values(codes).astype(np.float64)) ** 2).sum(0)


def test_the_codebook_is_that_of_the_gguf_package():
    assert CODEBOOK.tolist() == list(PEER.kvalues)
    assert np.array_equal(Levels(16).codes(CODEBOOK), np.arange(16))
    assert np.array_equal(Levels(16).codes(MIDPOINTS), np.arange(15))


def test_near_values_are_the_nearest_but_close_to_the_middle_of_two():
    numbers = np.linspace(-300, 300, 60001, dtype=np.float32)
    found, exact = near_values(numbers), Levels(16).values(Levels(16).codes(numbers))
    assert set(np.unique(found)) == set(CODEBOOK)
    assert np.array_equal(near_values(CODEBOOK), CODEBOOK)
    step = np.abs(found - exact)
    assert (np.abs(found - numbers) <= np.abs(exact - numbers) + 0.06 * step).all()
    assert (step > 0).mean() < 0.02


@pytest.mark.parametrize(("count", "lowest"), [(8, -4), (64, -32), (256, -128), (16, -127)])
def test_levels_go_from_the_lowest_on(count, lowest):
    levels = Levels(count)
    everything = levels.values(np.arange(count).astype(np.uint8))
    assert everything[0] == levels.lowest == lowest
    assert np.array_equal(levels.codes(everything), np.arange(count))
    assert levels.codes(np.array([-1e30, 1e30], np.float32)).tolist() == [0, count - 1]


def test_the_farthest_weight_usually_is_the_lowest_level():
    x = np.array([[1, 2, 0, -2], [-3, -1, 0, 2]], np.float32)
    assert (Levels(8).usual(x) * -4).tolist() == [-3, 2, 0, 2]


@pytest.mark.parametrize("count", [8, 16, 32])
def test_few_scales_come_close_to_a_fine_grid_of_them(count, groups):
    x, m = groups
    levels = Levels(count)
    usual = levels.usual(x)
    factors = (1.0, 1.3, 1.8, -0.85, -1.1, -1.5) if count != 16 else SEARCH.factors
    factor, _ = Search(levels, factors, SEARCH.neighbours).scales(x / usual, m)
    grid = np.concatenate([np.linspace(0.3, 1.3, 201), -np.linspace(0.3, 1.3, 201)])
    best = np.min([error(levels, x, m, usual * each) for each in grid], axis=0)
    found = error(levels, x, m, usual * factor)
    assert found.sum() < 1.15 * best.sum()
    assert found.sum() < 0.75 * error(levels, x, m, usual).sum()
    assert 0.2 < (factor < 0).mean() < 0.8


def test_the_weight_of_a_scale_is_what_its_error_costs(groups):
    x, m = groups
    usual = SEARCH.levels.usual(x)
    factor, weight = SEARCH.scales(x / usual, m)
    values = SEARCH.levels.near(x / usual, np.float32(1) / factor)
    assert np.median(np.abs((m * values.astype(np.float64) ** 2).sum(0) / weight - 1)) < 0.02


def test_where_nothing_counts_the_usual_scale_remains(groups):
    x, m = groups
    factor, weight = SEARCH.scales(x / SEARCH.levels.usual(x), m * (np.arange(GROUPS) % 2))
    assert (factor[::2] == 1).all()
    assert not weight[::2].any()
    assert (factor[1::2] != 1).any()


def test_scales_are_rounded_where_they_count():
    random = np.random.default_rng(1)
    scale = random.uniform(0.2, 1, (16, 50)).astype(np.float32) / 32
    weight = np.where(np.arange(16)[:, None] < 8, 1000, 1).astype(np.float32) * np.ones_like(scale)
    head, codes, _ = fit_heads(scale, weight, HEADS)
    alike, alike_codes, _ = fit_heads(scale, np.ones_like(scale), HEADS)
    assert set(np.unique(codes)) <= set(range(-32, 32))
    counted = [
        np.square(scale - each.astype(np.float32) * which)[:8].mean()
        for each, which in ((head, codes), (alike, alike_codes))
    ]
    assert counted[0] < 0.98 * counted[1]


def test_a_head_may_be_rounded_up_where_float16_is_coarse():
    """Of 1.4 and less units of the denormals, one unit is nearest, but is too small."""
    unit = np.float32(2.0**-24)
    scale = np.full((16, 1), -32 * 1.4 * unit, np.float32)
    head, codes, _ = fit_heads(scale, np.ones_like(scale), HEADS)
    assert abs(float(head[0])) == 2 * unit
    assert np.abs(scale - head.astype(np.float32) * codes).max() < 0.5 * unit * 32


def test_zeros_have_a_positive_head_of_zero():
    head, codes, _ = fit_heads(np.zeros((8, 1), np.float32), np.ones((8, 1), np.float32), HEADS)
    assert head.tobytes() == b"\0\0"
    assert not codes.any()
