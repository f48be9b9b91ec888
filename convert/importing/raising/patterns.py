"""Looking at a graph from its results back to what they are made of, and rewriting it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import initializer
from convert.parameter import Parameter

Value = ir.Value | None


def made_by(value: Value, *kinds: str) -> ir.Node | None:
    """The node that computes a value, if it is of one of the kinds."""
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type in kinds else None


def array_of(value: Value) -> NDArray[Any] | None:
    """The numbers of a constant; None for what is computed, and for parameters."""
    tensor = value.const_value if value is not None else None
    if tensor is None or isinstance(tensor, Parameter):
        return None
    return np.asarray(tensor.numpy())


def scalar_of(value: Value) -> float | None:
    """The number of a constant that has one."""
    array = array_of(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def integers_of(value: Value) -> list[int] | None:
    """The integers of a constant vector."""
    array = array_of(value)
    return None if array is None else [int(item) for item in array.reshape(-1)]


def rank_of(value: Value) -> int:
    """Number of axes; -1 where it is not known."""
    return len(value.shape) if value is not None and value.shape is not None else -1


def size_of(value: Value, axis: int) -> int | None:
    """Length of an axis, if it is a number."""
    if value is None or value.shape is None:
        return None
    size = value.shape[axis]
    return size if isinstance(size, int) else None


def orders(node: ir.Node) -> Iterator[tuple[Value, Value]]:
    """Both operands of a commutative operator, both ways round."""
    first, second = node.inputs[:2]
    yield first, second
    yield second, first


def is_parameter(value: Value) -> bool:
    """Whether a value is an initializer that a checkpoint fills."""
    return (
        value is not None
        and value.producer() is None
        and array_of(value) is None
        and bool(value.is_initializer())
    )


def reduced_over_last(node: ir.Node) -> bool:
    """Whether a reduction is over the last axis, which it keeps."""
    axes = integers_of(node.inputs[1]) if len(node.inputs) > 1 else None
    keeps = node.attributes.get("keepdims")
    kept = keeps is None or keeps.as_int() == 1
    return kept and axes is not None and axes in ([-1], [rank_of(node.inputs[0]) - 1])


def scope_of(node: ir.Node) -> str:
    """Path of the module that a node belongs to."""
    return str(node.name).rpartition(".")[0]


class Rewriter:
    """Puts nodes into a graph in the place of others."""

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self._names = {
            *(str(node.name) for node in model.graph),
            *model.graph.initializers,
            *(str(value.name) for value in model.graph.inputs),
        }

    def op(
        self,
        before: ir.Node,
        kind: str,
        inputs: Iterable[Value],
        *,
        shape: Iterable[int | ir.SymbolicDim] | None,
        dtype: ir.DataType = ir.DataType.FLOAT,
        name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Insert an operator in front of a node; its name is that of the module of the node."""
        wanted = name or ".".join(filter(None, (scope_of(before), kind)))
        unique, count = wanted, 1
        while unique in self._names:
            count += 1
            unique = f"{wanted}_{count}"
        self._names.add(unique)
        output = ir.Value(
            name=unique,
            type=ir.TensorType(dtype),
            shape=None if shape is None else ir.Shape(list(shape)),
        )
        packed = [
            ir.convenience.convert_attribute(key, item) for key, item in (attributes or {}).items()
        ]
        node = ir.Node("", kind, list(inputs), packed, outputs=[output], name=unique)
        self.graph.insert_before(before, node)
        return output

    def constant(self, array: Any, name: str) -> ir.Value:
        """A constant; one for each name."""
        if name not in self.graph.initializers:
            value = initializer(name, ir.tensor(np.asarray(array), name=name))
            self.graph.register_initializer(value)
            self._names.add(name)
        return self.graph.initializers[name]

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Let everything that reads ``old`` read ``new``; an output keeps its name."""
        if old.is_graph_output():
            place = next(i for i, each in enumerate(self.graph.outputs) if each is old)
            name, old.name = old.name, f"{old.name}.before"
            self.graph.outputs[place] = new
            new.name = name
        old.replace_all_uses_with(new)
