"""One rank's graph: every operator on this rank's part, collectives where all parts are needed."""

from __future__ import annotations

import onnx_ir as ir

from convert.parameter import Parameter
from convert.weight_views import ColumnRanges, Range
from passes.sharding.collectives import all_gather, all_reduce
from passes.sharding.flow import ELEMENTWISE, follow, rank_of
from passes.sharding.groups import Linear, linears
from passes.sharding.own_constants import OwnConstants, follows_from_constants
from passes.sharding.parts import Part, cut_rows, cut_shape, set_weight, take_part, whole_shape
from passes.sharding.plan import Plan
from passes.sharding.vocabulary import look_up_own_rows

Cut = tuple[int, tuple[Range, ...]]
"""An axis of a parameter, and the ranges of it that a rank has."""

_SUMMING = frozenset({"Add", "Identity", "Sum"})
"""Operators that commute with the sum over ranks."""


class Rewrite:
    """Turns a whole graph into one rank's, node by node.

    Args:
        model: Changed in place.
        plan: Of this very graph.
        rank: Whose graph it shall be.
    """

    def __init__(self, model: ir.Model, plan: Plan, ranks: int, rank: int) -> None:
        self._graph = model.graph
        self._plan = plan
        self._ranks = ranks
        self._rank = rank
        self._constants = OwnConstants(model.graph, rank)
        self._linears = linears(model)
        self._parts: dict[ir.Value, Part] = {}
        self._summands: set[ir.Value] = set()
        """Values that are right only when summed over the ranks."""
        self._sums: dict[ir.Value, ir.Value] = {}
        self._cuts: dict[str, Cut] = {}

    def run(self) -> dict[str, Cut]:
        """Rewrite every node, then the shapes, then the outputs.

        Returns:
            What is left of each parameter that was cut, by name.
        """
        for node in list(self._graph):
            inputs = [value for value in node.inputs if value is not None]
            if node in self._linears:
                self._linear(self._linears[node])
            elif node in self._plan.vocabulary:
                self._embedding(node)
            elif any(value in self._parts for value in inputs):
                self._cut(node)
            elif node.op_type in _SUMMING and all(map(self._is_summed_here_alone, inputs)):
                self._summands.add(node.outputs[0])
            else:
                self._sum_inputs(node)
        for value, part in self._parts.items():
            value.shape = whole_shape(value, part.axis, part.size(self._rank))
        for index, value in enumerate(list(self._graph.outputs)):
            self._output(index, value)
        return self._cuts

    def _linear(self, linear: Linear) -> None:
        node, product = linear.product, linear.product.outputs[0]
        x, turned = node.inputs
        assert x is not None and turned is not None
        if node in self._plan.inputs:
            columns = self._parts[x].ranges[self._rank]
            set_weight(linear.weight, ColumnRanges(linear.parameter.weight, columns))
            self._cuts[linear.name] = (1, columns)
            self._summands.add(product)
        else:
            self._sum_inputs(node)
        if node in self._plan.outputs:
            ranges = self._plan.outputs[node]
            self._cut_rows(linear.weight, (ranges[self._rank],))
            part = Part(rank_of(product) - 1, tuple((own,) for own in ranges), ranges[-1][1])
            self._parts[product] = part
        assert linear.weight.shape is not None
        turned.shape = ir.Shape(tuple(linear.weight.shape)[::-1])

    def _embedding(self, node: ir.Node) -> None:
        table, own = node.inputs[0], self._plan.vocabulary[node][self._rank]
        assert table is not None
        self._sum_inputs(node)
        self._cut_rows(table, (own,))
        self._summands.add(look_up_own_rows(self._graph, node, own))

    def _cut_rows(self, value: ir.Value, own: tuple[Range, ...]) -> None:
        """Keep a rank's rows, once for an embedding and the head that is tied to it."""
        name = str(value.name)
        if name not in self._cuts:
            cut_rows(value, own)
            self._cuts[name] = (0, own)

    def _cut(self, node: ir.Node) -> None:
        """Rewrite a node some of whose inputs are this rank's part."""
        self._sum_inputs(node)
        index, part = next(
            (index, self._parts[value])
            for index, value in enumerate(node.inputs)
            if value in self._parts
        )
        followed = follow(node, index, part.axis)
        assert followed is not None, f"{node.name} needs all of {node.inputs[index]}"
        for output, axis in followed:
            assert output.shape is not None
            self._parts[output] = part.on(axis, int(str(output.shape[axis])))
        if node.op_type in ELEMENTWISE:
            self._cut_aligned(node, self._parts[node.outputs[0]])
        elif node.op_type == "Concat":
            self._cut_joint(node, part)
        elif node.op_type == "Attention":
            self._cut_attention(node)
        elif node.op_type == "Reshape":
            cut_shape(self._graph, node, self._parts[node.outputs[0]], self._rank)

    def _cut_aligned(self, node: ir.Node, part: Part) -> None:
        for index, value in enumerate(node.inputs):
            if value is not None:
                axis = part.axis - rank_of(node.outputs[0]) + rank_of(value)
                self._take(node, index, Part(axis, part.ranges, part.length))

    def _cut_joint(self, node: ir.Node, part: Part) -> None:
        """Concat: along the cut axis of parts only, along another one of parts and wholes."""
        output = node.outputs[0]
        if node.attributes["axis"].as_int() % rank_of(output) == part.axis:
            joined = [self._parts[value] for value in node.inputs if value is not None]
            self._parts[output] = Part.joined(joined)
            return
        for index in range(len(node.inputs)):
            self._take(node, index, part)

    def _cut_attention(self, node: ir.Node) -> None:
        heads = self._plan.heads[node]
        queries = Part(1, tuple((own,) for own in heads.queries), heads.queries[-1][1])
        keys = Part(1, tuple((own,) for own in heads.keys), heads.keys[-1][1])
        for index in (1, 2):
            self._take(node, index, keys)
        if len(node.inputs) > 3 and node.inputs[3] is not None:
            axis = rank_of(node.inputs[3]) - 3
            self._take(node, 3, Part(axis, queries.ranges, queries.length))

    def _take(self, node: ir.Node, index: int, part: Part) -> None:
        """Make input ``index``, if it is a whole, this rank's part."""
        value = node.inputs[index]
        if value is None or value in self._parts or part.axis < 0:
            return
        assert value.shape is not None
        if value.shape[part.axis] != part.length:
            return
        if isinstance(value.const_value, Parameter) and part.axis == 0 and len(value.uses()) == 1:
            self._cut_rows(value, part.ranges[self._rank])
        elif follows_from_constants(value, part.axis, part.length):
            node.replace_input_with(index, self._constants.part_of(value, part))
        else:
            node.replace_input_with(index, take_part(self._graph, node, value, part, self._rank))

    def _is_summed_here_alone(self, value: ir.Value) -> bool:
        """Whether nothing else wants the sum, so that it may be made further on."""
        alone = len(value.uses()) == 1 and not value.is_graph_output()
        return value in self._summands and alone

    def _sum_inputs(self, node: ir.Node) -> None:
        for index, value in enumerate(node.inputs):
            if value is not None and value in self._summands:
                node.replace_input_with(index, self._sum(value))

    def _sum(self, value: ir.Value) -> ir.Value:
        """The sum of ``value`` over the ranks."""
        if value not in self._sums:
            node, producer = all_reduce(value, self._ranks), value.producer()
            assert producer is not None
            self._graph.insert_after(producer, node)
            self._sums[value] = node.outputs[0]
        return self._sums[value]

    def _output(self, index: int, value: ir.Value) -> None:
        """An output keeps its name and is whole on every rank."""
        name = value.name
        if value in self._summands:
            whole = self._sum(value)
        elif value in self._parts:
            part = self._parts[value]
            lengths = [part.size(rank) for rank in range(self._ranks)]
            value.name = f"{name}.part"
            node = all_gather(value, part.axis, lengths)
            self._graph.append(node)
            whole = node.outputs[0]
        else:
            return
        value.name = f"{name}.part"
        whole.name = name
        self._graph.outputs[index] = whole
