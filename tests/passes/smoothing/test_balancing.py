"""The search for AWQ's divisors: what is chosen is never worse, and better where it can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.awq import coarse_layers
from passes.encodings import ENCODINGS, encoding
from passes.quantize import Policy
from passes.smoothing.balancing import LARGEST, Layer, balances, best_balance
from passes.smoothing.groups import Fold, groups
from tests.support.models import random_ids, small_model

STORED = encoding("int4_g16")


def whole(features):
    every = np.arange(features)
    return Fold(("norm",), every, every)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def error_of(inputs, layer, scales):
    """What the layer's outputs lose, computed once more from the definition."""
    moments = np.mean(inputs.astype(np.float64) ** 2, 0) / scales.astype(np.float64) ** 2
    stored = layer.encoding.weighted(moments)
    rows = layer.rows * scales
    decoded = stored.decode(stored.reference(rows), *rows.shape) / scales
    exact = inputs @ layer.rows.T
    return np.sum((inputs @ decoded.T - exact) ** 2) / np.sum(exact**2)


def test_a_channel_that_all_comes_in_by_is_stored_more_exactly():
    inputs, rows = normal(64, 32), normal(48, 32, seed=1)
    inputs[:, 5] *= 30
    found = best_balance(inputs, [Layer(rows, STORED)], whole(32))
    assert found.powers != (0, 0)
    assert found.divisors.argmax() == 5
    assert found.error < 0.7 * found.error_before


def test_errors_are_those_of_the_encoded_layers():
    inputs, layer = normal(40, 32), Layer(normal(16, 32, seed=2), STORED)
    inputs[:, 3] *= 9
    found = best_balance(inputs, [layer], whole(32))
    assert found.error == pytest.approx(error_of(inputs, layer, found.divisors), rel=1e-3)
    ones = np.ones(32, np.float32)
    assert found.error_before == pytest.approx(error_of(inputs, layer, ones), rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(
    tokens=st.integers(1, 9),
    groups_of_16=st.integers(1, 3),
    rows=st.integers(1, 9),
    dead=st.booleans(),
    size=st.sampled_from([1e-20, 1.0, 1e6]),
)
def test_divisors_are_always_usable_and_never_worse(tokens, groups_of_16, rows, dead, size):
    features = 16 * groups_of_16
    inputs = normal(tokens, features) * np.float32(size)
    if dead:
        inputs[:, ::2] = 0
    found = best_balance(inputs, [Layer(normal(2 * rows, features), STORED)], whole(features))
    assert found.divisors.dtype == np.float32 and found.divisors.shape == (features,)
    assert (found.divisors >= 1 / LARGEST).all() and (found.divisors <= LARGEST).all()
    assert found.error <= found.error_before


def test_channels_that_share_a_divisor_get_one():
    fold = Fold(("v",), np.arange(16), np.arange(32) % 16)
    inputs = normal(64, 32)
    inputs[:, 3] *= 30
    found = best_balance(inputs, [Layer(normal(16, 32), STORED)], fold)
    assert found.divisors.shape == (16,) and found.divisors.argmax() == 3


def test_every_group_that_can_be_divided_is_searched():
    small = small_model("llama")
    policy = Policy("int4_g24", "int8", "int8", (), ENCODINGS)
    encodings = coarse_layers(small.graph(), policy)
    texts = [ids.tolist() for ids in random_ids(2, 20, 101)]
    found = balances(small.graph(), texts, encodings)
    wanted = {group.name for group in groups(small.graph()) if group.fold is not None}
    assert found.keys() == wanted - {"lm_head.weight"}
    again = balances(small.graph(), texts, encodings)
    assert all(np.array_equal(found[name].divisors, again[name].divisors) for name in found)
    assert not balances(small.graph(), texts, {})
