"""Norms against their formulas."""

from __future__ import annotations

import numpy as np
from openvino import opset13 as ops

from targets.openvino.norm import layer_normalization, rms_normalization
from tests.targets.openvino.evaluate import evaluate


def test_root_mean_square():
    rng = np.random.default_rng(0)
    x, gain = rng.normal(size=(2, 3, 10)).astype(np.float32), rng.random(10).astype(np.float32)
    found = evaluate(rms_normalization(ops.constant(x), ops.constant(gain), epsilon=0.1))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1) * gain
    assert np.abs(found - expected).max() < 1e-6


def test_layer_norm():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2, 3, 10)) + 2).astype(np.float32)
    gain, shift = rng.random((2, 10)).astype(np.float32)
    parts = (ops.constant(array) for array in (x, gain, shift))
    found = evaluate(layer_normalization(*parts, epsilon=0.1))
    centred = x - x.mean(-1, keepdims=True)
    expected = centred / np.sqrt(x.var(-1, keepdims=True) + 0.1) * gain + shift
    assert np.abs(found - expected).max() < 1e-6
