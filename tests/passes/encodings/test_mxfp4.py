"""MXFP4: powers of two as scales, and their search."""

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize

from passes.encodings.mxfp4 import MXFP4

KIND = gguf.GGMLQuantizationType.MXFP4


def gaussian(rows, columns, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-30, 0.02, 1.0, 1e30])
def test_plain_blocks_equal_those_of_the_gguf_package(scale):
    rows = gaussian(200, 96) * np.float32(scale)
    assert np.array_equal(MXFP4().encode(rows)[0], quantize(rows, KIND).reshape(-1))


def test_ties_equal_those_of_the_gguf_package():
    rows = (np.random.default_rng(0).integers(-32, 33, (2000, 32)) / 4).astype(np.float32)
    rows += np.float32(0)
    assert np.array_equal(MXFP4().encode(rows)[0], quantize(rows, KIND).reshape(-1))


def test_every_block_decodes_as_in_the_gguf_package():
    blocks = np.random.default_rng(1).integers(0, 256, (256, 17)).astype(np.uint8)
    blocks[:, 0] = np.arange(256)
    with np.errstate(over="ignore"):
        expected = dequantize(blocks, KIND)
        found = MXFP4().decode((blocks.reshape(-1),), 256, 32)
    assert np.array_equal(found, expected)


def test_a_block_byte_for_byte():
    weights = np.zeros((1, 32), np.float32)
    weights[0, :3], weights[0, 16:18] = (-1.5, 0.125, -0.01), (0.75, -0.25)
    block = MXFP4().encode(weights)[0].tolist()
    assert block[:4] == [125, 0x5F, 0xA1, 0x00]
    assert not any(block[4:])


def test_the_exponent_is_raised_where_clipping_costs_more():
    """The largest weight is 15 units, of which a code has 12."""
    row = np.full((1, 32), 8.0, np.float32)
    row[0, 0] = 15.0
    plain, counted = MXFP4(), MXFP4().weighted(np.where(np.arange(32) == 0, 1.0, 1e-3))
    assert plain.encode(row)[0][0] + 1 == counted.encode(row)[0][0]
    assert counted.decode(counted.encode(row), 1, 32)[0, 0] == 16


def test_the_exponent_falls_where_the_largest_weight_does_not_count():
    row = np.full((1, 32), 1.5, np.float32)
    row[0, 0] = 8.5
    plain, counted = MXFP4(), MXFP4().weighted(np.where(np.arange(32) == 0, 1e-9, 1.0))
    assert plain.encode(row)[0][0] - 1 == counted.encode(row)[0][0]


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 2.0**-126, 2.0**-125, 3e38])
def test_the_smallest_and_the_largest_floats_are_stored(scale):
    row = np.zeros((1, 32), np.float32)
    row[0, :2] = scale, -scale
    for chosen in (MXFP4(), MXFP4().weighted(np.ones(32))):
        planes = chosen.encode(row)
        assert np.array_equal(planes[0], chosen.reference(row)[0])
        decoded = chosen.decode(planes, 1, 32)
        assert np.abs(decoded - row).max() <= max(0.34 * scale, 2.0**-129)
