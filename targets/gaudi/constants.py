"""What a static graph computes from constants and fixed shapes alone, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from convert.errors import PassRefusedError
from convert.parameter import Parameter
from targets.gaudi.operators import STATIC_INPUTS, operator_of


def fold_constants(graph: ir.Graph) -> dict[str, Tensor]:
    """Every value that no input and no parameter has a part in, by name.

    Raises:
        PassRefusedError: A shape is not static, or an operator has no lowering.
    """
    constants: dict[str, Tensor] = {}
    for name, value in graph.initializers.items():
        if value.const_value is not None and not isinstance(value.const_value, Parameter):
            constants[name] = _tensor(value.const_value.numpy())
    for node in graph:
        if len(node.outputs) == 1 and node.outputs[0].name is not None:
            folded = _folded(node, constants)
            if folded is not None:
                constants[node.outputs[0].name] = folded
    return constants


def integers(tensor: Tensor) -> tuple[int, ...]:
    """A constant as the fixed numbers of an operator."""
    return tuple(int(number) for number in tensor.reshape(-1))


def _folded(node: ir.Node, constants: Mapping[str, Tensor]) -> Tensor | None:
    if node.op_type == "Constant":
        return _tensor(node.attributes["value"].as_tensor().numpy())
    if node.op_type == "Shape":
        return torch.tensor(_static_shape(node))
    given = [
        constants.get(value.name or "") if value is not None else None for value in node.inputs
    ]
    if any(
        value is not None and tensor is None
        for value, tensor in zip(node.inputs, given, strict=True)
    ):
        return None
    if node.op_type == "Range":
        start, limit, delta = (int(tensor.item()) for tensor in given if tensor is not None)
        return torch.arange(start, limit, delta)
    static = STATIC_INPUTS.get(node.op_type, ())
    inputs = [
        integers(tensor) if position in static and tensor is not None else tensor
        for position, tensor in enumerate(given)
    ]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    result = operator_of(node)(attributes, *inputs)
    return result if isinstance(result, Tensor) else None


def _static_shape(node: ir.Node) -> Sequence[int]:
    value = node.inputs[0]
    if value is None or value.shape is None or not value.shape.is_static():
        raise PassRefusedError("a shape is not static", node.name or "")
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    return value.shape.numpy()[attributes.get("start", 0) : attributes.get("end")]


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(array))
