"""A static decoder graph as a torch module: what a graph capture on a card would hold.

Every shape is an int, positions are tensors on the device, the KV cache is a buffer written in
place. What the graph computes from constants alone is computed here once, so that the module's
forward is a straight line of tensor operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from convert.errors import PassRefusedError
from convert.parameter import Parameter
from targets.gaudi.operators import OPERATORS, STATIC_INPUTS, Operator

INPUTS = ("input_ids", "attention_mask", "position_ids", "cache_position")
"""Arguments of `StaticDecoder.forward`, in order."""

CACHE_PREFIX = "past_key_values."
PRESENT_PREFIX = "present."


@dataclass(frozen=True)
class Step:
    """One node: what to call, with which values or fixed ints, and what dies afterwards."""

    operator: Operator
    attributes: Mapping[str, Any]
    inputs: tuple[str | tuple[int, ...] | None, ...]
    output: str
    last_uses: tuple[str, ...]


class StaticDecoder(nn.Module):
    """The graph of one shape: ``tokens`` new tokens against a cache of fixed length.

    Args:
        model: A graph in the static cache form.
        weights: Tensors by the names of the graph's parameters; not copied.
        caches: Tensors by the names of the graph's cache inputs; written in place.

    Raises:
        PassRefusedError: The graph is not in static form or has an operator without a lowering.
    """

    def __init__(
        self, model: ir.Model, weights: Mapping[str, Tensor], caches: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        if model.metadata_props.get("kv_cache.form") != "static":
            raise PassRefusedError("the KV cache is not in static form", model.graph.name or "")
        constants = _fold_constants(model.graph)
        self._steps = _steps(model.graph, constants)
        used = {name for step in self._steps for name in step.inputs if isinstance(name, str)}
        self._tensors: dict[str, str] = {}
        for name, tensor in (*weights.items(), *caches.items(), *constants.items()):
            if name in used:
                self._tensors[name] = f"tensor_{len(self._tensors)}"
                self.register_buffer(self._tensors[name], tensor)
        self._replaced = _replaced(model.graph)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        cache_position: Tensor,
    ) -> Tensor:
        """Logits ``[batch, tokens, vocab]``; see `INPUTS` in the graph contract for shapes."""
        given = (input_ids, attention_mask, position_ids, cache_position)
        values: dict[str, Tensor] = dict(zip(INPUTS, given, strict=True))
        values |= {name: getattr(self, buffer) for name, buffer in self._tensors.items()}
        for step in self._steps:
            inputs = [values[name] if isinstance(name, str) else name for name in step.inputs]
            values[step.output] = step.operator(step.attributes, *inputs)
            for name in step.last_uses:
                del values[name]
        for present, past in self._replaced.items():
            getattr(self, self._tensors[past]).copy_(values[present])
        return values["logits"]


def _replaced(graph: ir.Graph) -> dict[str, str]:
    """The present of every cache that is not written in place already, and its past."""
    return {
        _name(value): _name(value).replace(PRESENT_PREFIX, CACHE_PREFIX, 1)
        for value in graph.outputs
        if _name(value).startswith(PRESENT_PREFIX) and not _is_written_in_place(value)
    }


def _is_written_in_place(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "TensorScatter"


def _steps(graph: ir.Graph, constants: Mapping[str, Tensor]) -> tuple[Step, ...]:
    nodes = [node for node in graph if _name(node.outputs[0]) not in constants]
    last_use: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.producer() is not None:
                last_use[_name(value)] = position
    keep = {"logits", *constants, *_replaced(graph)}
    dying: list[list[str]] = [[] for _ in nodes]
    for name, position in last_use.items():
        if name not in keep:
            dying[position].append(name)
    return tuple(
        _step(node, constants, tuple(names)) for node, names in zip(nodes, dying, strict=True)
    )


def _step(node: ir.Node, constants: Mapping[str, Tensor], last_uses: tuple[str, ...]) -> Step:
    return Step(
        _operator(node),
        _attributes(node),
        tuple(_inputs(node, constants)),
        _name(node.outputs[0]),
        last_uses,
    )


def _inputs(node: ir.Node, constants: Mapping[str, Tensor]) -> list[str | tuple[int, ...] | None]:
    static = STATIC_INPUTS.get(node.op_type, ())
    inputs: list[str | tuple[int, ...] | None] = []
    for position, value in enumerate(node.inputs):
        if value is None:
            inputs.append(None)
        elif position not in static:
            inputs.append(_name(value))
        elif _name(value) in constants:
            inputs.append(_ints(constants[_name(value)]))
        else:
            raise PassRefusedError(f"{_name(value)!r} depends on the data", node.name or "")
    return inputs


def _fold_constants(graph: ir.Graph) -> dict[str, Tensor]:
    """Every value that depends on constants and static shapes alone."""
    constants: dict[str, Tensor] = {}
    for name, value in graph.initializers.items():
        if value.const_value is not None and not isinstance(value.const_value, Parameter):
            constants[name] = _tensor(value.const_value.numpy())
    for node in graph:
        folded = _folded(node, constants)
        if folded is not None:
            constants[_name(node.outputs[0])] = folded
    return constants


def _folded(node: ir.Node, constants: Mapping[str, Tensor]) -> Tensor | None:
    if node.op_type == "Constant":
        tensor = node.attributes["value"].as_tensor()
        return _tensor(tensor.numpy())
    if node.op_type == "Shape":
        return torch.tensor(_static_shape(node))
    names = [_name(value) for value in node.inputs if value is not None]
    if any(name not in constants for name in names):
        return None
    if node.op_type == "Range":
        start, limit, delta = (int(constants[name].item()) for name in names)
        return torch.arange(start, limit, delta)
    inputs = [
        constants[name] if isinstance(name, str) else name for name in _inputs(node, constants)
    ]
    return _operator(node)(_attributes(node), *inputs)


def _static_shape(node: ir.Node) -> Sequence[int]:
    value = node.inputs[0]
    if value is None or value.shape is None or not value.shape.is_static():
        raise PassRefusedError("a shape is not static", node.name or "")
    attributes = _attributes(node)
    return value.shape.numpy()[attributes.get("start", 0) : attributes.get("end")]


def _operator(node: ir.Node) -> Operator:
    if node.op_type not in OPERATORS:
        raise PassRefusedError(f"{node.op_type} has no lowering to torch", node.name or "")
    return OPERATORS[node.op_type]


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise ValueError("a value of the graph has no name")
    return value.name


def _ints(tensor: Tensor) -> tuple[int, ...]:
    return tuple(int(number) for number in tensor.reshape(-1))


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(array))
