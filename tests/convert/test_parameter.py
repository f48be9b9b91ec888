"""Parameters are read only when the graph is run, and mean what their encoding keeps."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import encoding


class Untouchable(ArrayWeight):
    def read_rows(self, start, stop):
        raise AssertionError("a weight was read")


def test_name_shape_and_dtype_are_known_without_reading():
    parameter = Parameter(Untouchable("w", np.zeros((3, 4), np.float16)))
    assert (parameter.name, tuple(parameter.shape), parameter.dtype) == (
        "w",
        (3, 4),
        ir.DataType.FLOAT,
    )
    assert parameter.nbytes == 48


def test_the_float_meaning_is_that_of_the_stored_bytes():
    values = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    weight = ArrayWeight("w", values)
    assert np.array_equal(Parameter(weight).numpy(), values)
    encoded = Parameter(weight, encoding("q8_0")).numpy()
    assert not np.array_equal(encoded, values)
    assert np.abs(encoded - values).max() <= np.abs(values).max() / 127
