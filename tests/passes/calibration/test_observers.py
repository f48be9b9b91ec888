"""The shipped observers, on arrays made for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passes.calibration.observers import (
    LargestChannels,
    LargestHeads,
    LargestInputs,
    LargestWeights,
    SecondMoments,
    largest_magnitude,
)

INPUTS = np.array([[1.0, -5.0, 0.25], [-2.0, 4.0, 0.5]], np.float32)


@given(arrays(np.float32, (3, 5), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_the_largest_magnitude_is_that_of_the_absolute_values(values):
    assert largest_magnitude(values) == np.abs(values).max()


def test_the_largest_magnitude_of_nothing_is_zero_and_of_nan_is_nan():
    assert largest_magnitude(np.empty((0, 3), np.float32)) == 0
    assert np.isnan(largest_magnitude(np.array([1, np.nan, -2], np.float32)))


def test_largest_inputs_keep_the_largest_of_all_that_was_seen():
    observer = LargestInputs()
    for part in (INPUTS, INPUTS / 2):
        observer.linear("a", part)
    observer.linear("b", -3 * INPUTS)
    assert observer.largest == {"a": 5.0, "b": 15.0}


def test_largest_weights_keep_a_nan():
    observer = LargestWeights()
    for start, rows in enumerate((INPUTS, np.full((1, 3), np.nan, np.float32), INPUTS)):
        observer.weight("a", 2 * start, rows)
    observer.weight("b", 0, INPUTS)
    assert np.isnan(observer.largest["a"])
    assert observer.largest["b"] == 5.0


def test_largest_heads_are_told_apart_by_layer():
    observer = LargestHeads()
    observer.attention(0, INPUTS[None], 2 * INPUTS[None], 3 * INPUTS[None])
    observer.attention(0, 4 * INPUTS[None], INPUTS[None], INPUTS[None])
    observer.attention(7, INPUTS[None], INPUTS[None], INPUTS[None])
    assert observer.queries == {0: 20.0, 7: 5.0}
    assert observer.keys == {0: 10.0, 7: 5.0}
    assert observer.values == {0: 15.0, 7: 5.0}


def test_largest_channels_are_of_each_column():
    observer = LargestChannels()
    observer.linear("a", INPUTS)
    observer.linear("a", np.array([[0.0, 0.0, -9.0]], np.float32))
    np.testing.assert_array_equal(observer.largest["a"], [2.0, 5.0, 9.0])


def test_second_moments_are_sums_of_squares_in_double_precision():
    observer = SecondMoments()
    observer.linear("a", INPUTS)
    observer.linear("a", np.full((3, 3), 1e30, np.float32))
    assert observer.tokens == {"a": 5}
    assert observer.sums["a"].dtype == np.float64
    np.testing.assert_allclose(observer.sums["a"], 3 * np.float64(np.float32(1e30)) ** 2)
    alone = SecondMoments()
    alone.linear("a", INPUTS)
    assert alone.sums["a"] == pytest.approx([5.0, 41.0, 0.3125], rel=1e-15)
