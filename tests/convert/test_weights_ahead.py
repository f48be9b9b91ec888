"""How far ahead of the stream weights are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from convert.weights import ArrayWeight, RowRange, RowRanges
from convert.weights_ahead import WeightsAhead


class Asked(ArrayWeight):
    """Remembers that it was asked for."""

    def read_ahead(self, most):
        self.array[0, 0] = most


@pytest.fixture
def weights():
    return [Asked(str(number), np.zeros((10, 10), np.float32)) for number in range(6)]


def asked(weights):
    return [bool(weight.array[0, 0]) for weight in weights]


def test_it_stays_so_many_bytes_ahead(weights):
    ahead = WeightsAhead(weights, bytes_ahead=800)
    assert asked(weights) == [False] * 6
    ahead.reach(weights[0])
    assert asked(weights) == [True] * 3 + [False] * 3
    ahead.reach(weights[1])
    assert asked(weights) == [True] * 4 + [False] * 2


def test_it_ends_with_the_weights(weights):
    ahead = WeightsAhead(weights, bytes_ahead=800)
    for weight in [*weights, *weights]:
        ahead.reach(weight)
    assert all(asked(weights))


def test_ranges_ask_for_their_weights(weights):
    first, second = weights[:2]
    ranges = RowRanges("r", (RowRange(first, 0, 1), RowRange(first, 5, 6), RowRange(second, 0, 1)))
    ranges.read_ahead(7)
    assert (first.array[0, 0], second.array[0, 0]) == (7, 7)
