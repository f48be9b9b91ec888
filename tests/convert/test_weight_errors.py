"""The tensor that departs from the checkpoint comes first."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import TensorMismatchError
from convert.weight_errors import weight_errors
from convert.weights import ArrayWeight


class Stored:
    """A target that stores the given arrays."""

    def __init__(self, **arrays):
        self.arrays = arrays

    def stored_weights(self, artifact):
        yield from self.arrays.items()


def errors_of(tmp_path, originals, **stored):
    weights = {name: ArrayWeight(name, array) for name, array in originals.items()}
    return weight_errors(Stored(**stored), tmp_path, weights)


def test_the_worst_tensor_comes_first(tmp_path):
    rng = np.random.default_rng(0)
    originals = {name: rng.normal(size=(4, 8)).astype(np.float32) for name in "abc"}
    worst, next_worst, best = errors_of(
        tmp_path, originals, a=originals["a"], b=originals["b"] * 1.5, c=originals["c"] * 1.01
    )
    assert (worst.name, next_worst.name, best.name) == ("b", "c", "a")
    assert worst.relative_rms == pytest.approx(0.5, abs=1e-6)
    assert best.relative_rms == 0


def test_nan_is_the_worst(tmp_path):
    originals = {name: np.ones((2, 2), np.float32) for name in "ab"}
    worst, _ = errors_of(tmp_path, originals, a=originals["a"] * 9, b=originals["b"] * np.nan)
    assert worst.name == "b"


def test_a_weight_of_zeros_is_no_division_by_zero(tmp_path):
    zeros = np.zeros((2, 2), np.float32)
    assert errors_of(tmp_path, {"z": zeros}, z=zeros)[0].relative_rms == 0


def test_another_shape_is_named(tmp_path):
    with pytest.raises(TensorMismatchError, match="stores a in another shape"):
        errors_of(tmp_path, {"a": np.ones((2, 3), np.float32)}, a=np.ones((3, 2), np.float32))
