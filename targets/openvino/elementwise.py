"""Operators that treat each element by itself, and have one of the runtime's to be said in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from openvino import Node
from openvino import opset13 as ops

from targets.openvino.context import Context, attributes, refuse_unless

Lowering = Callable[[Context, ir.Node], Sequence[Node]]


def _same(operator: Callable[..., Node]) -> Lowering:
    """An operator that means the same in both sets and has no attributes."""

    def lower(context: Context, node: ir.Node) -> Sequence[Node]:
        attributes(node, {})
        return [operator(*context.inputs(node))]

    return lower


def _with(given: Mapping[str, Any], build: Callable[..., Node]) -> Lowering:
    """An operator with attributes, which ``build`` is given by name behind the operands."""

    def lower(context: Context, node: ir.Node) -> Sequence[Node]:
        return [build(*context.inputs(node), **attributes(node, given))]

    return lower


def _gelu(context: Context, node: ir.Node) -> Sequence[Node]:
    form = attributes(node, {"approximate": "none"})["approximate"]
    refuse_unless(form in ("none", "tanh"), node, f"the approximation {form!r}")
    return [ops.gelu(context.node(node.inputs[0]), "TANH" if form == "tanh" else "ERF")]


def _of_two(operator: Callable[..., Node]) -> Lowering:
    """Of any number of operands in ONNX, of two here."""

    def lower(context: Context, node: ir.Node) -> Sequence[Node]:
        refuse_unless(len(node.inputs) == 2, node, f"{len(node.inputs)} operands")
        return [operator(*context.inputs(node))]

    return lower


def _reciprocal(x: Node) -> Node:
    return ops.divide(np.float32(1.0), x)


def _remainder(context: Context, node: ir.Node) -> Sequence[Node]:
    whole = attributes(node, {"fmod": 0})["fmod"]
    operator = ops.mod if whole else ops.floor_mod
    return [operator(*context.inputs(node))]


ELEMENTWISE: Mapping[str, Lowering] = {
    "Abs": _same(ops.abs),
    "Ceil": _same(ops.ceiling),
    "Cos": _same(ops.cos),
    "Elu": _with({"alpha": 1.0}, ops.elu),
    "Erf": _same(ops.erf),
    "Exp": _same(ops.exp),
    "Floor": _same(ops.floor),
    "Gelu": _gelu,
    "HardSwish": _same(ops.hswish),
    "LeakyRelu": _with({"alpha": 0.01}, lambda x, alpha: ops.prelu(x, np.float32(alpha))),
    "Log": _same(ops.log),
    "Max": _of_two(ops.maximum),
    "Min": _of_two(ops.minimum),
    "Mish": _same(ops.mish),
    "Mod": _remainder,
    "Neg": _same(ops.negative),
    "Pow": _same(ops.power),
    "Reciprocal": _same(_reciprocal),
    "Relu": _same(ops.relu),
    "Sigmoid": _same(ops.sigmoid),
    "Sign": _same(ops.sign),
    "Sin": _same(ops.sin),
    "Softplus": _same(ops.softplus),
    "Sqrt": _same(ops.sqrt),
    "Tanh": _same(ops.tanh),
    "Xor": _same(ops.logical_xor),
}
