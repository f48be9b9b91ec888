"""Grouped-query attention against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from openvino import opset13 as ops

from targets.openvino.attention import attention
from tests.targets.openvino.evaluate import evaluate


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (4, 1)])
def test_each_group_of_heads_reads_its_keys(heads, kv_heads):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(2, heads, 3, 8)).astype(np.float32)
    k, v = rng.normal(size=(2, 2, kv_heads, 5, 8)).astype(np.float32)
    mask = rng.random((2, 1, 3, 5)) < 0.6
    mask[..., 0] = True
    nodes = [ops.constant(array) for array in (q, k, v, mask)]
    found = evaluate(attention(*nodes, scale=0.3))
    keys, values = (np.repeat(array, heads // kv_heads, axis=1) for array in (k, v))
    scores = np.where(mask, 0.3 * q @ keys.swapaxes(-1, -2), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ values
    assert np.abs(found - expected).max() < 1e-5
