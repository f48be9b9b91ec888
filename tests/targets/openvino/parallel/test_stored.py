"""What the ranks store, put together, is what the checkpoint has."""

from __future__ import annotations

import numpy as np

from convert.weights import read_float32
from targets.openvino.parallel.stored import stored_ranks


def test_every_weight(pair):
    found = dict(stored_ranks(pair.cut))
    assert found.keys() == pair.model.weights.keys()
    for name, weight in pair.model.weights.items():
        np.testing.assert_array_equal(found[name], read_float32(weight))
