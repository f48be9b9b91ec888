"""Linear biases (ALiBi), in the one form from which paged attention reads the slopes.

Paged attention keeps no mask: it adds ``slope · (key - query)`` itself, if the mask ends in
Multiply(slopes, distances) → Reshape → Reshape → Select(forbidden, ·, biases). Any other mask
compiles as well, and the biases are silently lost.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from openvino import Node
from openvino import opset13 as ops

from targets.openvino.context import Context


def biased_mask(context: Context, mask: ir.Value) -> Node | None:
    """The mask ``[B, H, S, T]`` as scores to add; None if ``mask`` is no mask with linear biases.

    Args:
        context: With the operands of ``mask`` lowered.
        mask: ``Where(allowed, slopes · distances, forbidden)``: allowed bool ``[B, 1, S, T]``,
            slopes a constant ``[H, 1, 1]``, distances ``[S, T]``.
    """
    where = _made_by(mask, "Where")
    product = _made_by(where.inputs[1], "Mul") if where is not None else None
    if where is None or product is None:
        return None
    slopes = [value for value in product.inputs if _is_slopes(value)]
    distances = [value for value in product.inputs if not _is_slopes(value)]
    if len(slopes) != 1 or len(distances) != 1:
        return None

    def build(_: Node) -> Node:
        # The matcher takes the first operand for the slopes.
        biases = ops.multiply(context.node(slopes[0]), context.node(distances[0]))
        for _ in range(2):
            biases = ops.reshape(biases, np.array([0, 0, -1], np.int64), special_zero=True)
        forbidden = ops.logical_not(context.node(where.inputs[0]))
        return ops.select(forbidden, context.node(where.inputs[2]), biases)

    return context.shared("biased", mask, build)


def _made_by(value: ir.Value | None, kind: str) -> ir.Node | None:
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type == kind else None


def _is_slopes(value: ir.Value | None) -> bool:
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return tensor is not None and len(tensor.shape) == 3 and tensor.shape[1:] == (1, 1)
