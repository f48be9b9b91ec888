"""Linear layers that read the same value, and what could make that value smaller, by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import Role, roles
from convert.parameter import Parameter

Indices = NDArray[np.int64]

_NORMS = ("RMSNormalization", "LayerNormalization")
_HEADS_FIRST = (0, 2, 1, 3)


@dataclass(frozen=True)
class Fold:
    """Parameters whose rows may be divided so that a value becomes smaller in proportion.

    Args:
        parameters: Names: of a norm's vectors, or of a linear layer's weight and bias.
        rows: The row of each of them that divisor ``i`` applies to, ``[n]``.
        channels: Which divisor each channel of the value is divided by, ``[features]``: heads
            that share a value head share its divisors.
    """

    parameters: tuple[str, ...]
    rows: Indices
    channels: Indices

    @property
    def divisors(self) -> int:
        """How many numbers may be chosen."""
        return len(self.rows)


@dataclass(frozen=True)
class Group:
    """Linear layers that read one value.

    Args:
        weights: Names of their weights, in the order of the graph.
        fold: What comes before them; None if nothing there can be divided.
        obstacle: Why not.
    """

    weights: tuple[str, ...]
    fold: Fold | None = None
    obstacle: str = ""

    @property
    def name(self) -> str:
        """That of the first weight."""
        return self.weights[0]


def groups(model: ir.Model) -> list[Group]:
    """The linear layers of a float graph, and its head if that is none of the embeddings.

    Layers without weights of their own are left out, convolutions too.
    """
    role_of = roles(model)
    readers: dict[ir.Value, list[ir.Node]] = {}
    for node in model.graph:
        weight = _weight_of(node)
        if weight is not None and role_of[str(weight.name)] in (Role.LINEAR, Role.HEAD):
            assert node.inputs[0] is not None
            readers.setdefault(node.inputs[0], []).append(node)
    return [_group(value, nodes) for value, nodes in readers.items()]


def _group(value: ir.Value, readers: Sequence[ir.Node]) -> Group:
    weights = tuple(str(weight.name) for weight in map(_weight_of, readers) if weight is not None)
    producer = value.producer()
    if producer is None:
        return Group(weights, obstacle="it is an input of the graph")
    if any(weights.count(name) > 1 for name in weights) or not all(
        _is_read_once(weight) for weight in map(_weight_of, readers) if weight is not None
    ):
        return Group(weights, obstacle="a weight serves two layers")
    if value.is_graph_output() or len(value.uses()) > len(readers):
        return Group(weights, obstacle=f"{_others(value, readers)} reads the same input")
    fold = _fold(producer)
    if fold is None:
        return Group(weights, obstacle=f"{producer.op_type} before it is not linear by channel")
    return Group(weights, fold)


def _others(value: ir.Value, readers: Sequence[ir.Node]) -> str:
    names = sorted(node.op_type for node in value.consumers() if node not in readers)
    return names[0] if names else "the graph's output"


def _fold(producer: ir.Node) -> Fold | None:
    if producer.op_type in _NORMS:
        vectors = [value for value in producer.inputs[1:] if value is not None]
        return _whole(vectors)
    if producer.op_type == "Mul":
        factors = (_linear(value) for value in producer.inputs)
        return next((_whole(found) for found in factors if found), None)
    if producer.op_type == "Reshape":
        return _values_of_attention(producer)
    return None


def _whole(parameters: Sequence[ir.Value]) -> Fold | None:
    """Every row divides a channel of its own."""
    if not all(_is_parameter(value) and _is_read_once(value) for value in parameters):
        return None
    assert parameters[0].shape is not None
    every = np.arange(int(parameters[0].shape.numpy()[0]))
    return Fold(tuple(str(value.name) for value in parameters), every, every)


def _values_of_attention(flat: ir.Node) -> Fold | None:
    """``[B, S, H·D]`` are mixtures of values ``[B, KV, S, D]``: the rows that give these."""
    turned = _producer(flat.inputs[0], "Transpose")
    mixed = _producer(turned.inputs[0], "Attention") if turned is not None else None
    if turned is None or mixed is None or _perm(turned) != _HEADS_FIRST:
        return None
    values, outputs = mixed.inputs[2], mixed.outputs[0]
    if values is None or values.shape is None or outputs.shape is None:
        return None
    found = _rows_of_heads(values)
    if found is None or len(outputs.uses()) > 1:
        return None
    names, rows = found
    heads, (shared_heads, size) = outputs.shape[1], rows.shape
    assert isinstance(heads, int)
    owner = np.arange(heads)[:, None] // (heads // shared_heads)
    channels = (owner * size + np.arange(size)).reshape(-1)
    return Fold(names, rows.reshape(-1), channels)


def _rows_of_heads(values: ir.Value) -> tuple[tuple[str, ...], Indices] | None:
    """The parameters that give ``values``, and the row of each head and channel ``[KV, D]``."""
    part, parts, source = 0, 1, values
    split = _producer(values, "Split")
    if split is not None and split.inputs[0] is not None:
        part, parts, source = split.outputs.index(values), len(split.outputs), split.inputs[0]
        axis = split.attributes.get_int("axis", 0)
        if len(split.inputs) > 1 or axis not in (-1, 3):
            return None
    turned = _producer(source, "Transpose")
    cut = _producer(turned.inputs[0], "Reshape") if turned is not None else None
    if turned is None or cut is None or _perm(turned) != _HEADS_FIRST:
        return None
    layer, shape = _linear(cut.inputs[0]), cut.outputs[0].shape
    every_once = all(len(value.uses()) == 1 for value in (values, source, *turned.inputs) if value)
    if not layer or not every_once or shape is None or layer[0].shape is None:
        return None
    heads, width = shape[2], shape[3]
    assert isinstance(heads, int) and isinstance(width, int)
    rows = np.arange(heads * width).reshape(heads, parts, width // parts)[:, part]
    return tuple(str(value.name) for value in layer), rows


def _linear(value: ir.Value | None) -> list[ir.Value]:
    """Weight, and bias if any, of the linear layer whose output is ``value`` and goes nowhere
    else; empty if it is none.
    """
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return []
    node = value.producer()
    biases: list[ir.Value] = []
    if node is not None and node.op_type == "Add":
        biases = [each for each in node.inputs if each is not None and _is_parameter(each)]
        products = [each for each in node.inputs if each is not None and each not in biases]
        if len(biases) != 1 or len(products[0].uses()) != 1:
            return []
        node = products[0].producer()
    weight = _weight_of(node) if node is not None else None
    if weight is None or not all(map(_is_read_once, (weight, *biases))):
        return []
    return [weight, *biases]


def _weight_of(node: ir.Node) -> ir.Value | None:
    """The parameter ``W`` of a product ``x Wᵀ``."""
    turned = _producer(node.inputs[1], "Transpose") if node.op_type == "MatMul" else None
    weight = turned.inputs[0] if turned is not None else None
    return weight if weight is not None and _is_parameter(weight) else None


def _is_parameter(value: ir.Value) -> bool:
    return isinstance(value.const_value, Parameter)


def _is_read_once(value: ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _producer(value: ir.Value | None, kind: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == kind else None


def _perm(node: ir.Node) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints("perm", ()))
