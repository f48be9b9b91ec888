"""The numbers that a graph multiplies embeddings, logits and what layers add by."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from convert.graph import LOGITS
from convert.importing.raising.patterns import scalar_of
from targets.gguf.imported.evaluating import NotComputableError
from targets.gguf.imported.heads import NORMS
from targets.gguf.imported.linears import Linear, is_weight

_MOVED = ("Reshape", "Squeeze", "Identity")


@dataclass(frozen=True)
class Head:
    """What happens around the last linear layer.

    Args:
        scale: What the logits are multiplied by, or what they are computed from.
        cap: What they are capped by; None if they are not.
    """

    scale: float = 1.0
    cap: float | None = None


def embedding_scale(model: ir.Model) -> float:
    """What embeddings of tokens are multiplied by."""
    scale = 1.0
    for node in model.graph:
        if node.op_type == "Gather" and is_weight(node.inputs[0]):
            scale *= _scale(node.outputs[0])
    return scale


def _scale(value: ir.Value) -> float:
    readers = value.consumers()
    found = multiplied(readers[0]) if len(readers) == 1 else None
    return 1.0 if found is None else found * _scale(readers[0].outputs[0])


def multiplied(node: ir.Node) -> float | None:
    """The number that a node multiplies by; None if it does something else."""
    if node.op_type not in ("Mul", "Div") or len(node.inputs) != 2:
        return None
    first, second = (scalar_of(value) for value in node.inputs)
    if node.op_type == "Div":
        return None if second is None else 1 / second
    return first if second is None else second


def head_of(model: ir.Model, head: Linear) -> Head:
    """Behind the layer that gives the logits.

    Raises:
        NotComputableError: Something that is neither a scale nor a cap.
    """
    value = next(each for each in model.graph.outputs if each.name == LOGITS)
    steps: list[float | None] = []
    while value is not head.y:
        node = value.producer()
        found = multiplied(node) if node is not None else None
        if node is None or (found is None and node.op_type not in ("Tanh", "Identity", "Cast")):
            raise NotComputableError(f"{node.op_type if node else 'nothing'} before {LOGITS}")
        if node.op_type == "Tanh" or found is not None:
            steps.append(found)
        value = _other_input(node)
    return _head(steps[::-1], _scale_before(head.x))


def _scale_before(value: ir.Value) -> float:
    """What a value was multiplied by last."""
    node = value.producer()
    found = None if node is None else multiplied(node)
    return 1.0 if node is None or found is None else found * _scale_before(_other_input(node))


def _other_input(node: ir.Node) -> ir.Value:
    """What a number is multiplied with."""
    return next(one for one in node.inputs if one is not None and scalar_of(one) is None)


def _head(steps: list[float | None], before: float) -> Head:
    if None not in steps:
        scale = before
        for step in steps:
            scale *= step or 1.0
        return Head(scale)
    tanh = steps.index(None)
    cap = 1.0
    for step in steps[tanh + 1 :]:
        if step is None:
            raise NotComputableError("two caps of the logits")
        cap *= step
    inner = _head(steps[:tanh], before).scale
    return Head(inner * cap, cap)


def added_scale(linear: Linear) -> float:
    """What the output of a layer is multiplied by before it is added to what it was made from."""
    scale, value = 1.0, summed(linear).outputs[0] if linear.experts else linear.y
    while True:
        readers = value.consumers()
        if len(readers) != 1:
            return scale
        node = readers[0]
        found = multiplied(node)
        if found is None and node.op_type not in (*NORMS, *_MOVED):
            return scale
        scale *= found or 1.0
        value = node.outputs[0]


def summed(experts: Linear) -> ir.Node:
    """The sum of what a token's experts found, each as much as it counts.

    Raises:
        NotComputableError: There is none.
    """
    waiting, seen = [experts.y], set[ir.Node]()
    while waiting:
        for node in waiting.pop(0).consumers():
            if node.op_type == "ReduceSum":
                return node
            if node not in seen:
                seen.add(node)
                waiting += node.outputs
    raise NotComputableError(f"experts of {experts.name} that are not added")
