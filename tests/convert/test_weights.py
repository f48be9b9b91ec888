"""Lazy weights read the rows that are asked for, and only then."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convert.errors import TruncatedFileError
from convert.weights import (
    ArrayWeight,
    FileWeight,
    FloatType,
    RowRange,
    RowRanges,
    Weight,
    read_float32,
)


@pytest.mark.parametrize("kind", list(FloatType))
def test_rows_of_a_file_are_read_at_their_offset(tmp_path, kind):
    values = np.arange(60).reshape(6, 2, 5).astype(kind.numpy)
    path = tmp_path / "file"
    path.write_bytes(b"header!" + values.tobytes())
    weight = FileWeight("w", (6, 2, 5), kind, path, 7)
    assert (weight.rows, weight.columns, weight.nbytes) == (6, 10, values.nbytes)
    assert np.array_equal(weight.read_rows(2, 5), values[2:5].reshape(3, 10))
    assert np.array_equal(read_float32(weight), values.astype(np.float32))


def test_a_vector_has_rows_of_one_element():
    weight = ArrayWeight("norm", np.ones(5, ml_dtypes.bfloat16))
    assert (weight.rows, weight.columns, weight.dtype) == (5, 1, FloatType.BF16)
    assert weight.read_rows(1, 3).shape == (2, 1)
    assert read_float32(weight).shape == (5,)


def test_a_file_that_ends_early_is_named(tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes(bytes(39))
    with pytest.raises(TruncatedFileError, match=r"short\.safetensors ends inside tensor 'w'"):
        FileWeight("w", (10,), FloatType.F32, path, 0).read_rows(0, 10)


class Watched(Weight):
    """Remembers which rows were read."""

    def __init__(self, array: np.ndarray) -> None:
        self.name, self.shape, self.dtype = "watched", array.shape, FloatType.F32
        self.array, self.seen = array, []

    def read_rows(self, start, stop):
        self.seen += range(start, stop)
        return self.array[start:stop]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 11])
def test_ranges_of_rows_are_put_together_and_each_row_is_read_once(step):
    rng = np.random.default_rng(0)
    first, second = (Watched(rng.standard_normal((7, 3), np.float32)) for _ in range(2))
    ranges = [(first, 4, 7), (second, 0, 2), (first, 0, 4), (second, 5, 7)]
    joined = RowRanges("joined", tuple(RowRange(*each) for each in ranges))
    assert (joined.shape, joined.dtype, joined.rows) == ((11, 3), FloatType.F32, 11)
    read = [joined.read_rows(row, min(row + step, 11)) for row in range(0, 11, step)]
    expected = np.concatenate([weight.array[start:stop] for weight, start, stop in ranges])
    np.testing.assert_array_equal(np.concatenate(read), expected)
    assert sorted(first.seen) == list(range(7))
    assert sorted(second.seen) == [0, 1, 5, 6]


def test_ranges_of_weights_of_two_types_are_float32():
    parts = [
        ArrayWeight("a", np.ones((2, 3), kind.numpy)) for kind in (FloatType.BF16, FloatType.F16)
    ]
    joined = RowRanges("joined", tuple(RowRange(part, 0, 2) for part in parts))
    assert joined.dtype is FloatType.F32
    assert joined.read_rows(1, 3).dtype == np.float32


def test_a_tensor_without_axes_is_one_row(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"header!" + np.float32(2.5).tobytes())
    stored = FileWeight("alpha", (), FloatType.F32, path, 7)
    for weight in (ArrayWeight("alpha", np.array(2.5, np.float32)), stored):
        assert (weight.rows, weight.columns, weight.nbytes) == (1, 1, 4)
        assert weight.read_rows(0, 1).shape == (1, 1)
        assert read_float32(weight).shape == () and read_float32(weight) == 2.5
