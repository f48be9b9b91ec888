"""What the ranks store, put together, is what the checkpoint has."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import TensorMismatchError
from convert.weights import read_float32
from targets.openvino.parallel.description import Cut
from targets.openvino.parallel.stored import put_together, stored_ranks


def test_every_weight(pair):
    found = dict(stored_ranks(pair.cut))
    assert found.keys() == pair.model.weights.keys()
    for name, weight in pair.model.weights.items():
        np.testing.assert_array_equal(found[name], read_float32(weight))


def test_copies_that_differ_are_named():
    cut = Cut(0, (((0, 2),), ((1, 3),)))
    parts = [np.array([1.0, 2.0], np.float32), np.array([2.0, 3.0], np.float32)]
    np.testing.assert_array_equal(put_together("w", parts, cut), [1.0, 2.0, 3.0])
    with pytest.raises(TensorMismatchError, match="different values of w"):
        put_together("w", [parts[0], parts[1] + 1], cut)


def test_a_gap_is_named():
    cut = Cut(1, (((0, 1),), ((2, 3),)))
    parts = [np.ones((2, 1), np.float32)] * 2
    with pytest.raises(TensorMismatchError, match="no rank stores"):
        put_together("w", parts, cut)
