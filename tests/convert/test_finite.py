from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convert.finite import all_finite, first_nonfinite

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0)))
def test_half_floats_of_any_bits_agree_with_numpy(bits):
    for dtype in (np.float16, ml_dtypes.bfloat16):
        rows = bits.view(dtype)
        finite = np.isfinite(rows.astype(np.float32))
        assert all_finite(rows) == finite.all()
        first = first_nonfinite(rows)
        assert first is None if finite.all() else first == tuple(np.argwhere(~finite)[0])


@given(hnp.arrays(np.uint32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 2**32 - 1)))  # fmt: skip  # noqa: E501
def test_floats_of_any_bits_agree_with_numpy(bits):
    rows = bits.view(np.float32)
    assert all_finite(rows) == np.isfinite(rows).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_bad_element_is_found_where_it_is(dtype, bad):
    rows = np.ones((5, 7), dtype)
    assert all_finite(rows)
    assert first_nonfinite(rows) is None
    rows[3, 2] = bad
    assert not all_finite(rows)
    assert first_nonfinite(rows) == (3, 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_numbers_are_finite(dtype):
    largest = ml_dtypes.finfo(dtype).max
    assert all_finite(np.array([[largest, -largest]], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_elements_are_finite(dtype):
    assert all_finite(np.empty((0, 3), dtype))


def test_rows_that_are_not_contiguous():
    rows = np.ones((4, 6), np.float32)
    rows[1, 3] = np.inf
    assert all_finite(rows[:, ::2])
    assert not all_finite(rows[:, 1::2])


def test_other_dtypes_are_a_mistake():
    with pytest.raises(TypeError, match="int64"):
        all_finite(np.ones((2, 2), np.int64))
