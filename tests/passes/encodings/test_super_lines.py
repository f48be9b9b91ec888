"""Super-blocks with scales and minima: what is stored, and how near it comes to the weights."""

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.encodings.kernels.super_blocks import LARGEST_HALF
from passes.encodings.kernels.super_codes import MOST_WORDS
from passes.encodings.q2_k import Q2_K
from passes.encodings.q4_k import Q4_K, pack_pairs, unpack_pairs
from passes.encodings.q5_k import Q5_K
from passes.encodings.super_fitting import LARGEST_HALF as LARGEST
from passes.encodings.super_fitting import find
from passes.encodings.super_lines import counting
from tests.support.rows import hard_rows

FORMATS = [Q2_K(), Q4_K(), Q5_K()]
every = pytest.mark.parametrize("chosen", FORMATS, ids=lambda each: each.name)


def heavy_tailed(rows, columns, seed=0):
    values = np.random.default_rng(seed).standard_t(5, (rows, columns))
    return (values * 0.02).astype(np.float32)


def moments_of(columns, seed=1):
    return np.exp(np.random.default_rng(seed).standard_normal(columns))


def error(chosen, rows, moments):
    decoded = chosen.decode(chosen.encode(rows), *rows.shape)
    return float((((decoded - rows).astype(np.float64) ** 2) * moments).sum())


@every
@settings(max_examples=20, deadline=None)
@given(recipe=hard_rows(st.sampled_from([256, 768])))
def test_the_gguf_package_decodes_what_we_decode(chosen, recipe):
    rows = recipe.make()
    planes = chosen.encode(rows)
    kind = gguf.GGMLQuantizationType[chosen.name.upper()]
    expected = dequantize(planes[0].reshape(len(rows), -1), kind)
    assert np.array_equal(chosen.decode(planes, *rows.shape), expected)


@every
def test_super_blocks_that_do_not_fill_vectors_equal_the_reference(chosen):
    for rows, columns in ((1, 256), (7, 768), (3, 17 * 256)):
        values, weighted = heavy_tailed(rows, columns), chosen.weighted(moments_of(columns))
        assert np.array_equal(chosen.encode(values)[0], chosen.reference(values)[0])
        assert np.array_equal(weighted.encode(values)[0], weighted.reference(values)[0])


@every
def test_parts_are_unpacked_as_they_were_packed(chosen):
    random = np.random.default_rng(3)
    blocks = 256 // chosen.width
    halves = random.integers(0, 256, (5, 4)).astype(np.uint8)
    scales, minima = random.integers(0, chosen.most + 1, (2, 5, blocks)).astype(np.uint8)
    codes = random.integers(0, 1 << chosen.bits, (5, 256)).astype(np.uint8)
    stored = chosen.pack(halves, scales, minima, codes)
    assert stored.shape == (5, chosen.block_bytes)
    for part, expected in zip(chosen.unpack(stored), (halves, scales, minima, codes), strict=True):
        assert np.array_equal(part, expected)


@pytest.mark.parametrize(
    ("chosen", "bound"), zip(FORMATS, (0.105, 0.0069, 0.0018), strict=True), ids=["2", "4", "5"]
)
def test_the_error_is_below_that_of_llama_cpp(chosen, bound):
    """Of these weights llama.cpp's quantizer leaves 0.1103, 0.00692 and 0.00178."""
    rows = heavy_tailed(512, 1024)
    assert error(chosen, rows, 1.0) < bound * float((rows.astype(np.float64) ** 2).sum())


@every
def test_weighting_lowers_the_weighted_error(chosen):
    rows, moments = heavy_tailed(64, 512), moments_of(512)
    assert error(chosen.weighted(moments), rows, moments) < 0.9 * error(chosen, rows, moments)


def test_weights_on_the_grid_are_stored_exactly():
    random = np.random.default_rng(5)
    scales, minima = random.integers(1, 64, (2, 8))
    scales[3], minima[5] = 63, 63
    codes = random.integers(0, 16, (8, 32))
    codes[:, :2] = 0, 15
    rows = (2.0**-10 * scales[:, None] * codes - 2.0**-9 * minima[:, None]).astype(np.float32)
    rows = rows.reshape(1, 256)
    chosen = Q4_K()
    assert np.array_equal(chosen.decode(chosen.encode(rows), 1, 256), rows)


@every
def test_tiny_weights_keep_a_scale(chosen):
    """Its float16 is rounded up, so that codes reach the farthest weights."""
    rows = heavy_tailed(16, 256) * np.float32(2e-3)
    assert error(chosen, rows, 1.0) < 0.15 * float((rows.astype(np.float64) ** 2).sum())


def test_where_nothing_counts_everything_does():
    importance = np.zeros((2, 256), np.float32)
    importance[1, 3] = 0.5
    counted = counting(importance.reshape(-1))
    assert (counted[0] == 1).all()
    assert np.array_equal(counted[1], importance[1])


def test_only_rows_of_whole_super_blocks_fit():
    assert Q4_K().fit(1536).name == "q4_k"
    assert Q4_K().fit(576) is None


def test_pairs_of_codes_share_bytes_as_in_ggml():
    codes = np.zeros((1, 256), np.uint8)
    codes[0, 64:66], codes[0, 96:98] = (3, 5), (9, 15)
    packed = pack_pairs(codes)
    assert packed[0, 32:34].tolist() == [0x93, 0xF5]
    assert np.array_equal(unpack_pairs(packed), codes)


def test_a_larger_scale_than_float16_holds_is_told_by_the_halves():
    assert LARGEST == LARGEST_HALF
    assert max(each.block_bytes for each in FORMATS) <= 4 * MOST_WORDS
    x = np.full((32, 8, 1), -1e9, np.float32)
    none = np.zeros((0, 2), np.float32)
    with np.errstate(all="ignore"):
        found = find(x, np.ones_like(x), 15, 63, none[:, 0], none)
    assert not np.isfinite(found.halves).all()
