"""The diagnosis finds the tensor that departs from the checkpoint."""

from __future__ import annotations

import numpy as np

from convert.diagnosis import largest_errors
from convert.weights import ArrayWeight


class Stored:
    """A target that stores the given arrays."""

    def __init__(self, arrays):
        self.arrays = arrays

    def stored_weights(self, artifact):
        yield from self.arrays.items()


def test_the_worst_tensor_comes_first(tmp_path):
    rng = np.random.default_rng(0)
    originals = {name: rng.normal(size=(4, 8)).astype(np.float32) for name in "abc"}
    stored = {"a": originals["a"], "b": originals["b"] * 1.5, "c": originals["c"] * 1.01}
    weights = {name: ArrayWeight(name, array) for name, array in originals.items()}
    worst = largest_errors(Stored(stored), tmp_path, weights, count=2)
    assert [error.name for error in worst] == ["b", "c"]
    assert abs(worst[0].relative_rms - 0.5) < 1e-6


def test_a_weight_of_zeros_is_no_division_by_zero(tmp_path):
    zeros = np.zeros((2, 2), np.float32)
    worst = largest_errors(Stored({"z": zeros}), tmp_path, {"z": ArrayWeight("z", zeros)})
    assert worst[0].relative_rms == 0
