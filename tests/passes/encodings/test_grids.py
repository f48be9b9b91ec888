"""Grids: what is packed decodes, by the encoding itself, to the values that were chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UnsupportedEncodingError
from passes.encodings import encoding
from passes.encodings.grids import grid_of, pack_nibbles, require_grid, unpack_nibbles

FITTING = ("int4_g16", "int4_g17", "int4_sym_g24", "nf4_g16", "q4_0", "q4_1", "q5_0", "iq4_nl")


def columns_of(grid, groups):
    return grid.group * groups


@pytest.mark.parametrize("name", FITTING)
def test_packed_levels_decode_to_the_values_of_the_grid(name):
    random, groups, rows = np.random.default_rng(1), 3, 8
    grid = require_grid(encoding(name))
    columns = columns_of(grid, groups)
    values = random.standard_normal((rows, columns)).astype(np.float32)
    costs = random.uniform(0.5, 2, columns).astype(np.float32)
    split = [slice(first, first + grid.group) for first in range(0, columns, grid.group)]
    scales = [grid.choose(np.ascontiguousarray(values[:, one]), costs[one]) for one in split]
    places = random.integers(0, grid.levels.size, (rows, columns)).astype(np.uint8)
    meant = np.empty_like(values)
    for one, chosen in zip(split, scales, strict=True):
        scale, zero, minimum = chosen.grid()[:, :, None]
        meant[:, one] = (grid.levels[places[:, one]] - zero) * scale + minimum
    planes = grid.pack(places, scales)
    assert [plane.nbytes for plane in planes] == [
        kind.nbytes(rows) for kind in grid.encoding.planes(columns)
    ]
    assert np.array_equal(grid.encoding.decode(planes, rows, columns), meant)


@pytest.mark.parametrize("name", FITTING)
def test_scales_are_those_that_the_weighted_encoding_stores(name):
    random = np.random.default_rng(2)
    grid = require_grid(encoding(name))
    values = random.standard_normal((16, grid.group)).astype(np.float32)
    costs = random.uniform(0.1, 1, grid.group)
    scales = grid.choose(values, costs.astype(np.float32))
    stored = grid.encoding.weighted(costs.astype(np.float32)).encode(values)
    decoded = grid.encoding.decode(stored, *values.shape)
    scale, zero, minimum = scales.grid()[:, :, None]
    nearest = ((decoded - minimum) / scale + zero)[..., None] - grid.levels
    # Of large levels, as many ulps as two roundings make.
    assert np.abs(nearest).min(-1).max() < max(1e-5, 2.0**-23 * np.abs(grid.levels).max())


@pytest.mark.parametrize("name", ["bf16", "int8", "q8_0", "nf4_dq", "fp8"])
def test_other_encodings_have_no_grid(name):
    assert grid_of(encoding(name)) is None
    with pytest.raises(UnsupportedEncodingError, match=name):
        require_grid(encoding(name))


@given(st.lists(st.integers(0, 15)))
def test_nibbles_come_back(codes):
    given_codes = np.array(codes, np.uint8)
    assert np.array_equal(unpack_nibbles(pack_nibbles(given_codes), len(codes)), given_codes)
