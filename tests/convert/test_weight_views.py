"""A column range reads what the whole matrix holds there, and no more of the file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import TruncatedFileError, UnsupportedError
from convert.moments import Moments
from convert.weight_views import ColumnRanges, SpacedRows
from convert.weights import ArrayWeight, FileWeight, FloatType, RowRange, RowRanges

HEADER = 24


def stored(folder, rows, columns):
    """A float16 matrix of counting numbers behind a header."""
    matrix = np.arange(rows * columns).reshape(rows, columns).astype(np.float16)
    path = folder / f"{rows}x{columns}.bin"
    path.write_bytes(bytes(HEADER) + matrix.tobytes())
    return matrix, FileWeight("w", matrix.shape, FloatType.F16, path, HEADER)


@settings(deadline=None)
@given(st.data())
def test_rows_of_any_ranges(data):
    columns = data.draw(st.integers(1, 30))
    matrix = np.arange(7 * columns, dtype=np.float32).reshape(7, columns)
    bounds = st.tuples(st.integers(0, columns), st.integers(0, columns)).map(sorted).map(tuple)
    ranges = tuple(data.draw(st.lists(bounds, min_size=1, max_size=3)))
    start, stop = data.draw(st.tuples(st.integers(0, 7), st.integers(0, 7)).map(sorted))
    view = ColumnRanges(ArrayWeight("w", matrix), ranges)
    expected = np.concatenate([matrix[start:stop, a:b] for a, b in ranges], axis=1)
    assert view.shape == (7, expected.shape[1])
    np.testing.assert_array_equal(view.read_rows(start, stop), expected)


@pytest.mark.parametrize("columns", [40, 3000], ids=["short rows", "long rows"])
def test_a_matrix_in_a_file(tmp_path, columns):
    matrix, weight = stored(tmp_path, 9, columns)
    view = ColumnRanges(weight, ((3, 11), (20, 39)))
    assert (view.name, view.dtype, view.nbytes) == ("w", FloatType.F16, 9 * 27 * 2)
    expected = np.concatenate([matrix[2:9, 3:11], matrix[2:9, 20:39]], axis=1)
    np.testing.assert_array_equal(view.read_rows(2, 9), expected)


def test_columns_of_chosen_rows():
    matrix = np.arange(40, dtype=np.float32).reshape(8, 5)
    rows = RowRanges("w", (RowRange(ArrayWeight("w", matrix), 4, 8),))
    view = ColumnRanges(rows, ((1, 3),))
    np.testing.assert_array_equal(view.read_rows(1, 4), matrix[5:8, 1:3])


def test_rows_at_equal_distances():
    matrix = np.arange(40, dtype=np.float32).reshape(8, 5)
    whole = ArrayWeight("w", matrix)
    odd = SpacedRows(whole, 1, 2, 4)
    assert (odd.name, odd.shape, odd.dtype) == ("w", (4, 5), FloatType.F32)
    np.testing.assert_array_equal(odd.read_rows(1, 4), matrix[3::2])
    assert odd.read_rows(2, 2).shape == (0, 5)
    assert [(start, row.tolist()) for _, start, row in odd.put_back(matrix[:2], 1)] == [
        (3, matrix[:1].tolist()),
        (5, matrix[1:2].tolist()),
    ]
    moments = Moments()
    moments.put(whole, np.ones(5, np.float32))
    assert moments.of(odd) is not None


def test_of_long_rows_only_the_range_is_read(tmp_path):
    """The file ends inside the last row, behind the range."""
    matrix, weight = stored(tmp_path, 4, 3000)
    with weight.path.open("r+b") as file:
        file.truncate(HEADER + 2 * (3 * 3000 + 20))
    view = ColumnRanges(weight, ((10, 20),))
    np.testing.assert_array_equal(view.read_rows(0, 4), matrix[:, 10:20])


def test_a_file_that_ends_inside_the_range(tmp_path):
    _, weight = stored(tmp_path, 4, 3000)
    with weight.path.open("r+b") as file:
        file.truncate(HEADER + 2 * (3 * 3000 + 15))
    with pytest.raises(TruncatedFileError, match="'w'"):
        ColumnRanges(weight, ((10, 20),)).read_rows(0, 4)


def test_columns_alone_cannot_be_put_back():
    view = ColumnRanges(ArrayWeight("w", np.zeros((2, 4), np.float32)), ((0, 2),))
    with pytest.raises(UnsupportedError, match="some columns of w"):
        view.put_back(np.zeros((2, 2), np.float32))


def test_the_same_columns_of_one_matrix_are_the_same_to_read():
    matrix = ArrayWeight("w", np.zeros((2, 4), np.float32))
    first, second, other = (ColumnRanges(matrix, ((0, n),)) for n in (2, 2, 3))
    assert first.identity == second.identity != other.identity
