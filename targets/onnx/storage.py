"""How a parameter is stored: its initializers, and the nodes that make a float of them.

    f32        the initializer itself
    f16, bf16  Cast(initializer) to float
    integers   DequantizeLinear(codes, Cast(scales) to float [, zero points])

Scales are stored as float16 and cast first: DequantizeLinear computes in the type of its scale,
and half precision would round each product again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from convert.errors import UnsupportedEncodingError
from convert.parameter import Parameter
from convert.weights import FloatType
from passes.encodings import encoding
from passes.encodings.base import Encoding, Plane

FLOAT = ir.DataType.FLOAT

DTYPES = {
    "f32": FLOAT,
    "f16": ir.DataType.FLOAT16,
    "bf16": ir.DataType.BFLOAT16,
    "i8": ir.DataType.INT8,
    "u8": ir.DataType.UINT8,
    "i4": ir.DataType.INT4,
    "u4": ir.DataType.UINT4,
}
"""ONNX element types by the element types of planes; 4-bit elements lie low nibble first."""

Allocate = Callable[[str, ir.DataType, tuple[int, ...], int], ir.ExternalTensor]
"""Reserves bytes of the data file: name, type, shape, bytes."""


@dataclass(frozen=True)
class Stored:
    """One parameter in the file.

    Args:
        encoding: What its write job encodes it with.
        initializers: One for each plane, in order.
        nodes: Make the float value of them, in order; empty for f32.
        value: The float value.
    """

    encoding: Encoding
    initializers: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    value: ir.Value


def store(parameter: Parameter, allocate: Allocate) -> Stored:
    """Lay out one parameter; its first initializer has its name in the checkpoint.

    Raises:
        UnsupportedEncodingError: ONNX has no operator that decodes the encoding.
    """
    chosen = parameter.encoding or encoding(FloatType.F32.value)
    planes = chosen.planes(parameter.weight.columns)
    names = tuple(plane.name for plane in planes)
    stored = tuple(_initializer(parameter, plane, allocate) for plane in planes)
    if names == ("values",):
        return _floats(chosen, stored[0])
    if names in {("codes", "scales"), ("codes", "scales", "zero_points")}:
        return _integers(chosen, stored)
    raise UnsupportedEncodingError(
        f"the onnx target cannot store {parameter.weight.name!r}",
        expected="floats, or integer codes with scales",
        found=chosen.name,
    )


def _initializer(parameter: Parameter, plane: Plane, allocate: Allocate) -> ir.Value:
    weight = parameter.weight
    first = plane.name in {"values", "codes"}
    name = weight.name if first else f"{weight.name}.{plane.name}"
    groups = plane.row_shape[0]
    one_a_row = plane.row_shape == (1,)
    shape = weight.shape if first else (weight.rows,) if one_a_row else (weight.rows, groups)
    dtype = DTYPES[plane.dtype]
    tensor = allocate(name, dtype, shape, plane.nbytes(weight.rows))
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype), const_value=tensor)


def _floats(chosen: Encoding, stored: ir.Value) -> Stored:
    if stored.dtype == FLOAT:
        return Stored(chosen, (stored,), (), stored)
    cast = _cast(stored)
    return Stored(chosen, (stored,), (cast,), cast.outputs[0])


def _integers(chosen: Encoding, stored: tuple[ir.Value, ...]) -> Stored:
    codes, scales, *zero_points = stored
    cast = _cast(scales)
    attributes = {"axis": 0}
    if scales.shape is not None and codes.shape is not None and len(scales.shape) == 2:
        columns, groups = codes.shape.numpy()[1], scales.shape.numpy()[1]
        attributes = {"axis": 1, "block_size": columns // groups}
    decode = _node("DequantizeLinear", [codes, cast.outputs[0], *zero_points], codes, attributes)
    return Stored(chosen, stored, (cast, decode), decode.outputs[0])


def _cast(stored: ir.Value) -> ir.Node:
    return _node("Cast", [stored], stored, {"to": int(FLOAT)})


def _node(kind: str, inputs: list[ir.Value], of: ir.Value, attributes: dict[str, int]) -> ir.Node:
    """A node that makes the float of ``of``, with the same shape."""
    output = ir.Value(name=f"{of.name}.float", shape=of.shape, type=ir.TensorType(FLOAT))
    return ir.node(kind, inputs, attributes=attributes, outputs=[output], name=f"{of.name}.{kind}")
