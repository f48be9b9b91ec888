"""The operator table: how each ONNX operator of a decoder graph is said in OpenVINO operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from openvino import Node, Type
from openvino import opset13 as ops
from openvino.opset15 import scatter_nd_update

from convert.errors import UnsupportedError
from convert.parameter import Parameter
from passes.sharding.collectives import is_collective
from targets.openvino.attending import lower_attention, lower_rotary_embedding
from targets.openvino.context import Context, attributes, refuse_unless
from targets.openvino.elementwise import ELEMENTWISE
from targets.openvino.norm import layer_normalization, rms_normalization
from targets.openvino.parallel.collectives import lower_collective
from targets.openvino.reductions import REDUCTIONS
from targets.openvino.rounded_inputs import input_of

Lowering = Callable[[Context, ir.Node], Sequence[Node]]
"""From a graph node to the runtime's nodes of its outputs."""

_TYPES = {
    ir.DataType.FLOAT: Type.f32,
    ir.DataType.INT64: Type.i64,
    ir.DataType.INT32: Type.i32,
    ir.DataType.BOOL: Type.boolean,
}


def lower_node(context: Context, node: ir.Node) -> Sequence[Node]:
    """Lower one operator by the table.

    Raises:
        UnsupportedError: The table has no such operator, or not with these attributes.
    """
    if is_collective(node):
        return [lower_collective(node, context.node(node.inputs[0]))]
    if node.domain != "" or node.op_type not in OPERATORS:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise UnsupportedError(
            f"OpenVINO lowering does not know the operator {operator} (node {node.name!r})",
            expected=f"one of {', '.join(sorted(OPERATORS))}",
        )
    return OPERATORS[node.op_type](context, node)


def _same(operator: Callable[..., Node]) -> Lowering:
    """An operator that means the same in both sets and has no attributes."""

    def lower(context: Context, node: ir.Node) -> Sequence[Node]:
        attributes(node, {})
        return [operator(*context.inputs(node))]

    return lower


def _matmul(context: Context, node: ir.Node) -> Sequence[Node]:
    x, right = node.inputs
    weight = _transposed_weight(right)
    if weight is None:
        return [ops.matmul(context.node(x), context.node(right), False, False)]
    # A weight stays compressed only as [out, in] under transpose_b, never behind a Transpose.
    return [ops.matmul(input_of(context, x, weight), context.node(weight), False, True)]


def _transposed_weight(value: ir.Value | None) -> ir.Value | None:
    """W if ``value`` is Transpose(W) of a stored matrix, else None."""
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type != "Transpose":
        return None
    source = producer.inputs[0]
    return source if source is not None and isinstance(source.const_value, Parameter) else None


def _transpose(context: Context, node: ir.Node) -> Sequence[Node]:
    order = attributes(node, {"perm": None})["perm"]
    refuse_unless(order is not None, node, "a missing perm")
    return [ops.transpose(context.node(node.inputs[0]), np.array(order, np.int64))]


def _reshape(context: Context, node: ir.Node) -> Sequence[Node]:
    keep_zeros = attributes(node, {"allowzero": 0})["allowzero"]
    return [ops.reshape(*context.inputs(node), special_zero=not keep_zeros)]


def _gather(context: Context, node: ir.Node) -> Sequence[Node]:
    axis = attributes(node, {"axis": 0})["axis"]
    return [ops.gather(*context.inputs(node), np.int64(axis))]


def _concat(context: Context, node: ir.Node) -> Sequence[Node]:
    return [ops.concat(context.inputs(node), axis=attributes(node, {"axis": None})["axis"])]


def _slice(context: Context, node: ir.Node) -> Sequence[Node]:
    attributes(node, {})
    data, start, stop, *rest = context.inputs(node)
    rank = data.get_output_partial_shape(0).rank.get_length()
    axes = rest[0] if rest else ops.constant(np.arange(rank, dtype=np.int64))
    count = axes.get_output_shape(0)[0]
    step = rest[1] if len(rest) > 1 else ops.constant(np.ones(count, np.int64))
    return [ops.slice(data, start, stop, step, axes)]


def _gather_nd(context: Context, node: ir.Node) -> Sequence[Node]:
    batch_dims = attributes(node, {"batch_dims": 0})["batch_dims"]
    return [ops.gather_nd(*context.inputs(node), batch_dims)]


_REDUCTIONS = {"none": "none", "add": "sum", "mul": "prod", "min": "min", "max": "max"}
"""ONNX's names of what is done with elements that are written to, and the runtime's."""


def _scatter_elements(context: Context, node: ir.Node) -> Sequence[Node]:
    given = attributes(node, {"axis": 0, "reduction": "none"})
    x, index, values = context.inputs(node)
    reduction = _REDUCTIONS[given["reduction"]]
    return [ops.scatter_elements_update(x, index, values, np.int64(given["axis"]), reduction)]


def _scatter_nd(context: Context, node: ir.Node) -> Sequence[Node]:
    given = attributes(node, {"reduction": "none"})
    return [scatter_nd_update(*context.inputs(node), _REDUCTIONS[given["reduction"]])]


def _conv(context: Context, node: ir.Node) -> Sequence[Node]:
    """Over an image ``[B, in, S, 1]``, one step at a time, without padding."""
    attributes(node, {})
    image, weight, *bias = context.inputs(node)
    ones, zeros = [1, 1], [0, 0]
    y = ops.convolution(image, weight, ones, zeros, zeros, ones)
    if not bias:
        return [y]
    column = ops.reshape(bias[0], np.array([1, -1, 1, 1], np.int64), special_zero=False)
    return [ops.add(y, column)]


