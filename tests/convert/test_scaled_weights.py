"""Scaled weights: read in any parts, put back, told apart."""

import ml_dtypes
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.scaled_weights import ScaledWeight
from convert.weights import ArrayWeight, FloatType, RowRange, RowRanges, read_float32

RNG = np.random.default_rng(0)


def matrix(rows, columns, dtype=np.float32):
    return ArrayWeight("w", RNG.normal(size=(rows, columns)).astype(dtype))


def factors(count):
    return np.exp2(RNG.uniform(-8, 8, count)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 7), st.data())
def test_every_part_is_that_of_the_whole(rows, columns, data):
    weight = matrix(rows, columns, data.draw(st.sampled_from([np.float32, ml_dtypes.bfloat16])))
    by_column, by_row = factors(columns), factors(rows)
    scaled = ScaledWeight(weight, by_column, by_row)
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    expected = weight.array.astype(np.float32) * by_column / by_row[:, None]
    np.testing.assert_array_equal(scaled.read_rows(start, stop), expected[start:stop])
    assert (scaled.name, scaled.shape, scaled.dtype) == ("w", (rows, columns), FloatType.F32)


def test_values_go_back_to_where_they_come_from():
    first, second = matrix(4, 5), matrix(3, 5)
    joined = RowRanges("both", (RowRange(first, 1, 4), RowRange(second, 0, 2)))
    scaled = ScaledWeight(joined, factors(5), factors(5))
    found = list(scaled.put_back(scaled.read_rows(1, 5), 1))
    assert [(source, start) for source, start, _ in found] == [(first, 2), (second, 0)]
    np.testing.assert_allclose(found[0][2], first.array[2:4], rtol=1e-6)
    np.testing.assert_allclose(found[1][2], second.array[:2], rtol=1e-6)


def test_a_vector_is_divided_row_by_row():
    vector, by_row = ArrayWeight("norm", RNG.normal(size=6).astype(np.float32)), factors(6)
    scaled = read_float32(ScaledWeight(vector, row_divisors=by_row))
    np.testing.assert_array_equal(scaled, vector.array / by_row)


def test_those_that_read_the_same_are_the_same():
    weight, by_column = matrix(3, 4), factors(4)
    one = ScaledWeight(weight, by_column).identity
    assert one == ScaledWeight(weight, by_column.copy()).identity
    others = {
        weight.identity,
        ScaledWeight(weight, 2 * by_column).identity,
        ScaledWeight(weight, None, by_column[:3]).identity,
        ScaledWeight(matrix(3, 4), by_column).identity,
    }
    assert one not in others and len(others) == 4
