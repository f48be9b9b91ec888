"""Weights turned or raised: read in any parts, put back, told apart."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import UnsupportedError
from convert.importing.derived_weights import RaisedWeight, TurnedWeight
from convert.weights import ArrayWeight, FloatType, read_float32

RNG = np.random.default_rng(0)


def matrix(rows, columns, dtype=np.float32):
    return ArrayWeight("w", RNG.normal(size=(rows, columns)).astype(dtype))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 7), st.data())
def test_every_part_of_a_turned_matrix_is_that_of_the_whole(rows, columns, data):
    weight = matrix(rows, columns, data.draw(st.sampled_from([np.float32, ml_dtypes.bfloat16])))
    turned = TurnedWeight(weight)
    start = data.draw(st.integers(0, columns))
    stop = data.draw(st.integers(start, columns))
    np.testing.assert_array_equal(turned.read_rows(start, stop), weight.array.T[start:stop])
    assert (turned.name, turned.shape, turned.dtype) == ("w", (columns, rows), weight.dtype)


def test_a_turned_matrix_goes_back_whole():
    weight = matrix(3, 4)
    turned = TurnedWeight(weight)
    ((source, start, values),) = turned.put_back(turned.read_rows(0, 4))
    assert (source, start) == (weight, 0)
    np.testing.assert_array_equal(values, weight.array)
    with pytest.raises(UnsupportedError, match="all of its columns"):
        list(turned.put_back(turned.read_rows(0, 2)))


def test_a_raised_weight_is_the_stored_one_and_a_number():
    weight = ArrayWeight("norm", RNG.normal(size=5).astype(ml_dtypes.bfloat16))
    raised = RaisedWeight(weight, 1.0)
    expected = 1 + weight.array.astype(np.float32)
    np.testing.assert_array_equal(read_float32(raised), expected)
    assert (raised.name, raised.shape, raised.dtype) == ("norm", (5,), FloatType.F32)
    ((source, start, values),) = raised.put_back(raised.read_rows(1, 3), 1)
    assert (source, start) == (weight, 1)
    np.testing.assert_allclose(values[:, 0], weight.array[1:3].astype(np.float32), atol=1e-6)


def test_those_that_read_the_same_are_the_same():
    weight = matrix(2, 2)
    assert TurnedWeight(weight).identity == TurnedWeight(weight).identity
    assert RaisedWeight(weight, 1).identity == RaisedWeight(weight, 1).identity
    kinds = [weight, TurnedWeight(weight), RaisedWeight(weight, 1), RaisedWeight(weight, 2)]
    assert len({each.identity for each in kinds}) == 4
