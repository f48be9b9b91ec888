"""Half rotation against the rotation of complex numbers."""

from __future__ import annotations

import numpy as np
from openvino import opset13 as ops

from targets.openvino.rope import full_angles, rotate
from tests.targets.openvino.evaluate import evaluate


def test_pairs_are_rotated():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 5, 8)).astype(np.float32)
    angle = rng.normal(size=(2, 5, 4)).astype(np.float32)
    cos, sin = (full_angles(ops.constant(wave(angle))) for wave in (np.cos, np.sin))
    found = evaluate(rotate(ops.constant(x), cos, sin, head_dim=8))
    turned = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angle)[:, None]
    expected = np.concatenate([turned.real, turned.imag], axis=-1)
    assert np.abs(found - expected).max() < 1e-5
