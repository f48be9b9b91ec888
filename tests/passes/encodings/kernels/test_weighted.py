"""The stages of kernels that choose scales by importances, each against numpy."""

import numpy as np
import pytest

from passes.encodings import fitting
from passes.encodings.kernels.compiling import BFLOAT16, compiled
from passes.encodings.kernels.fitting import fit_nf4, fit_ranges, fit_signed, fit_zeroed
from passes.encodings.kernels.nf4_values import VALUES, nearest_values
from passes.encodings.kernels.tiles import (
    importance_tiles,
    load_rows,
    rows_together,
    side_by_side,
    tile_magnitudes,
)
from passes.encodings.kernels.vectors import LANES, load, store
from passes.encodings.nf4 import CODEBOOK, MIDPOINTS, nearest

WIDTH, BLOCKS = 32, 70


@pytest.fixture(scope="module")
def tile():
    """Weights and importances."""
    random = np.random.default_rng(0)
    x = (4 * random.standard_normal((WIDTH, BLOCKS))).astype(np.float32)
    m = np.exp(random.standard_normal((WIDTH, BLOCKS)) - 6).astype(np.float32)
    return x, m


def tiles(blocks):
    """Of blocks ``[width, blocks]``, with zeros for those that sixteen at a time leave open."""
    width, count = blocks.shape
    padded = np.zeros((width, -(-count // LANES) * LANES), np.float32)
    padded[:, :count] = blocks
    return np.concatenate([part.reshape(-1) for part in np.split(padded, len(padded[0]) // 16, 1)])


def test_fits_equal_the_references(tile):
    x, m = tile
    rows, importances, width = tiles(x), tiles(m), np.uint64(WIDTH)
    scale, shift = np.empty((2, rows.size // WIDTH), np.float32)
    scale[:] = 1
    fit_signed(rows.copy(), importances, width, scale)
    assert np.array_equal(scale[:BLOCKS], fitting.signed_scales(x, m))
    scale[:] = 1
    fit_nf4(rows / 8, importances, width, scale)
    assert np.array_equal(scale[:BLOCKS], fitting.codebook_scales(x / 8, m, nearest))
    zero = np.arange(BLOCKS, dtype=np.float32) % 16
    scale[:], shift[:BLOCKS] = 1, zero
    fit_zeroed(rows.copy(), importances, width, scale, shift)
    for found, expected in zip((scale, shift), fitting.zeroed_scales(x, m, zero), strict=True):
        assert np.array_equal(found[:BLOCKS], expected)
    scale[:], shift[:] = 1, 0
    fit_ranges(rows.copy(), importances, width, scale, shift)
    for found, expected in zip((scale, shift), fitting.range_scales(x, m), strict=True):
        assert np.array_equal(found[:BLOCKS], expected)


@compiled
def all_nearest(numbers, found):
    for start in range(np.uint64(0), np.uint64(numbers.size), np.uint64(LANES)):
        store(nearest_values(load(numbers, start)), found, start)


def test_the_nearest_values_of_the_codebook():
    assert np.array_equal(np.array(VALUES, np.float32), CODEBOOK)
    above = np.nextafter(MIDPOINTS, np.float32(2))
    numbers = np.concatenate([MIDPOINTS, above, CODEBOOK, [-9, 9]]).astype(np.float32)
    assert numbers.size % LANES == 0
    found = np.empty_like(numbers)
    all_nearest(numbers, found)
    assert np.array_equal(found, CODEBOOK[np.searchsorted(MIDPOINTS, numbers)])


@pytest.mark.parametrize(
    ("rows", "blocks", "together"),
    [(100, 64, 1), (100, 9, 8), (100, 12, 4), (3, 9, 3), (5, 900, 1), (70, 1, 16)],
)
def test_short_rows_are_taken_together(rows, blocks, together):
    assert rows_together(rows, blocks) == together


def test_rows_are_loaded_one_after_the_other_to_the_last():
    words = np.arange(15, dtype=np.uint16).reshape(5, 3)
    rows = np.full(6, 99, np.uint32)
    assert load_rows(words, 2, BFLOAT16, rows) == 2
    assert (rows >> 16).tolist() == [6, 7, 8, 9, 10, 11]
    assert load_rows(words, 4, BFLOAT16, rows) == 1
    assert (rows >> 16).tolist() == [12, 13, 14, 9, 10, 11]


@pytest.mark.parametrize("width", [16, 17, 31, 48])
def test_sixteen_blocks_lie_side_by_side(width):
    blocks = np.arange(32 * width, dtype=np.float32).reshape(32, width)
    laid_out = np.empty(blocks.size, np.float32)
    side_by_side(blocks.view(np.uint32).reshape(-1), np.uint64(width), laid_out)
    assert np.array_equal(laid_out, tiles(blocks.T))
    positive, negative = np.empty((2, 32), np.uint32)
    laid_out[:] = tiles(blocks.T - 100)
    assert tile_magnitudes(laid_out, np.uint64(width), positive, negative)
    assert np.array_equal(positive.view(np.float32), np.maximum(blocks.max(1) - 100, 0))
    assert np.array_equal(negative.view(np.float32), np.maximum(100 - blocks.min(1), 0))
    for bad in (np.nan, np.inf, -np.inf):
        laid_out[width * 16 + 5] = bad
        assert not tile_magnitudes(laid_out, np.uint64(width), positive, negative)


def test_importances_are_laid_out_for_each_row():
    importance = np.arange(1, 61, dtype=np.float32)
    expected = np.tile(importance, 2).reshape(6, 20)
    assert np.array_equal(importance_tiles(importance, 20, 2), tiles(expected.T))
