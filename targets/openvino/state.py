"""State variables: what the runtime keeps between runs, and what it starts with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from openvino import Node, PartialShape, Type
from openvino import opset13 as ops


def read_state(variable: str, batch: Node, axes: Sequence[int | None]) -> Node:
    """A variable that starts with zeros, or, where an axis is free, with nothing at all.

    Args:
        variable: Id of the variable.
        batch: i64 ``[1]``, the batch size of this call.
        axes: Lengths of the axes behind the batch; None for one that grows from run to run.
    """
    start = np.array([0 if axis is None else axis for axis in axes], np.int64)
    empty = ops.broadcast(np.float32(0.0), ops.concat([batch, start], axis=0))
    shape = PartialShape([-1, *(-1 if axis is None else axis for axis in axes)])
    return ops.read_value(empty, variable, Type.f32, shape)
