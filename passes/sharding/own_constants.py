"""f(c)[.., own, ..] = f(c[.., own, ..]): a rank's part of what follows from constants.

The linear biases of attention, say, are of each head, and made of one constant slope a head: a rank
makes those of its own heads from their slopes, instead of all of them to cut some out.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import initializer
from convert.parameter import Parameter
from passes.sharding.flow import ELEMENTWISE, rank_of
from passes.sharding.parts import Part, whole_shape


def follows_from_constants(value: ir.Value, axis: int, length: int) -> bool:
    """Whether an axis of a value comes from constants through elementwise operators alone.

    Args:
        value: What every rank has whole.
        axis: Not negative.
        length: Of the axis.
    """
    if value.const_value is not None:
        return not isinstance(value.const_value, Parameter)
    node = value.producer()
    if node is None or node.domain or node.op_type not in ELEMENTWISE:
        return False
    return all(
        follows_from_constants(source, at, length) for source, at in _along(node, axis, length)
    )


class OwnConstants:
    """Makes one rank's parts of values that follow from constants, each once.

    Args:
        graph: Gets the nodes and constants.
        rank: Whose parts.
    """

    def __init__(self, graph: ir.Graph, rank: int) -> None:
        self._graph = graph
        self._rank = rank
        self._made: dict[tuple[ir.Value, Part], ir.Value] = {}

    def part_of(self, value: ir.Value, part: Part) -> ir.Value:
        """This rank's part of a value that `follows_from_constants` along the part's axis."""
        if (value, part) not in self._made:
            constant = value.const_value is not None
            made = self._constant(value, part) if constant else self._computed(value, part)
            self._made[value, part] = made
        return self._made[value, part]

    def _constant(self, value: ir.Value, part: Part) -> ir.Value:
        tensor = value.const_value
        assert tensor is not None
        own = [np.arange(first, last) for first, last in part.ranges[self._rank]]
        array = np.take(tensor.numpy(), np.concatenate(own), axis=part.axis)
        name = self._name(value, part)
        made = initializer(name, ir.tensor(array, name=name))
        self._graph.register_initializer(made)
        return made

    def _computed(self, value: ir.Value, part: Part) -> ir.Value:
        node = value.producer()
        assert node is not None
        inputs = list(node.inputs)
        axes = dict(_along(node, part.axis, part.length))
        for index, source in enumerate(inputs):
            if source in axes:
                inner = Part(axes[source], part.ranges, part.length)
                inputs[index] = self.part_of(source, inner)
        name, shape = self._name(value, part), whole_shape(value, part.axis, part.size(self._rank))
        made = ir.Value(name=name, type=value.type, shape=shape)
        attributes = node.attributes.values()
        twin = ir.Node("", node.op_type, inputs, attributes, outputs=(made,), name=name)
        self._graph.insert_after(node, twin)
        return made

    def _name(self, value: ir.Value, part: Part) -> str:
        own = "_".join(f"{first}_{last}" for first, last in part.ranges[self._rank])
        return f"{value.name}.{part.axis}.{own}"


def _along(node: ir.Node, axis: int, length: int) -> list[tuple[ir.Value, int]]:
    """The inputs that have an axis of an elementwise node's output, each with its own axis."""
    shift = rank_of(node.outputs[0])
    found = []
    for source in node.inputs:
        if source is None or source.shape is None:
            continue
        at = axis - shift + rank_of(source)
        if at >= 0 and source.shape[at] == length:
            found.append((source, at))
    return found
