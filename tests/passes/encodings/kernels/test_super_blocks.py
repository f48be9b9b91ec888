"""Kernels of super-blocks and q5_1: what they report, how far the walk is from the best pair."""

import numpy as np
import pytest

from passes.encodings.kernels.compiling import FINE, FLOAT32, NOT_FINITE, OUT_OF_RANGE
from passes.encodings.kernels.q5_1 import encode_q5_1
from passes.encodings.kernels.super_blocks import units
from passes.encodings.kernels.super_codes import encode_super_blocks
from passes.encodings.super_fitting import WEIGHTED_FACTORS, WEIGHTED_MOVES, find

ONES = np.ones(4096, np.float32)
NONE = np.zeros((0, 2), np.float32)


def words_of(values):
    words = values.view(np.uint16)
    words.flags.writeable = False
    return words


@pytest.mark.parametrize(
    ("weight", "report"), [(1.0, FINE), (np.nan, NOT_FINITE), (-np.inf, NOT_FINITE)]
)
def test_the_report_tells_of_any_weight_of_any_super_block(weight, report):
    rows = np.ones((17, 256), np.float32)
    rows[16, 255] = weight
    out, moves = np.empty((17, 72), np.uint16), WEIGHTED_MOVES
    found = encode_super_blocks(words_of(rows), FLOAT32, ONES, 4, WEIGHTED_FACTORS, moves, out)
    assert found == report
    blocks = rows.reshape(-1, 32)
    halves = np.empty((len(blocks), 12), np.uint16)
    none = np.empty(0, np.float32)
    assert encode_q5_1(words_of(blocks), FLOAT32, none, WEIGHTED_FACTORS, halves) == report


def test_too_large_a_weight_is_told():
    rows = np.full((1, 256), -5e6, np.float32)
    out = np.empty((1, 72), np.uint16)
    found = encode_super_blocks(words_of(rows), FLOAT32, ONES, 4, NONE[:, 0], NONE, out)
    assert found == OUT_OF_RANGE


def test_units_reach_the_largest_value_and_hardly_further():
    values = np.random.default_rng(0).uniform(0, 1, (8, 16)).astype(np.float32)
    values[:, 3] *= np.float32(1e-6)
    unit, halves = np.empty(16, np.float32), np.empty(16, np.uint32)
    assert units(values.reshape(-1), np.float32(63), unit, halves)
    assert (unit * 63 >= values.max(0)).all()
    usual = np.arange(16) != 3
    assert (unit * 63 <= values.max(0) * (1 + 2**-9))[usual].all()
    assert np.array_equal(halves.astype(np.uint16).view(np.float16).astype(np.float32), unit)


def test_the_walk_comes_close_to_the_best_of_all_pairs():
    random = np.random.default_rng(1)
    x = random.standard_t(5, (32, 8, 2)).astype(np.float32)
    m = np.exp(random.standard_normal(x.shape)).astype(np.float32)
    found = find(x, m, 15, 63, WEIGHTED_FACTORS, WEIGHTED_MOVES)
    unit = found.halves.astype(np.float64)
    best = np.full((8, 2), np.inf)
    for scale in range(1, 64):
        for minimum in range(64):
            s, t = scale * unit[0], minimum * unit[1]
            codes = np.clip(np.rint((x + t) / s), 0, 15)
            best = np.minimum(best, (m * (x + t - s * codes) ** 2).sum(0))
    s, t = found.scales * unit[0], found.minima * unit[1]
    error = (m * (x + t - s * found.codes(x, 15)) ** 2).sum(0)
    assert (error >= best * (1 - 1e-4)).all()
    assert error.sum() < 1.15 * best.sum()
