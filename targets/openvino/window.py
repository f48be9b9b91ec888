"""Sliding-window masks, in the one form from which paged attention reads the window's length.

Paged attention keeps no mask: it knows causality, and a window only if the mask ends in
BitwiseAnd(·, key > query + constant) → three more BitwiseAnd → Broadcast → Select → Slice. Any
other mask compiles as well, and the window is silently lost.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from openvino import Node
from openvino import opset13 as ops

from convert.architectures.masks import conjuncts
from targets.openvino.attention import BLOCKED
from targets.openvino.context import Context


def windowed_mask(context: Context, mask: ir.Value) -> Node | None:
    """The mask ``[B, 1, S, T]`` as float scores to add; None if ``mask`` has no window.

    Args:
        context: With the operands of ``mask`` lowered.
        mask: Conjunction of three conditions, one of them ``key > query - window``.
    """
    conditions = list(conjuncts(mask))
    windows = [value for value in conditions if _window(value) is not None]
    if len(windows) != 1 or len(conditions) != 3:
        return None
    first, second = (context.node(value) for value in conditions if value is not windows[0])
    inside = _window(windows[0])
    assert inside is not None
    key, query, length = inside

    def build(_: Node) -> Node:
        start = ops.add(context.node(query), np.array(-length, np.int64))
        allowed = ops.bitwise_and(first, ops.greater(context.node(key), start))
        # Two conditions are said twice, because the form has four.
        for left, right in ((None, second), (first, None), (None, second)):
            allowed = ops.bitwise_and(
                allowed if left is None else left, allowed if right is None else right
            )
        allowed = ops.broadcast(allowed, np.ones(4, np.int64), broadcast_spec="BIDIRECTIONAL")
        scores = ops.select(allowed, np.float32(0.0), BLOCKED)
        bounds = [np.array([bound], np.int64) for bound in (0, np.iinfo(np.int64).max, 1, 3)]
        return ops.slice(scores, *bounds)

    return context.shared("window", mask, build)


def _window(value: ir.Value) -> tuple[ir.Value, ir.Value, int] | None:
    """Key slots, query slots and length if ``value`` is ``key > query - length``."""
    producer = value.producer()
    if producer is None or producer.op_type != "Greater":
        return None
    key, start = producer.inputs
    below = start.producer() if start is not None else None
    if key is None or below is None or below.op_type != "Sub":
        return None
    query, length = below.inputs
    constant = ir.convenience.get_const_tensor(length) if length is not None else None
    if query is None or constant is None or constant.size != 1:
        return None
    return key, query, int(constant.numpy())
