"""Stored weights as subgraphs that the runtime keeps compressed: integers → float → · scale.

The planes of a weight are placeholders here; `ir_file` turns them into constants with offsets.
Form of the subgraphs: Convert(f16) → [Subtract(Convert(zero points))] → Multiply(scales) →
[Reshape to the matrix] → Convert(f32), as NNCF writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from openvino import Node, Type
from openvino import opset13 as ops

from convert.errors import UnsupportedEncodingError
from convert.parameter import Parameter
from passes.encodings import encoding as encoding_named
from passes.encodings.base import Encoding, Plane

_TYPES = {
    "f32": Type.f32,
    "f16": Type.f16,
    "bf16": Type.bf16,
    "i8": Type.i8,
    "u8": Type.u8,
    "i4": Type.i4,
    "u4": Type.u4,
}


@dataclass(frozen=True)
class StoredWeight:
    """A weight of the graph and the placeholders that stand for its planes.

    Args:
        parameter: The initializer.
        encoding: How it is stored.
        placeholders: Node and plane, in the order of the encoding's planes.
        node: The float matrix that they stand for.
    """

    parameter: Parameter
    encoding: Encoding
    placeholders: tuple[tuple[Node, Plane], ...]
    node: Node

    @property
    def compressed(self) -> bool:
        """Whether it is stored as integer codes."""
        return any(plane.name == "codes" for _, plane in self.placeholders)


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
    return StoredWeight(parameter, encoding, placeholders, _decompressed(nodes, weight.shape))


def _plane_shapes(
    planes: Mapping[str, Plane], shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]] | None:
    """Shape of each plane's constant; None if this target has no form for these planes."""
    if planes.keys() == {"values"}:
        return {"values": shape}
    if planes.keys() - {"zero_points"} != {"codes", "scales"} or len(shape) != 2:
        return None
    rows, columns = shape
    groups = int(np.prod(planes["scales"].row_shape, dtype=np.int64))
    if groups == 1:
        return {name: (rows, columns if name == "codes" else 1) for name in planes}
    return {name: (rows, *plane.row_shape) for name, plane in planes.items()}


def _decompressed(nodes: Mapping[str, Node], shape: tuple[int, ...]) -> Node:
    if "values" in nodes:
        values = nodes["values"]
        is_float32 = values.get_output_element_type(0) == Type.f32
        return values if is_float32 else ops.convert(values, "f32")
    weights = ops.convert(nodes["codes"], "f16")
    if "zero_points" in nodes:
        weights = ops.subtract(weights, ops.convert(nodes["zero_points"], "f16"))
    weights = ops.multiply(weights, nodes["scales"])
    if len(weights.get_output_shape(0)) > len(shape):
        weights = ops.reshape(weights, np.array(shape, np.int64), special_zero=False)
    return ops.convert(weights, "f32")
