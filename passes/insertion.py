"""Writes new nodes into a graph, in front of one that is there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import initializer
from convert.parameter import Parameter
from convert.weights import Weight


class Insertion:
    """Collects nodes in front of ``before``, in the order in which they are added.

    Args:
        graph: The graph.
        before: A node of it.
    """

    def __init__(self, graph: ir.Graph, before: ir.Node) -> None:
        self._graph = graph
        self._before = before

    def op(
        self,
        kind: str,
        *inputs: ir.Value,
        name: str,
        shape: Iterable[int | str | ir.SymbolicDim],
        dtype: ir.DataType = ir.DataType.FLOAT,
        **attributes: int | Iterable[int],
    ) -> ir.Value:
        """A node with one output, both called ``name``."""
        output = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        packed = [ir.convenience.convert_attribute(key, item) for key, item in attributes.items()]
        node = ir.Node("", kind, inputs, packed, outputs=(output,), name=name)
        self._graph.insert_before(self._before, node)
        return output

    def integers(self, name: str, *values: int) -> ir.Value:
        """A constant vector of int64; one for each name."""
        return self.constant(name, np.array(values, np.int64))

    def constant(self, name: str, array: NDArray[np.int64]) -> ir.Value:
        """A constant; one for each name."""
        if name not in self._graph.initializers:
            value = initializer(name, ir.tensor(array, name=name))
            self._graph.register_initializer(value)
        return self._graph.initializers[name]

    def parameter(self, weight: Weight) -> ir.Value:
        """A new initializer with the name of its weight."""
        value = initializer(weight.name, Parameter(weight))
        self._graph.register_initializer(value)
        return value
