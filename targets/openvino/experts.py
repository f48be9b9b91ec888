"""The products of a layer's experts as one operator over one constant with all their matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from openvino import Node
from openvino import opset13 as ops
from openvino.opset15 import search_sorted
from openvino.opset17 import grouped_matmul

from convert.expert_groups import ExpertGroup, common_pattern, expert_groups
from convert.parameter import Parameter
from passes.encodings import encoding as encoding_named
from targets.openvino.context import Context
from targets.openvino.weights import StoredWeight, stored_stack

Lower = Callable[[Context, ir.Node], Sequence[Node]]

NUMBER = "*"
"""Stands for the number of an expert in names of constants that hold a matrix of each."""

_FLOATS, _INTEGERS = ("f32", "f16", "bf16"), ("i8", "u8", "i4", "u4")
"""Types of stored values and codes that the operator multiplies as they are."""


@dataclass(frozen=True)
class StackedGroup:
    """Shares that are lowered together.

    Args:
        group: The nodes.
        stored: Name of the constant and all that is in it, by the places of
            `ExpertGroup.parameters`: matrices ``[E, out, in]``, vectors ``[E, out]``.
    """

    group: ExpertGroup
    stored: Mapping[tuple[int, int], tuple[str, StoredWeight]]

    @property
    def values(self) -> tuple[ir.Value, ...]:
        """The parameters."""
        return tuple(value for values in self.group.parameters.values() for value in values)


def stacked_groups(model: ir.Model) -> tuple[StackedGroup, ...]:
    """All groups of a graph whose matrices can lie in one constant."""
    found = []
    for group in expert_groups(model):
        stored = {place: _stack(values) for place, values in group.parameters.items()}
        known = {place: each for place, each in stored.items() if each is not None}
        if len(known) == len(stored):
            found.append(StackedGroup(group, known))
    return tuple(found)


def lower_group(context: Context, stacked: StackedGroup, lower_node: Lower) -> None:
    """Bind the result of a group; its rows are in the order of their experts.

    Args:
        context: With rows and sizes lowered.
        stacked: The group.
        lower_node: Lowers what is no product, by what the first share's node says.
    """
    group = stacked.group
    x, sizes = context.node(group.x), group.sizes
    ends = context.shared("ends", sizes, lambda node: ops.cum_sum(node, np.int64(0)))
    first = group.lanes[0]
    context.bind(group.steps[0].outputs[0], x, str(group.x.name))
    for place, node in enumerate(first):
        for at, value in enumerate(node.inputs):
            if (place, at) in stacked.stored and node.op_type != "MatMul":
                vectors = stacked.stored[place, at][1].node
                experts = context.shared("experts", sizes, _experts_of_rows(x, ends))
                assert value is not None
                rows = ops.gather(vectors, experts, np.int64(0))
                context.bind(value, rows, f"{node.name}.rows")
        if node.op_type == "MatMul":
            matrices = stacked.stored[place, 1][1].node
            y = grouped_matmul(context.node(node.inputs[0]), matrices, ends)
        else:
            (y,) = lower_node(context, node)
        context.bind(node.outputs[0], y, str(node.name))
    context.absorb(group.steps, group.result, context.node(first[-1].outputs[0]))


def _experts_of_rows(x: Node, ends: Node) -> Callable[[Node], Node]:
    """Number of the expert that each row of ``x`` belongs to."""

    def build(_: Node) -> Node:
        rows = ops.gather(ops.shape_of(x), np.int64(0), np.int64(0))
        numbers = ops.range(np.int64(0), rows, np.int64(1), "i64")
        return search_sorted(ends, numbers, right_mode=True)

    return build


def _stack(values: Sequence[ir.Value]) -> tuple[str, StoredWeight] | None:
    parameters = [value.const_value for value in values]
    assert all(isinstance(each, Parameter) for each in parameters)
    pattern = common_pattern([str(value.name) for value in values])
    if len(values) == 1:
        # One expert needs no choice, and the plugin drops its axis and then misses it.
        return None
    if pattern is None or not _can_stack(parameters):  # type: ignore[arg-type]
        return None
    return pattern.format(NUMBER), stored_stack(parameters)  # type: ignore[arg-type]


def _can_stack(parameters: Sequence[Parameter]) -> bool:
    """Whether all are stored alike, in types that the operator takes, and end on whole bytes."""
    encodings = [each.encoding or encoding_named(each.weight.dtype.value) for each in parameters]
    first, weight = encodings[0], parameters[0].weight
    if any(each.name != first.name for each in encodings) or first.input_bits is not None:
        return False
    for plane in first.planes(weight.columns):
        known = {"values": _FLOATS, "codes": _INTEGERS, "zero_points": _INTEGERS}
        if plane.name != "scales" and plane.dtype not in known.get(plane.name, ()):
            return False
        # One matrix ends where the next begins.
        elements = weight.rows * int(np.prod(plane.row_shape, dtype=np.int64))
        if plane.shared_rows != 1 or elements * plane.bits % 8:
            return False
    return True
