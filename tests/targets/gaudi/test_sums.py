from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.gaudi import sums
from targets.gaudi.sums import sum_at_most

SHARES = st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any)


@given(SHARES, st.integers(1, 4))
def test_a_sum_is_that_of_every_combination(weights, count):
    one = np.array(weights) / np.sum(weights)
    sizes = np.arange(len(weights) * count + 2)
    expected = np.zeros(len(sizes))
    for values in itertools.product(range(len(weights)), repeat=count):
        expected[sum(values) :] += np.prod(one[list(values)])
    np.testing.assert_allclose(sum_at_most(one, count, sizes), expected, atol=1e-12)


def test_many_draws_are_nearly_normal(monkeypatch):
    one = np.array([0.0, 0.4, 0.1, 0.3, 0.2])
    sizes = np.arange(0, 401, 5)
    exact = sum_at_most(one, 100, sizes)
    monkeypatch.setattr(sums, "MOST_EXACT", 1)
    np.testing.assert_allclose(sum_at_most(one, 100, sizes), exact, atol=2e-3)


def test_what_does_not_vary_is_no_sum_of_chances(monkeypatch):
    monkeypatch.setattr(sums, "MOST_EXACT", 1)
    one, sizes = np.array([0.0, 0.0, 1.0]), np.array([199, 200, 201])
    np.testing.assert_array_equal(sum_at_most(one, 100, sizes), [0, 1, 1])


def test_a_billion_draws_take_no_memory():
    one = np.full(17, 1 / 17)
    middle, most = 8 * 10**9, 16 * 10**9
    found = sum_at_most(one, 10**9, np.array([0, middle, most]))
    assert found == pytest.approx([0, 0.5, 1], abs=1e-3)
