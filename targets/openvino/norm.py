"""Norms over the last axis, in the operators that the runtime has one kernel for."""

from __future__ import annotations

import numpy as np
from openvino import Node
from openvino import opset13 as ops


def rms_normalization(x: Node, gain: Node, *, epsilon: float) -> Node:
    """``x · 1/sqrt(mean(x²) + epsilon) · gain``, which the runtime fuses to RMS.

    Args:
        x: f32 ``[..., n]``.
        gain: f32 ``[n]``, a constant or the conversion of one.
        epsilon: Added to the mean square.

    Returns:
        f32, the shape of ``x``.
    """
    square = ops.power(x, np.float32(2.0))
    mean_square = ops.reduce_mean(square, np.array([-1], np.int64), keep_dims=True)
    root = ops.sqrt(ops.add(mean_square, np.float32(epsilon)))
    inverse = ops.divide(np.float32(1.0), root)
    return ops.multiply(gain, ops.multiply(x, inverse))


def layer_normalization(x: Node, gain: Node, shift: Node | None = None, *, epsilon: float) -> Node:
    """``(x - mean(x)) / sqrt(variance(x) + epsilon) · gain + shift``.

    Args:
        x: f32 ``[..., n]``.
        gain: f32 ``[n]``, a constant or the conversion of one.
        shift: As ``gain``; None for none.
        epsilon: Added to the variance.

    Returns:
        f32, the shape of ``x``.
    """
    normalized = ops.mvn(x, np.array([-1], np.int64), True, epsilon, "INSIDE_SQRT")
    scaled = ops.multiply(normalized, gain)
    return scaled if shift is None else ops.add(scaled, shift)
