"""Scales with scales of their own: Multiply(Convert(scales), super scales), of constants alone.

The runtime carries the product out when it loads the model and keeps the weights as codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from openvino import Node
from openvino import opset13 as ops

from passes.encodings.base import Plane
from passes.encodings.nf4 import SUPER_GROUP

Shape = tuple[int, ...]


def nested_shapes(rows: int, groups: int, super_scales: Plane) -> dict[str, Shape]:
    """Shapes of the constants of both planes.

    One super scale and all that it scales make a row, unless one scales fewer than another.

    Args:
        rows: Of the weight.
        groups: Of each row.
        super_scales: The plane.
    """
    size = _scaled_by_each(rows, groups, super_scales)
    if size is not None:
        count = rows * groups // size
        return {"scales": (count, size), "super_scales": (count, 1)}
    shares = math.ceil(rows / super_scales.shared_rows)
    return {
        "scales": (rows, groups, 1),
        "super_scales": (shares, *super_scales.row_shape, 1),
    }


def nested_scales(nodes: Mapping[str, Node], super_scales: Plane, shape: Shape) -> Node:
    """The product as float32.

    Args:
        nodes: ``scales`` and ``super_scales`` in the shapes that `nested_shapes` gave.
        super_scales: The plane.
        shape: Of the result: one scale for each group.
    """
    scales, factors = ops.convert(nodes["scales"], "f32"), nodes["super_scales"]
    if len(factors.get_output_shape(0)) > 2:
        axis, size = (0, super_scales.shared_rows) if _one_a_row(super_scales) else (1, SUPER_GROUP)
        member = np.arange(shape[axis]) // size
        factors = ops.gather(factors, member.astype(np.int32), np.int64(axis))
    product = ops.multiply(scales, factors)
    if tuple(product.get_output_shape(0)) == shape:
        return product
    return ops.reshape(product, np.array(shape, np.int64), special_zero=False)


def _scaled_by_each(rows: int, groups: int, super_scales: Plane) -> int | None:
    """How many scales every super scale has; None if not the same number."""
    if _one_a_row(super_scales):
        shared = super_scales.shared_rows
        return None if rows % shared else shared * groups
    return None if groups % SUPER_GROUP else SUPER_GROUP


def _one_a_row(super_scales: Plane) -> bool:
    return math.prod(super_scales.row_shape) == 1
