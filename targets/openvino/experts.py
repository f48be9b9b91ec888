"""The products of a layer's experts as one operator over one constant with all their matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

NUMBER = "*"
"""Stands for the number of an expert in names of constants that hold a matrix of each."""

_FLOATS, _INTEGERS = ("f32", "f16", "bf16"), ("i8", "u8", "i4", "u4")
"""Types of stored values and codes that the operator multiplies as they are."""


@dataclass(frozen=True)
class StackedGroup:
    """Products that are lowered together.

    Args:
        group: The nodes.
        matrices: Name of the constant with the experts' matrices, ``[E, out, in]``, and these.
        biases: The same of what each adds, ``[E, out]``, if anything.
    """

    group: ExpertGroup
    matrices: tuple[str, StoredWeight]
    biases: tuple[str, StoredWeight] | None

    @property
    def stored(self) -> tuple[tuple[str, StoredWeight], ...]:
        """The constants, by name."""
        return (self.matrices,) if self.biases is None else (self.matrices, self.biases)

    @property
    def values(self) -> tuple[ir.Value, ...]:
        """The parameters."""
        return (*self.group.weights, *self.group.biases)


def stacked_groups(model: ir.Model) -> tuple[StackedGroup, ...]:
    """All groups of a graph whose matrices can lie in one constant."""
    found = []
    for group in expert_groups(model):
        matrices = _stack(group.weights)
        biases = _stack(group.biases) if group.biases else None
        if matrices is not None and (biases is not None or not group.biases):
            found.append(StackedGroup(group, matrices, biases))
    return tuple(found)


def lower_group(context: Context, stacked: StackedGroup) -> None:
    """Bind the result of a group; its rows are in the order of their experts."""
    group = stacked.group
    x = context.node(group.x)
    ends = context.shared("ends", group.sizes, lambda sizes: ops.cum_sum(sizes, np.int64(0)))
    y = grouped_matmul(x, stacked.matrices[1].node, ends)
    if stacked.biases is not None:
        experts = context.shared("experts", group.sizes, _experts_of_rows(x, ends))
        y = ops.add(y, ops.gather(stacked.biases[1].node, experts, np.int64(0)))
    context.absorb(group.steps, group.result, y)


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
