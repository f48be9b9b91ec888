"""Writes nodes into a graph: every value named after the module it belongs to, typed and shaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures.base import Shape
from convert.graph import initializer
from convert.parameter import Parameter
from convert.weights import Weight

OPSET = 24
IR_VERSION = 11

Dim = int | str | ir.SymbolicDim
"""Length of an axis: a number, or the name of one that is known only when the graph runs."""


class GraphBuilder:
    """Collects the nodes of a graph in order of computation.

    Args:
        weights: The checkpoint's weights by name; none is read.
    """

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._weights = weights
        self._nodes: list[ir.Node] = []
        self._inputs: list[ir.Value] = []
        self._initializers: dict[str, ir.Value] = {}

    def input(self, name: str, dtype: ir.DataType, shape: Iterable[Dim]) -> ir.Value:
        """Declare an input of the graph."""
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self._inputs.append(value)
        return value

    def parameter(self, name: str) -> ir.Value:
        """The initializer of a parameter of the checkpoint; one, however often it is used."""
        if name not in self._initializers:
            self._initializers[name] = initializer(name, Parameter(self._weights[name]))
        return self._initializers[name]

    def constant(self, name: str, array: NDArray[Any]) -> ir.Value:
        """An initializer with a small constant."""
        if name not in self._initializers:
            self._initializers[name] = initializer(name, ir.tensor(array, name=name))
        return self._initializers[name]

    def shape(self, parameter: ir.Value) -> Shape:
        """Shape of a parameter."""
        return self._weights[str(parameter.name)].shape

    def integers(self, name: str, *values: int) -> ir.Value:
        """A constant vector of int64: a shape to reshape to, or axes."""
        return self.constant(name, np.array(values, np.int64))

    def integer(self, name: str, value: int) -> ir.Value:
        """A constant int64 without axes."""
        return self.constant(name, np.array(value, np.int64))

    def op(
        self,
        kind: str,
        *inputs: ir.Value,
        name: str,
        shape: Iterable[Dim] | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
        output: str | None = None,
        **attributes: int | float | str | Sequence[int],
    ) -> ir.Value:
        """Append a node with one output.

        Args:
            kind: Operator of the standard domain.
            inputs: Its inputs.
            name: Name of the node, and of its output.
            shape: Shape of the output; None for that of the first input.
            dtype: Type of the output.
            output: Name of the output, if not that of the node.
            attributes: Attributes of the operator.
        """
        result = ir.Value(
            name=output or name,
            type=ir.TensorType(dtype),
            shape=_copy(inputs[0].shape) if shape is None else ir.Shape(shape),
        )
        packed = [_attribute(key, item) for key, item in attributes.items()]
        self._nodes.append(ir.Node("", kind, inputs, packed, outputs=[result], name=name))
        return result

    def split(
        self, x: ir.Value, outputs: Sequence[str], *, name: str, shape: Iterable[Dim], axis: int
    ) -> tuple[ir.Value, ...]:
        """Append a Split into equal parts.

        Args:
            outputs: Name of each part.
            shape: Of each of them.
            axis: Along which ``x`` is cut.
        """
        sizes = tuple(shape)
        parts = [ir.Value(name=part, type=x.type, shape=ir.Shape(sizes)) for part in outputs]
        packed = [ir.AttrInt64("axis", axis), ir.AttrInt64("num_outputs", len(parts))]
        self._nodes.append(ir.Node("", "Split", (x,), packed, outputs=parts, name=name))
        return tuple(parts)

    def several(
        self,
        kind: str,
        *inputs: ir.Value,
        name: str,
        outputs: Mapping[str, tuple[Iterable[Dim], ir.DataType]],
        **attributes: int,
    ) -> tuple[ir.Value, ...]:
        """Append a node with several outputs.

        Args:
            outputs: Shape and type of each by its name.
        """
        found = [
            ir.Value(name=each, type=ir.TensorType(dtype), shape=ir.Shape(shape))
            for each, (shape, dtype) in outputs.items()
        ]
        packed = [ir.AttrInt64(key, item) for key, item in attributes.items()]
        self._nodes.append(ir.Node("", kind, inputs, packed, outputs=found, name=name))
        return tuple(found)

    def model(self, outputs: Sequence[ir.Value], name: str) -> ir.Model:
        """The finished model."""
        graph = ir.Graph(
            self._inputs,
            outputs,
            nodes=self._nodes,
            initializers=list(self._initializers.values()),
            opset_imports={"": OPSET},
            name=name,
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="tricast")


def _attribute(name: str, value: int | float | str | Sequence[int]) -> ir.Attr:
    if isinstance(value, (int, float, str)):
        return ir.convenience.convert_attribute(name, value)
    # Told by its type alone, a sequence takes a good part of the time that a graph is built in.
    return ir.AttrInt64s(name, value)


def _copy(shape: ir.Shape | None) -> ir.Shape | None:
    """A shape is mutable, so that two values must not share one."""
    return None if shape is None else shape.copy()
