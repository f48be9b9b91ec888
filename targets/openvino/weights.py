"""Stored weights as subgraphs that the runtime keeps compressed: integers → float → · scale.

The planes of a weight are placeholders here; `ir_file` turns them into constants with offsets.
Form of the subgraphs: Convert(f16) → [Subtract(Convert(zero points))] → Multiply(scales) →
[Reshape to the matrix] → Convert(f32), as NNCF writes them. Where scales have scales, which NNCF
does not write, all is in float32 from the start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from openvino import Node, Type
from openvino import opset13 as ops

from convert.errors import UnsupportedEncodingError
from convert.parameter import Parameter
from passes.encodings import encoding as encoding_named
from passes.encodings.base import Encoding, Plane
from targets.openvino.nested_scales import nested_scales, nested_shapes

_TYPES = {
    "f32": Type.f32,
    "f16": Type.f16,
    "bf16": Type.bf16,
    "i8": Type.i8,
    "u8": Type.u8,
    "i4": Type.i4,
    "u4": Type.u4,
    "nf4": Type.nf4,
    "f8e4m3": Type.f8e4m3,
}

_INTEGERS = ("i8", "u8", "i4", "u4")


@dataclass(frozen=True)
class StoredWeight:
    """A weight of the graph, or several of one shape along a new axis, and the placeholders that
    stand for its planes.

    Args:
        parameters: The initializer; or all that are in one constant, in order.
        encoding: How it is stored.
        placeholders: Node and plane, in the order of the encoding's planes.
        node: The floats that they stand for.
    """

    parameters: tuple[Parameter, ...]
    encoding: Encoding
    placeholders: tuple[tuple[Node, Plane], ...]
    node: Node

    @property
    def compressed(self) -> bool:
        """Whether it is stored as codes and scales."""
        return any(plane.name == "codes" for _, plane in self.placeholders)

    @property
    def group(self) -> int | None:
        """How many integers of a row share a scale; None if all do, or none are stored."""
        planes = {plane.name: plane for _, plane in self.placeholders}
        if "scales" not in planes or planes["codes"].dtype not in _INTEGERS:
            return None
        groups = math.prod(planes["scales"].row_shape)
        return self.parameters[0].weight.columns // groups if groups > 1 else None


def stored_stack(parameters: Sequence[Parameter]) -> StoredWeight:
    """As `stored_weight`, for weights of one shape and encoding along a new first axis.

    Raises:
        UnsupportedEncodingError: The encoding stores planes that this target has no form for.
    """
    single = stored_weight(parameters[0])
    count, shape = len(parameters), parameters[0].weight.shape
    planes = {plane.name: plane for _, plane in single.placeholders}
    nodes = {
        plane.name: ops.parameter(
            [count, *node.get_output_shape(0)], node.get_output_element_type(0)
        )
        for node, plane in single.placeholders
    }
    placeholders = tuple((nodes[name], plane) for name, plane in planes.items())
    node = _decompressed(nodes, planes, (count, *shape))
    return StoredWeight(tuple(parameters), single.encoding, placeholders, node)


def stored_weight(parameter: Parameter) -> StoredWeight:
    """The subgraph that turns the stored planes of ``parameter`` into float32.

    Raises:
        UnsupportedEncodingError: The encoding stores planes that this target has no form for.
    """
    weight = parameter.weight
    encoding = parameter.encoding or encoding_named(weight.dtype.value)
    planes = {plane.name: plane for plane in encoding.planes(weight.columns)}
    shapes = _plane_shapes(planes, weight.shape)
    if shapes is None:
        raise UnsupportedEncodingError(
            f"an OpenVINO IR cannot store {weight.name!r} as {encoding.name}"
        )
    nodes = {
        name: ops.parameter(list(shapes[name]), _TYPES[plane.dtype])
        for name, plane in planes.items()
    }
    placeholders = tuple((nodes[name], plane) for name, plane in planes.items())
    node = _decompressed(nodes, planes, weight.shape)
    return StoredWeight((parameter,), encoding, placeholders, node)


def _plane_shapes(
    planes: Mapping[str, Plane], shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]] | None:
    """Shape of each plane's constant; None if this target has no form for these planes."""
    if planes.keys() == {"values"}:
        return {"values": shape}
    if planes.keys() - {"zero_points", "super_scales"} != {"codes", "scales"} or len(shape) != 2:
        return None
    rows, columns = shape
    groups = math.prod(planes["scales"].row_shape)
    shapes: dict[str, tuple[int, ...]]
    if groups == 1:
        shapes = {name: (rows, columns if name == "codes" else 1) for name in planes}
    else:
        shapes = {name: (rows, *plane.row_shape) for name, plane in planes.items()}
    if "super_scales" in planes:
        shapes.update(nested_shapes(rows, groups, planes["super_scales"]))
    return shapes


def _decompressed(
    nodes: Mapping[str, Node], planes: Mapping[str, Plane], shape: tuple[int, ...]
) -> Node:
    if "values" in nodes:
        values = nodes["values"]
        is_float32 = values.get_output_element_type(0) == Type.f32
        return values if is_float32 else ops.convert(values, "f32")
    scales, one_a_group = nodes["scales"], (*list(nodes["codes"].get_output_shape(0))[:-1], 1)
    if "super_scales" in nodes:
        scales = nested_scales(nodes, planes["super_scales"], one_a_group)
    kind = scales.get_output_element_type(0)
    weights = ops.convert(nodes["codes"], kind)
    if "zero_points" in nodes:
        weights = ops.subtract(weights, ops.convert(nodes["zero_points"], kind))
    weights = ops.multiply(weights, scales)
    if len(weights.get_output_shape(0)) > len(shape):
        weights = ops.reshape(weights, np.array(shape, np.int64), special_zero=False)
    return weights if kind == Type.f32 else ops.convert(weights, "f32")
