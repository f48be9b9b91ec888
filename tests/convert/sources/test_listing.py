from __future__ import annotations

import json

import numpy as np

from convert.sources.listing import TensorInfo, abridged


def test_elements_of_a_matrix_and_of_a_scalar():
    assert TensorInfo("w", (3, 4), "f32", 48).elements == 12
    assert TensorInfo("s", (), "f32", 4).elements == 1


def test_long_arrays_are_abridged_and_short_ones_kept():
    assert abridged(np.arange(3)) == [0, 1, 2]
    assert abridged(list("abcdefghij")) == {"items": 10, "first": list("abcdefgh")}
    assert abridged("text" * 10) == "text" * 10


def test_everything_abridged_is_json():
    for value in (np.arange(20), np.array([True]), np.float32(0.5), 1, None, {"a": 1}):
        json.dumps(abridged(value))
