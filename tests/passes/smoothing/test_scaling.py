"""Divisors: the formula, floors, shared ones, and what no number can come of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.smoothing.groups import Fold
from passes.smoothing.scaling import divisors


def own(count):
    return Fold(("norm",), np.arange(count), np.arange(count))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_the_formula(alpha):
    inputs, weights = np.array([2.0, 8, 5, 4], np.float32), np.array([1.0, 0.5, 3, 9], np.float32)
    floors = np.maximum(inputs, np.quantile(inputs, 0.1)), np.maximum(weights, 0.65)
    expected = floors[0] ** alpha / floors[1] ** (1 - alpha)
    np.testing.assert_allclose(divisors(alpha, inputs, weights, own(4)), expected, rtol=1e-6)


def test_half_makes_inputs_and_weights_equal():
    rng = np.random.default_rng(0)
    inputs, weights = rng.uniform(1, 9, (2, 50)).astype(np.float32)
    inputs[7] = 3000
    s = divisors(0.5, inputs, weights, own(50))
    ratio = np.sort((inputs / s) / (weights * s))
    assert np.median(ratio) == pytest.approx(1, rel=1e-5)
    assert (inputs / s).max() < 0.1 * inputs.max()


def test_channels_that_share_a_divisor_have_that_of_the_largest():
    fold = Fold(("v",), np.arange(2), np.array([0, 1, 0, 1]))
    inputs, weights = np.array([1.0, 4, 9, 2], np.float32), np.array([4.0, 1, 1, 1], np.float32)
    expected = divisors(0.5, np.array([9.0, 4]), np.array([4.0, 1]), own(2))
    np.testing.assert_array_equal(divisors(0.5, inputs, weights, fold), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=9),
    st.floats(0, 1),
)
def test_still_channels_are_no_trouble(inputs, alpha):
    largest = np.array(inputs, np.float32)
    for found in (
        divisors(alpha, largest, np.zeros_like(largest), own(len(inputs))),
        divisors(alpha, np.zeros_like(largest), largest, own(len(inputs))),
        divisors(alpha, largest, largest, own(len(inputs))),
    ):
        assert found.dtype == np.float32
        assert (np.isfinite(found) & (found > 0)).all()
