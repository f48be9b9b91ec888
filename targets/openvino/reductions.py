"""Sums, means and extremes along axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from openvino import Node
from openvino import opset13 as ops

from targets.openvino.context import Context, attributes, refuse_unless

Lowering = Callable[[Context, ir.Node], Sequence[Node]]


def _reduced(operator: Callable[..., Node]) -> Lowering:
    def lower(context: Context, node: ir.Node) -> Sequence[Node]:
        given = attributes(node, {"keepdims": 1, "noop_with_empty_axes": 0})
        refuse_unless(len(node.inputs) == 2, node, "missing axes")
        return [operator(*context.inputs(node), keep_dims=bool(given["keepdims"]))]

    return lower


def _cumulative_sum(context: Context, node: ir.Node) -> Sequence[Node]:
    given = attributes(node, {"exclusive": 0, "reverse": 0})
    options = {key: bool(item) for key, item in given.items()}
    return [ops.cum_sum(*context.inputs(node), **options)]


def _tile(context: Context, node: ir.Node) -> Sequence[Node]:
    attributes(node, {})
    return [ops.tile(*context.inputs(node))]


def _einsum(context: Context, node: ir.Node) -> Sequence[Node]:
    equation = attributes(node, {"equation": None})["equation"]
    return [ops.einsum(context.inputs(node), equation)]


def _gather_elements(context: Context, node: ir.Node) -> Sequence[Node]:
    axis = attributes(node, {"axis": 0})["axis"]
    return [ops.gather_elements(*context.inputs(node), axis)]


def _pad(context: Context, node: ir.Node) -> Sequence[Node]:
    """With a constant."""
    mode = attributes(node, {"mode": "constant"})["mode"]
    refuse_unless(mode == "constant", node, f"mode {mode!r}")
    refuse_unless(len(node.inputs) in (2, 3), node, "axes")
    x, pads, *value = context.inputs(node)
    half = x.get_output_partial_shape(0).rank.get_length()
    zero, one = np.array([0], np.int64), np.array([1], np.int64)
    middle, end = np.array([half], np.int64), np.array([2 * half], np.int64)
    before, after = ops.slice(pads, zero, middle, one), ops.slice(pads, middle, end, one)
    return [ops.pad(x, before, after, "constant", value[0] if value else np.float32(0.0))]


REDUCTIONS: Mapping[str, Lowering] = {
    "CumSum": _cumulative_sum,
    "Einsum": _einsum,
    "GatherElements": _gather_elements,
    "Pad": _pad,
    "ReduceL2": _reduced(ops.reduce_l2),
    "ReduceMax": _reduced(ops.reduce_max),
    "ReduceMean": _reduced(ops.reduce_mean),
    "ReduceMin": _reduced(ops.reduce_min),
    "ReduceSum": _reduced(ops.reduce_sum),
    "Tile": _tile,
}
