"""Divergences that are summed block by block equal those of whole logits."""

from __future__ import annotations

import numpy as np
import pytest

from passes.calibration.divergence import Divergences

FEATURES, VOCAB = 12, 70


def log_softmax(logits):
    """In the type of the logits."""
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def whole(inputs, rows, other_inputs, other_rows):
    """The same from float64 logits."""
    logits = inputs.astype(np.float64) @ rows.T.astype(np.float64)
    others = other_inputs.astype(np.float64) @ other_rows.T.astype(np.float64)
    p, q = log_softmax(logits), log_softmax(others)
    return (np.exp(p) * (p - q)).sum(axis=1)


@pytest.fixture
def head():
    return np.random.default_rng(0).normal(0, 1, (VOCAB, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("size", [1e-3, 1e-2, 1.0])
def test_blocks_give_what_whole_logits_give(head, size):
    random = np.random.default_rng(1)
    texts = [random.normal(0, 1, (n, FEATURES)).astype(np.float32) for n in (5, 3)]
    branches = [
        texts[origin] + random.normal(0, size, texts[origin].shape).astype(np.float32)
        for origin in (1, 0, 1)
    ]
    origins = {2: 1, 3: 0, 4: 1}
    divergences = Divergences([*texts, *branches], origins)
    for start in range(0, VOCAB, 32):
        divergences.add(head[start : start + 32], lambda branch: None)
    for branch, origin in origins.items():
        expected = whole(texts[origin], head, branches[branch - 2], head)
        np.testing.assert_allclose(divergences.of(branch), expected, rtol=2e-3, atol=1e-12)


def test_a_branch_may_have_rows_of_its_own(head):
    inputs = np.random.default_rng(2).normal(0, 1, (4, FEATURES)).astype(np.float32)
    rounded = np.round(head, 1)
    divergences = Divergences([inputs, inputs], {1: 0})
    for start in range(0, VOCAB, 16):
        block = slice(start, start + 16)
        divergences.add(head[block], lambda branch, block=block: rounded[block])
    expected = whole(inputs, head, inputs, rounded)
    assert expected.min() > 1e-4
    np.testing.assert_allclose(divergences.of(1), expected, rtol=1e-3)


def test_the_same_logits_diverge_by_nothing(head):
    inputs = np.ones((2, FEATURES), np.float32)
    divergences = Divergences([inputs, inputs], {1: 0})
    divergences.add(head, lambda branch: None)
    assert (divergences.of(1) == 0).all()


def test_logits_far_apart_stay_finite(head):
    inputs = np.ones((1, FEATURES), np.float32)
    divergences = Divergences([inputs, -1e3 * inputs], {1: 0})
    divergences.add(head, lambda branch: None)
    assert np.isfinite(divergences.of(1)).all()
    assert divergences.of(1)[0] > 10
