"""RMS normalization against its formula."""

from __future__ import annotations

import numpy as np
from openvino import opset13 as ops

from targets.openvino.norm import rms_normalization
from tests.targets.openvino.evaluate import evaluate


def test_formula():
    rng = np.random.default_rng(0)
    x, gain = rng.normal(size=(2, 3, 10)).astype(np.float32), rng.random(10).astype(np.float32)
    found = evaluate(rms_normalization(ops.constant(x), ops.constant(gain), epsilon=0.1))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1) * gain
    assert np.abs(found - expected).max() < 1e-6
