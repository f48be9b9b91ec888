"""Linear layers of a graph, each a Transpose, a MatMul and perhaps an Add, as one operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from torch import Tensor
from torch.nn import functional

from convert.parameter import Parameter


@dataclass(frozen=True)
class LinearLayer:
    """``y = x Wᵀ + b``.

    Args:
        product: The MatMul node.
        sum: The Add node; None without a bias.
        x: Name of the input.
        weight: Name of the parameter, ``[out, in]``.
        bias: Name of the parameter, ``[out]``; None if there is none.
        output: Name of ``y``.
    """

    product: ir.Node
    sum: ir.Node | None
    x: str
    weight: str
    bias: str | None
    output: str


def linear_layer(node: ir.Node) -> LinearLayer | None:
    """The layer whose product ``node`` is; None if it is no product with a parameter."""
    if node.op_type != "MatMul":
        return None
    x, turned = node.inputs
    weight = _turned_parameter(turned)
    if x is None or weight is None:
        return None
    product = node.outputs[0]
    consumers = product.consumers()
    if len(consumers) == 1 and consumers[0].op_type == "Add":
        bias = next(value for value in consumers[0].inputs if value is not product)
        if bias is not None and _is_parameter(bias) and bias.shape is not None:
            output = consumers[0].outputs[0]
            if len(bias.shape) == 1:
                names = str(x.name), str(weight.name), str(bias.name), str(output.name)
                return LinearLayer(node, consumers[0], *names)
    return LinearLayer(node, None, str(x.name), str(weight.name), None, str(product.name))


def linear(attributes: Mapping[str, Any], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The operation of a layer whose weight is stored in the dtype of the computation."""
    return functional.linear(x, weight, bias)


def _turned_parameter(value: ir.Value | None) -> ir.Value | None:
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "Transpose":
        return None
    perm = node.attributes.get("perm")
    weight = node.inputs[0]
    if weight is None or not _is_parameter(weight) or perm is None:
        return None
    return weight if list(perm.as_ints()) == [1, 0] else None


def _is_parameter(value: ir.Value) -> bool:
    return isinstance(value.const_value, Parameter)
