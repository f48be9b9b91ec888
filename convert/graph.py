"""What the parts of a graph are: roles of its parameters, its attention nodes, its named values."""

from __future__ import annotations

from enum import Enum

import onnx_ir as ir

from convert.parameter import Parameter

BATCH, SEQUENCE, TOTAL_SEQUENCE = "batch", "sequence", "total_sequence"
"""Names of the axes that are known only when the graph runs."""

INPUT_IDS, ATTENTION_MASK, POSITION_IDS, LOGITS = (
    "input_ids",
    "attention_mask",
    "position_ids",
    "logits",
)

QUERY_SLOTS = "query_slots"
"""The value ``[sequence]`` that says in which slot of the cache each new token sits."""

KEY_SLOTS = "key_slots"
"""The value ``[total_sequence]`` that numbers the slots of the cache."""


QUERY_KEPT = "query_kept"
"""The value ``[batch, sequence]`` that says which new tokens are tokens (1) and which padding (0);
only in graphs that need it beside the mask."""


def after(past: int) -> str:
    """Name of an axis that holds ``past`` earlier tokens and the new ones."""
    return f"{SEQUENCE}+{past}"


_OF_SCORES = frozenset(
    (
        *("Add", "Cast", "Div", "Exp", "Mul", "Reshape", "Sigmoid", "Softmax", "Softplus", "Sqrt"),
        *("Squeeze", "Sub", "Tanh", "Unsqueeze", "Where"),
    )
)
"""Operators between a router and the choice of experts."""

_MOST_SCORES = 32
"""Values looked at before a parameter is believed to be no router."""


class Role(Enum):
    """What a parameter does in the graph. A router says what the outputs of others count: it has
    next to no bytes, and a token that it sends elsewhere is wholly another's.
    """

    EMBEDDING = "embedding"
    HEAD = "head"
    LINEAR = "linear"
    ROUTER = "router"
    OTHER = "other"


def parameters(model: ir.Model) -> dict[str, Parameter]:
    """The parameters of the checkpoint by name; constants are left out."""
    return {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if isinstance(value.const_value, Parameter)
    }


def roles(model: ir.Model) -> dict[str, Role]:
    """The role of every parameter. An embedding tied to the head is an embedding."""
    return {name: _role(model.graph.initializers[name]) for name in parameters(model)}


def attention_nodes(model: ir.Model) -> list[ir.Node]:
    """The Attention nodes, one a layer, in order of the layers."""
    return [node for node in model.graph if node.op_type == "Attention"]


def expert_splits(model: ir.Model) -> list[ir.Node]:
    """The nodes that deal tokens out to experts, one a layer that has some: a Split into parts
    whose sizes are computed.
    """
    return [
        node
        for node in model.graph
        if node.op_type == "Split" and len(node.inputs) > 1 and _is_computed(node.inputs[1])
    ]


def is_causal_padding(node: ir.Node) -> bool:
    """Whether a node puts zeros before the first of the tokens ``[B, S, features]``.

    They stand for "nothing"; a cache puts what came before in their place.
    """
    if node.op_type != "Pad" or len(node.inputs) != 2 or node.inputs[1] is None:
        return False
    pads = ir.convenience.get_const_tensor(node.inputs[1])
    if pads is None or pads.size != 6:
        return False
    count = int(pads.numpy()[1])
    return count > 0 and pads.numpy().tolist() == [0, count, 0, 0, 0, 0]


def initializer(name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """A value that holds ``tensor``, to be registered with a graph."""
    shape = ir.Shape(tensor.shape.numpy())
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=shape, const_value=tensor)


def notes(model: ir.Model) -> tuple[str, ...]:
    """What passes left for the user to know, one sentence each, under ``note.*``."""
    metadata = sorted(model.metadata_props.items())
    return tuple(text for key, text in metadata if key.startswith("note."))


def find_value(model: ir.Model, name: str) -> ir.Value | None:
    """The value that a node computes under this name."""
    outputs = (value for node in model.graph for value in node.outputs)
    return next((value for value in outputs if value.name == name), None)


def remove_dead_nodes(model: ir.Model) -> None:
    """Remove nodes whose outputs nothing reads, and constants that nothing reads then."""
    graph = model.graph
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not isinstance(value.const_value, Parameter):
            del graph.initializers[name]


def _is_computed(value: ir.Value | None) -> bool:
    return value is not None and value.producer() is not None


def _role(value: ir.Value) -> Role:
    consumers = value.consumers()
    if any(node.op_type == "Gather" for node in consumers):
        # One number a row, such as a factor of each expert, is no embedding.
        return Role.OTHER if value.shape is not None and len(value.shape) == 1 else Role.EMBEDDING
    products = [
        product
        for node in consumers
        if node.op_type == "Transpose"
        for product in node.outputs[0].consumers()
        if product.op_type == "MatMul"
    ]
    if any(_gives_logits(product.outputs[0]) for product in products):
        return Role.HEAD
    if products and all(_weighs_others(product.outputs[0]) for product in products):
        return Role.ROUTER
    return Role.LINEAR if products else Role.OTHER


def _weighs_others(value: ir.Value) -> bool:
    """Whether a value says how much others count: nothing reads it but what makes shares of it,
    or what chooses the largest is all that it comes to.
    """
    readers = value.consumers()
    if readers and all(node.op_type in ("Softmax", "Sigmoid") for node in readers):
        return True
    return _is_chosen_from(value)


def _is_chosen_from(value: ir.Value) -> bool:
    """Whether the largest elements of a value are found, of itself or what is computed of each."""
    waiting, seen = [value], {value}
    while waiting and len(seen) < _MOST_SCORES:
        for node in waiting.pop().consumers():
            if node.op_type == "TopK":
                return True
            new = set(node.outputs) - seen if node.op_type in _OF_SCORES else set()
            seen |= new
            waiting += new
    return False


_LOGIT_SCALES = ("Mul", "Div", "Tanh")


def _gives_logits(value: ir.Value) -> bool:
    """Whether a value is the logits but for their scale or cap, or one rank's part of them."""
    readers = value.consumers()
    if len(readers) == 1 and readers[0].op_type in _LOGIT_SCALES and value.name != LOGITS:
        return _gives_logits(readers[0].outputs[0])
    gathered = (node for node in value.consumers() if node.op_type == "AllGather")
    return value.name == LOGITS or any(node.outputs[0].name == LOGITS for node in gathered)
