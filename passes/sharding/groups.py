"""y[.., i, ..] = f(x[.., i, ..]): which axis of an operator's outputs follows one of its input.

A linear layer whose outputs only ever meet, index by index, until other linear layers sum over
them can be cut by outputs, and those others by inputs. What a layer's outputs reach is its `Flow`;
layers whose flows meet form a `Group`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from convert.parameter import Parameter
from passes.sharding.flow import follow, rank_of


@dataclass(frozen=True, eq=False)
class Linear:
    """``MatMul(x, Transpose(W))`` with a parameter ``W [rows, columns]``."""

    product: ir.Node
    weight: ir.Value

    @property
    def rows(self) -> int:
        """Outputs."""
        return self.parameter.weight.rows

    @property
    def columns(self) -> int:
        """Inputs."""
        return self.parameter.weight.columns

    @property
    def name(self) -> str:
        """Name of the parameter."""
        return str(self.weight.name)

    @property
    def parameter(self) -> Parameter:
        """The initializer's tensor."""
        parameter = self.weight.const_value
        assert isinstance(parameter, Parameter)
        return parameter


@dataclass(eq=False)
class Flow:
    """What the outputs of a linear layer reach.

    Args:
        source: The layer.
        values: Every value that they become, with the axis they are on.
        readers: The nodes that read these.
        sinks: The linear layers that sum over them.
        outputs: The outputs of the graph among the values.
        attention: Nodes and inputs at which they arrive as queries, keys or values.
        blocked: A node that needs all of them, if there is one.
    """

    source: Linear
    values: dict[ir.Value, int] = field(default_factory=dict)
    readers: dict[ir.Node, None] = field(default_factory=dict)
    sinks: dict[Linear, None] = field(default_factory=dict)
    outputs: list[ir.Value] = field(default_factory=list)
    attention: dict[tuple[ir.Node, int], None] = field(default_factory=dict)
    blocked: ir.Node | None = None

    @property
    def ends_well(self) -> bool:
        """Whether every way ends in a sum, in attention, or in an output of the graph."""
        return self.blocked is None and bool(self.sinks or self.outputs or self.attention)


@dataclass(frozen=True)
class Group:
    """Flows that meet, in the order of their sources."""

    flows: tuple[Flow, ...]

    @property
    def sources(self) -> list[Linear]:
        """The layers that are cut by outputs."""
        return [flow.source for flow in self.flows]

    @property
    def sinks(self) -> list[Linear]:
        """The layers that sum over what the sources put out."""
        return list(dict.fromkeys(sink for flow in self.flows for sink in flow.sinks))

    @property
    def readers(self) -> list[ir.Node]:
        """The nodes between the sources and the sinks, and the products of the sinks."""
        return list(dict.fromkeys(node for flow in self.flows for node in flow.readers))

    @property
    def attention(self) -> list[ir.Node]:
        """The attention nodes between sources and sinks."""
        return list(dict.fromkeys(node for flow in self.flows for node, _ in flow.attention))

    @property
    def has_outputs(self) -> bool:
        """Whether an output of the graph is cut."""
        return any(flow.outputs for flow in self.flows)


def linears(model: ir.Model) -> dict[ir.Node, Linear]:
    """The linear layers by their product, in the order of computation."""
    found = {}
    for node in model.graph:
        turn = node.inputs[1].producer() if node.op_type == "MatMul" and node.inputs[1] else None
        weight = turn.inputs[0] if turn is not None and turn.op_type == "Transpose" else None
        if weight is not None and isinstance(weight.const_value, Parameter):
            found[node] = Linear(node, weight)
    return found


def groups(model: ir.Model) -> Iterator[Group]:
    """Groups in the order of computation. A layer that sums in one is no source of another."""
    known = linears(model)
    flows = [_flow(linear, known) for linear in known.values()]
    waiting = [flow for flow in flows if flow.ends_well]
    taken: set[Linear] = set()
    while waiting:
        together, waiting = _connected(waiting[0], waiting)
        sources = [flow for flow in together if flow.source not in taken]
        if sources:
            group = Group(tuple(sources))
            taken.update(group.sinks)
            yield group


def _connected(first: Flow, flows: list[Flow]) -> tuple[list[Flow], list[Flow]]:
    """The flows that meet ``first``, directly or through others; and the rest."""
    readers, together, rest = set(first.readers), [first], [f for f in flows if f is not first]
    while meeting := [flow for flow in rest if readers & flow.readers.keys()]:
        together += meeting
        rest = [flow for flow in rest if flow not in meeting]
        readers.update(*(flow.readers for flow in meeting))
    return together, rest


def _flow(source: Linear, known: Mapping[ir.Node, Linear]) -> Flow:
    flow = Flow(source)
    waiting = [(source.product.outputs[0], rank_of(source.product.outputs[0]) - 1)]
    while waiting and flow.blocked is None:
        value, axis = waiting.pop()
        if value in flow.values:
            continue
        flow.values[value] = axis
        if value.is_graph_output():
            flow.outputs.append(value)
        for node, index in value.uses():
            flow.readers[node] = None
            if node in known and index == 0 and axis == rank_of(value) - 1:
                flow.sinks[known[node]] = None
                continue
            followed = follow(node, index, axis)
            if followed is None:
                flow.blocked = node
                break
            if node.op_type == "Attention":
                flow.attention[node, index] = None
            waiting += followed
    return flow
