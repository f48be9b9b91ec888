"""Lazy weights read the rows that are asked for, and only then."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convert.errors import TruncatedFileError
from convert.weights import ArrayWeight, FileWeight, FloatType, read_float32


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
