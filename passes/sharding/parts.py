"""What a rank holds of a value, and how weights, constants and computed values are cut to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph import initializer
from convert.parameter import Parameter
from convert.weight_views import Range
from convert.weights import RowRange, RowRanges, Weight
from passes.sharding.flow import constants


@dataclass(frozen=True)
class Part:
    """What each rank holds of a value.

    Args:
        axis: Not negative, but for one that a value lacks.
        ranges: For each rank, ranges of the whole axis in the order of the rank's own.
        length: Of the whole axis.
    """

    axis: int
    ranges: tuple[tuple[Range, ...], ...]
    length: int

    def size(self, rank: int) -> int:
        """Length of a rank's own axis."""
        return sum(last - first for first, last in self.ranges[rank])

    def on(self, axis: int, length: int) -> Part:
        """The same part on an axis of another length, each index standing for more or fewer."""

        def scaled(bound: int) -> int:
            index, rest = divmod(bound * length, self.length)
            assert not rest, f"a cut at {bound} of {self.length} goes through an index of {length}"
            return index

        ranges = tuple(
            tuple((scaled(first), scaled(last)) for first, last in own) for own in self.ranges
        )
        return Part(axis, ranges, length)

    @staticmethod
    def joined(parts: Sequence[Part]) -> Part:
        """The part of several values joined along the cut axis."""
        ranges: list[tuple[Range, ...]] = [()] * len(parts[0].ranges)
        end = 0
        for part in parts:
            for rank, own in enumerate(part.ranges):
                ranges[rank] += tuple((end + first, end + last) for first, last in own)
            end += part.length
        return Part(parts[0].axis, tuple(ranges), end)


def set_weight(value: ir.Value, weight: Weight) -> None:
    """Put ``weight`` in the place of an initializer's."""
    value.const_value = Parameter(weight)
    value.shape = ir.Shape(weight.shape)


def cut_rows(value: ir.Value, ranges: tuple[Range, ...]) -> None:
    """Keep these rows of an initializer."""
    parameter = value.const_value
    assert isinstance(parameter, Parameter)
    weight = parameter.weight
    rows = tuple(RowRange(weight, first, last) for first, last in ranges)
    set_weight(value, RowRanges(weight.name, rows))


def cut_shape(graph: ir.Graph, node: ir.Node, part: Part, rank: int) -> None:
    """Let a Reshape make this rank's part."""
    old = node.inputs[1]
    wanted = constants(old)
    assert old is not None and wanted is not None
    if wanted[part.axis] != part.length:
        return  # 0 or -1: the length follows from the input's
    wanted[part.axis] = part.size(rank)
    name = f"{old.name}.{part.axis}_{part.size(rank)}"
    node.replace_input_with(1, integers(graph, name, wanted))


def take_part(graph: ir.Graph, node: ir.Node, value: ir.Value, part: Part, rank: int) -> ir.Value:
    """This rank's part of a value that every rank has, to be read by ``node``."""
    own = part.ranges[rank]
    pieces = [_slice(graph, node, value, part.axis, bounds) for bounds in own]
    if len(pieces) == 1:
        return pieces[0]
    name = f"{node.name}.{value.name}.own"
    joined = ir.Value(name=name, type=value.type)
    joined.shape = whole_shape(value, part.axis, part.size(rank))
    axis = {"axis": ir.AttrInt64("axis", part.axis)}
    graph.insert_before(node, ir.Node("", "Concat", pieces, axis, outputs=(joined,), name=name))
    return joined


def whole_shape(value: ir.Value, axis: int, size: int) -> ir.Shape:
    """The shape of ``value`` with another length of one axis."""
    assert value.shape is not None
    return ir.Shape([size if index == axis else old for index, old in enumerate(value.shape)])


def _slice(graph: ir.Graph, node: ir.Node, value: ir.Value, axis: int, bounds: Range) -> ir.Value:
    first, last = bounds
    name = f"{node.name}.{value.name}.{first}_{last}"
    piece = ir.Value(name=name, type=value.type, shape=whole_shape(value, axis, last - first))
    ends = (integers(graph, f"own_{number}", [number]) for number in (first, last, axis))
    graph.insert_before(node, ir.Node("", "Slice", (value, *ends), outputs=(piece,), name=name))
    return piece


def integers(graph: ir.Graph, name: str, numbers: list[int]) -> ir.Value:
    """A constant vector of a graph."""
    if name not in graph.initializers:
        array = np.array(numbers, np.int64)
        graph.register_initializer(initializer(name, ir.tensor(array, name=name)))
    return graph.initializers[name]
