"""The stages of kernels that choose scales by importances, each against numpy."""

import ml_dtypes
import numpy as np
import pytest

from passes.encodings import encoding, fitting
from passes.encodings.kernels.compiling import BFLOAT16, FINE, FLOAT32
from passes.encodings.kernels.fitting import fit_nf4, fit_ranges, fit_signed, fit_zeroed
from passes.encodings.kernels.nf4_values import VALUES, nearest_value
from passes.encodings.kernels.scales import (
    NF4,
    RANGES,
    SIGNED,
    SIGNED_BLOCKS,
    ZEROED,
    weighted_scales,
)
from passes.encodings.kernels.tiles import importance_tile, lay_out, load_rows, rows_together
from passes.encodings.kernels.weighted import store_integers, store_nf4, store_q4_0, store_q4_1
from passes.encodings.nf4 import CODEBOOK, MIDPOINTS

WIDTH, BLOCKS = 32, 70


@pytest.fixture(scope="module")
def tile():
    """Weights, importances and their products."""
    random = np.random.default_rng(0)
    x = (4 * random.standard_normal((WIDTH, BLOCKS))).astype(np.float32)
    m = np.exp(random.standard_normal((WIDTH, BLOCKS)) - 6).astype(np.float32)
    return x, m, m * x


def lanes(count=2):
    return [np.empty(BLOCKS, np.float32) for _ in range(count)]


def test_fits_equal_the_references(tile):
    x, m, mx = tile
    gain, scale = lanes()
    fit_signed(x, m, mx, gain, scale)
    assert np.array_equal(scale, fitting.signed_scales(x, m))
    x8, mx8 = x / 8, mx / 8
    fit_nf4(x8, m, mx8, gain, scale)
    nearest = fitting.codebook_scales(x8, m, lambda each: CODEBOOK[MIDPOINTS.searchsorted(each)])
    assert np.array_equal(scale, nearest)
    zero = np.arange(BLOCKS, dtype=np.float32) % 16
    expected = fitting.zeroed_scales(x, m, zero.copy())
    fit_zeroed(x, m, mx, gain, scale, zero)
    assert np.array_equal(scale, expected[0])
    assert np.array_equal(zero, expected[1])
    [origin] = lanes(1)
    fit_ranges(x, m, mx, gain, scale, origin)
    assert all(map(np.array_equal, (scale, origin), fitting.range_scales(x, m)))


def test_the_nearest_value_of_the_codebook():
    assert np.array_equal(np.array(VALUES, np.float32), CODEBOOK)
    for x in (*MIDPOINTS, *np.nextafter(MIDPOINTS, np.float32(2)), *CODEBOOK, -9.0, 9.0):
        expected = CODEBOOK[np.searchsorted(MIDPOINTS, np.float32(x))]
        assert nearest_value(np.float32(x)) == expected


@pytest.mark.parametrize(
    ("rows", "blocks", "together"), [(100, 64, 1), (100, 9, 8), (3, 9, 3), (5, 900, 1), (70, 1, 64)]
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


def test_blocks_lie_side_by_side():
    weights = np.arange(24, dtype=np.float32)
    origin, inverse = np.arange(6, dtype=np.float32), np.arange(1, 7, dtype=np.float32)
    m = importance_tile(np.arange(12, dtype=np.float32), 4, 2)
    assert np.array_equal(m, np.tile(np.arange(12), 2).reshape(6, 4).T)
    x, mx = np.empty_like(m), np.empty_like(m)
    lay_out(weights.view(np.uint32), np.uint64(4), origin, inverse, m, x, mx)
    assert np.array_equal(x, (weights.reshape(6, 4).T - origin) * inverse)
    assert np.array_equal(mx, m * x)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *(("q4_0", SIGNED_BLOCKS), ("q4_1", RANGES), ("int4_sym_g32", SIGNED)),
        *(("int4_g32", ZEROED), ("nf4_g32", NF4)),
    ],
)
def test_with_the_usual_scales_the_plain_bytes_are_stored(name, form):
    """Importances of 0 choose nothing: then all else must be as in the plain kernels."""
    values = np.random.default_rng(1).standard_normal((7, 96)).astype(ml_dtypes.bfloat16)
    words, chosen = values.view(np.uint16), encoding(name)
    scales, shifts = np.empty((2, 7 * 3), np.float32)
    nothing = np.zeros(96, np.float32)
    assert weighted_scales(words, BFLOAT16, nothing, form, scales, shifts) == FINE
    planes = chosen.empty_planes(7, 96)
    if form == SIGNED_BLOCKS:
        store_q4_0(words, BFLOAT16, scales, chosen.block_words(planes[0]))
    elif form == RANGES:
        store_q4_1(words, BFLOAT16, scales, shifts, chosen.block_words(planes[0]))
    elif form == NF4:
        store_nf4(words, BFLOAT16, 32, scales, planes[0], planes[1].view(np.uint16))
    else:
        zeros = planes[2] if form == ZEROED else np.empty(0, np.uint8)
        halves = planes[1].view(np.uint16)
        lowest = 0 if form == ZEROED else -8
        store_integers(words, BFLOAT16, lowest, scales, shifts, planes[0], halves, zeros)
    assert all(map(np.array_equal, planes, chosen.encode(values)))


def test_float32_words_give_the_same_scales():
    values = np.random.default_rng(2).standard_normal((3, 64)).astype(ml_dtypes.bfloat16)
    wide = values.astype(np.float32).view(np.uint16)
    found = np.empty((2, 2, 6), np.float32)
    importance = np.linspace(0, 1, 64, dtype=np.float32)
    for words, kind, (scales, shifts) in (
        (values.view(np.uint16), BFLOAT16, found[0]),
        (wide, FLOAT32, found[1]),
    ):
        assert weighted_scales(words, kind, importance, RANGES, scales, shifts) == FINE
    assert np.array_equal(found[0], found[1])
