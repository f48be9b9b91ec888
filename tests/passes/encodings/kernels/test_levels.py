"""Kernels that search scales for levels: their parts against numpy, and what they report."""

import numpy as np
import pytest

from passes.encodings import encoding, levels
from passes.encodings.kernels.compiling import FINE, FLOAT32, NOT_FINITE, OUT_OF_RANGE
from passes.encodings.kernels.iq4_values import CODES, MIDPOINTS, VALUES
from passes.encodings.kernels.level_blocks import searched_blocks
from passes.encodings.kernels.levels import choose_levels
from passes.encodings.kernels.mxfp4 import mxfp4_blocks
from passes.encodings.kernels.super_levels import searched_super_blocks


def test_the_codebook_is_that_of_the_reference():
    assert np.array_equal(np.array(VALUES, np.float32), levels.CODEBOOK)
    assert np.array_equal(np.array(MIDPOINTS, np.float32), levels.MIDPOINTS)
    assert np.array_equal(CODES, np.arange(16))


@pytest.mark.parametrize("count", [16, 64])
def test_levels_are_chosen_as_by_the_reference(count):
    random = np.random.default_rng(0)
    near = np.concatenate([levels.MIDPOINTS, np.arange(-34, 35) / 2, [0, -0.0, 1e9, -1e9]])
    values = np.concatenate([near, random.uniform(-130, 130, 96 - near.size)]).astype(np.float32)
    codes, scale = np.empty(96, np.uint8), np.float32([1, -0.5, 0])
    choose_levels(values.view(np.uint32), np.uint64(32), count, scale, codes)
    expected = levels.Levels(count).codes(values * np.repeat(scale, 32))
    assert np.array_equal(codes, expected)


def report_of(name, rows):
    """What the kernel of an encoding reports of float32 rows ``[2, 256]``."""
    chosen, words = encoding(name), rows.view(np.uint16)
    alike, (plane,) = np.ones(256, np.float32), chosen.empty_planes(2, 256)
    if name == "mxfp4":
        return mxfp4_blocks(words, FLOAT32, alike, plane.reshape(-1, 17))
    count, factors, neighbours = chosen.search.arrays()
    if name in ("iq4_nl", "q5_0"):
        stored = chosen.block_words(plane)
        return searched_blocks(words, FLOAT32, alike, count, factors, neighbours, stored)
    scale_count, scale_factors, _ = chosen.head_search.arrays()
    tried = (factors, neighbours, scale_factors)
    stored = plane.reshape(-1, chosen.block_bytes)
    counts = (chosen.groups, count, scale_count)
    return searched_super_blocks(words, FLOAT32, alike, *counts, *tried, stored)


@pytest.mark.parametrize("name", ["q5_0", "iq4_nl", "q6_k", "mxfp4"])
def test_a_kernel_tells_a_scale_too_large_from_a_weight_that_is_no_number(name):
    rows = np.tile(np.float32([1, -1]), (2, 128))
    assert report_of(name, rows) == FINE
    rows[1, 40] = 3e38
    assert report_of(name, rows) == (FINE if name == "mxfp4" else OUT_OF_RANGE)
    rows[1, 40] = np.nan
    assert report_of(name, rows) == NOT_FINITE