def _cast(context: Context, node: ir.Node) -> Sequence[Node]:
    to = attributes(node, {"to": None, "saturate": 1})["to"]
    refuse_unless(to in _TYPES, node, f"type {to}")
    return [ops.convert(context.node(node.inputs[0]), _TYPES[ir.DataType(to)])]


def _shape(context: Context, node: ir.Node) -> Sequence[Node]:
    bounds = attributes(node, {"start": 0, "end": None})
    x = context.node(node.inputs[0])
    rank = x.get_output_partial_shape(0).rank.get_length()
    picked = range(rank)[bounds["start"] : bounds["end"]]
    shape = ops.shape_of(x)
    if len(picked) == rank:
        return [shape]
    return [ops.gather(shape, np.array(picked, np.int64), np.int64(0))]


def _constant(context: Context, node: ir.Node) -> Sequence[Node]:
    tensor = ir.convenience.get_const_tensor(node.outputs[0])
    refuse_unless(tensor is not None, node, f"attributes {sorted(node.attributes)}")
    assert tensor is not None
    return [ops.constant(np.array(tensor.numpy()))]


def _range(context: Context, node: ir.Node) -> Sequence[Node]:
    start, stop, step = context.inputs(node)
    return [ops.range(start, stop, step, start.get_output_element_type(0).to_string())]


def _squeeze(context: Context, node: ir.Node) -> Sequence[Node]:
    refuse_unless(len(node.inputs) == 2, node, "missing axes")
    return [ops.squeeze(*context.inputs(node))]


def _expand(context: Context, node: ir.Node) -> Sequence[Node]:
    return [ops.broadcast(*context.inputs(node), broadcast_spec="BIDIRECTIONAL")]


def _rms_normalization(context: Context, node: ir.Node) -> Sequence[Node]:
    given = attributes(node, {"axis": -1, "epsilon": 1e-5, "stash_type": 1})
    refuse_unless(given["axis"] == -1, node, f"axis {given['axis']}")
    refuse_unless(given["stash_type"] == 1, node, f"stash_type {given['stash_type']}")
    return [rms_normalization(*context.inputs(node), epsilon=given["epsilon"])]


def _layer_normalization(context: Context, node: ir.Node) -> Sequence[Node]:
    given = attributes(node, {"axis": -1, "epsilon": 1e-5, "stash_type": 1})
    refuse_unless(given["axis"] == -1, node, f"axis {given['axis']}")
    refuse_unless(given["stash_type"] == 1, node, f"stash_type {given['stash_type']}")
    x, gain, *shift = context.inputs(node)
    return [layer_normalization(x, gain, *shift, epsilon=given["epsilon"])]


def _softmax(context: Context, node: ir.Node) -> Sequence[Node]:
    axis = attributes(node, {"axis": -1})["axis"]
    return [ops.softmax(context.node(node.inputs[0]), axis)]


def _top_k(context: Context, node: ir.Node) -> Sequence[Node]:
    """Of equals the first comes first, as in ONNX."""
    given = attributes(node, {"axis": -1, "largest": 1, "sorted": 1})
    refuse_unless(bool(given["sorted"]), node, "results in no order")
    x, count = context.inputs(node)
    count = ops.squeeze(count, np.array([0], np.int64))
    mode = "max" if given["largest"] else "min"
    found = ops.topk(x, count, given["axis"], mode, "value", "i64", stable=True)
    return _outputs_of(found)


def _outputs_of(node: Node) -> list[Node]:
    """A node of one output for each output; the runtime takes them away again."""
    return [ops.convert(output, output.get_element_type()) for output in node.outputs()]


def _split(context: Context, node: ir.Node) -> Sequence[Node]:
    """Slices, which are nodes of one output each; the runtime joins them to a split."""
    if len(node.inputs) == 2:
        axis = attributes(node, {"axis": 0})["axis"]
        x, sizes = context.inputs(node)
        return _outputs_of(ops.variadic_split(x, np.int64(axis), sizes))
    given = attributes(node, {"axis": 0, "num_outputs": None})
    x = context.node(node.inputs[0])
    shape, parts = x.get_output_partial_shape(0), len(node.outputs)
    axis = range(shape.rank.get_length())[given["axis"]]
    equal = shape[axis].is_static and shape[axis].get_length() % parts == 0
    refuse_unless(equal, node, f"{parts} parts of an axis of length {shape[axis]}")
    size = shape[axis].get_length() // parts
    starts = range(0, size * parts, size)
    return [
        ops.slice(x, *([bound] for bound in (start, start + size, 1, axis))) for start in starts
    ]


_OTHERS: Mapping[str, Lowering] = {
    "Add": _same(ops.add),
    "And": _same(ops.logical_and),
    "Attention": lower_attention,
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": _conv,
    "Div": _same(ops.divide),
    "Equal": _same(ops.equal),
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Greater": _same(ops.greater),
    "GreaterOrEqual": _same(ops.greater_equal),
    "Identity": lambda context, node: context.inputs(node),
    "LayerNormalization": _layer_normalization,
    "Less": _same(ops.less),
    "LessOrEqual": _same(ops.less_equal),
    "MatMul": _matmul,
    "Mul": _same(ops.multiply),
    "Not": _same(ops.logical_not),
    "Or": _same(ops.logical_or),
    "RMSNormalization": _rms_normalization,
    "Range": _range,
    "Reshape": _reshape,
    "RotaryEmbedding": lower_rotary_embedding,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _same(ops.subtract),
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _same(ops.unsqueeze),
    "Where": _same(ops.select),
}

OPERATORS: Mapping[str, Lowering] = dict(sorted({**ELEMENTWISE, **REDUCTIONS, **_OTHERS}.items()))
"""Every operator that a graph for this target may hold."""
