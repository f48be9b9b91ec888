"""Moments of a view follow from those of what it views."""

from __future__ import annotations

import numpy as np
import pytest

from convert.convolution_weights import CollapsedTaps, Taps
from convert.moments import Moments, rounded
from convert.scaled_weights import ScaledWeight
from convert.weight_views import ColumnRanges
from convert.weights import ArrayWeight, RowRange, RowRanges

FEATURES = np.array([1, 2, 3, 4, 5, 6], np.float32)


def weight(*shape, name="w"):
    return ArrayWeight(name, np.zeros(shape, np.float32))


@pytest.fixture
def known():
    return weight(4, 6)


@pytest.fixture
def moments(known):
    found = Moments()
    found.put(known, FEATURES)
    return found


def test_a_weight_has_those_of_its_own_inputs(moments, known):
    assert moments.of(known).tolist() == FEATURES.tolist()
    assert moments.of(weight(4, 6)) is None


def test_later_ones_replace_earlier_ones(moments, known):
    moments.put(known, 2 * FEATURES)
    assert moments.of(known).tolist() == (2 * FEATURES).tolist()


def test_columns_have_theirs(moments, known):
    part = ColumnRanges(known, ((4, 6), (0, 1)))
    assert moments.of(part).tolist() == [5, 6, 1]
    assert moments.of(ColumnRanges(weight(4, 6), ((0, 1),))) is None


def test_rows_of_weights_with_the_same_inputs_have_these(moments, known):
    beside, other = weight(3, 6), weight(3, 6)
    moments.put(beside, FEATURES.copy())
    moments.put(other, FEATURES + 1)

    def joined(*parts):
        return moments.of(RowRanges("j", tuple(RowRange(part, 0, 2) for part in parts)))

    assert joined(known).tolist() == FEATURES.tolist()
    assert joined(known, beside).tolist() == FEATURES.tolist()
    assert joined(known, other) is None
    assert joined(known, weight(3, 6)) is None
    assert joined(weight(3, 6), known) is None


def test_parts_of_parts_have_theirs(moments, known):
    rows = RowRanges("r", (RowRange(known, 1, 3),))
    assert moments.of(ColumnRanges(rows, ((1, 3),))).tolist() == [2, 3]


def test_each_tap_has_those_of_the_channels():
    found, first, second = Moments(), weight(4, 2, 3, 1), weight(5, 4, 2, 1)
    found.put(first, np.array([7, 8], np.float32))
    assert found.of(Taps(first)).tolist() == [7, 8] * 3
    assert found.of(CollapsedTaps("c", second, first)).tolist() == [7, 8] * 4
    assert found.of(Taps(second)) is None
    # A convolution's own columns go channel by channel: there are more of them than channels.
    assert found.of(first) is None


def test_inputs_are_divided_by_what_columns_are_multiplied_with():
    weight = ArrayWeight("w", np.ones((3, 4), np.float32))
    moments = Moments()
    moments.put(weight, np.array([4, 9, 16, 25], np.float32))
    by_column, by_row = np.array([2, 3, 1, 0.5], np.float32), np.full(3, 7, np.float32)
    np.testing.assert_array_equal(
        moments.of(ScaledWeight(weight, by_column, by_row)), np.array([1, 1, 16, 100], np.float32)
    )
    assert np.array_equal(moments.of(ScaledWeight(weight, None, by_row)), moments.of(weight))
    other = ArrayWeight("other", np.ones((3, 4), np.float32))
    assert moments.of(ScaledWeight(other, by_column)) is None


def test_rounding_is_to_the_nearest_bfloat16():
    step = 2.0**-7
    values = np.array([0, 1, 1 + 0.4 * step, 1 + 0.6 * step, 1000 + 0.4 * 4])
    assert rounded(values).tolist() == [0, 1, 1, 1 + step, 1000]
    assert rounded(values).dtype == np.float32
