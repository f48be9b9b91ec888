"""Where a graph does the same to shares of a tensor's rows, with matrices of their own for each.

Split(x, sizes) -> MatMul(share, Wᵀ), Add(bias), Sigmoid, Mul, ... for each share -> Concat
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.graph import expert_splits
from convert.parameter import Parameter

BY_ELEMENT = frozenset(
    ("Add", "Clip", "Gelu", "Max", "Min", "Mul", "Neg", "Relu", "Sigmoid", "Sub", "Tanh")
)
"""Operators that do to each row of several what they would do to it alone."""

Lane = tuple[ir.Node, ...]
"""What is done to one share, in order; without the Transpose of a matrix."""


@dataclass(frozen=True)
class ExpertGroup:
    """Shares to all of which the same is done.

    Args:
        x: Rows in the order of experts.
        sizes: How many rows each expert has, i64 ``[E]``.
        lanes: What is done to each share; nodes at the same place do the same.
        parameters: By the place of a node and that of an input, the parameters that the nodes of
            the lanes have there: matrices ``[out, in]``, or vectors that are added.
        steps: All nodes, the Split first.
        result: All shares in the end, in the order of ``x``.
    """

    x: ir.Value
    sizes: ir.Value
    lanes: tuple[Lane, ...]
    parameters: Mapping[tuple[int, int], tuple[ir.Value, ...]]
    steps: tuple[ir.Node, ...]
    result: ir.Value


def expert_groups(model: ir.Model) -> list[ExpertGroup]:
    """Those of a graph, in order."""
    splits = expert_splits(model)
    if not splits:
        return []
    places = {node: place for place, node in enumerate(model.graph)}
    found = (_group(node, places) for node in splits)
    return [group for group in found if group is not None]


def matrix_of(product: ir.Node) -> ir.Value | None:
    """W of a ``MatMul(x, Wᵀ)``, if nothing else reads it."""
    turned = product.inputs[1].producer() if product.inputs[1] is not None else None
    weight = turned.inputs[0] if turned is not None and turned.op_type == "Transpose" else None
    return weight if _is_own_parameter(weight) else None


def _group(split: ir.Node, places: Mapping[ir.Node, int]) -> ExpertGroup | None:
    (x, sizes), axis = split.inputs, split.attributes.get_int("axis", 0)
    joined = _end(split)
    if joined is None or axis != 0 or x is None or sizes is None:
        return None
    lanes = tuple(_lane(share, joined, places) for share in split.outputs)
    parameters = _parameters(split, lanes)
    if parameters is None or not lanes[0]:
        return None
    ends = [lane[-1].outputs[0] for lane in lanes]
    if list(joined.inputs) != ends or any(len(end.consumers()) != 1 for end in ends):
        return None
    turned = [
        node.inputs[1].producer()  # type: ignore[union-attr]
        for lane in lanes
        for node in lane
        if node.op_type == "MatMul"
    ]
    nodes = [node for node in turned if node is not None]
    steps = (split, *nodes, *(node for lane in lanes for node in lane), joined)
    return ExpertGroup(x, sizes, lanes, parameters, steps, joined.outputs[0])


def _end(split: ir.Node) -> ir.Node | None:
    """The Concat that all that comes of the first share ends in."""
    waiting, seen = [split.outputs[0]], set[ir.Node]()
    while waiting:
        for node in waiting.pop().consumers():
            if node.op_type == "Concat":
                return node if node.attributes.get_int("axis", -1) == 0 else None
            if node not in seen and node.op_type in BY_ELEMENT | {"MatMul"}:
                seen.add(node)
                waiting += node.outputs
    return None


def _lane(share: ir.Value, end: ir.Node, places: Mapping[ir.Node, int]) -> Lane:
    """The nodes between a share and the end, in the order of the graph."""
    waiting, found = [share], set[ir.Node]()
    while waiting:
        for node in waiting.pop().consumers():
            if node is not end and node not in found:
                found.add(node)
                waiting += node.outputs
    return tuple(sorted(found, key=places.__getitem__))


def _parameters(
    split: ir.Node, lanes: Sequence[Lane]
) -> dict[tuple[int, int], tuple[ir.Value, ...]] | None:
    """The parameters of lanes that do the same; None if they do not."""
    if len({tuple(node.op_type for node in lane) for lane in lanes}) != 1:
        return None
    known = [{share: -1} for share in split.outputs]
    found: dict[tuple[int, int], tuple[ir.Value, ...]] = {}
    for place, nodes in enumerate(zip(*lanes, strict=True)):
        if nodes[0].op_type not in BY_ELEMENT | {"MatMul"} or not _alike(nodes):
            return None
        for at in range(len(nodes[0].inputs)):
            values = [node.inputs[at] for node in nodes]
            sources = {own.get(value, -2) for own, value in zip(known, values, strict=True)}
            if len(sources) != 1:
                return None
            if sources != {-2}:
                continue  # the same node of each lane
            if nodes[0].op_type == "MatMul" and at == 1:
                values = [matrix_of(node) for node in nodes]
            elif len(set(values)) == 1 and not _is_own_parameter(values[0]):
                continue  # one constant for all
            own = tuple(value for value in values if value is not None and _is_own_parameter(value))
            if len(own) != len(values) or len({_shape(value) for value in own}) != 1:
                return None
            found[place, at] = own
        for own_values, node in zip(known, nodes, strict=True):
            own_values[node.outputs[0]] = place
    return found


def _alike(nodes: Sequence[ir.Node]) -> bool:
    """Whether nodes have the same attributes, and one output each."""
    said = {
        tuple(sorted((key, str(item.value)) for key, item in node.attributes.items()))
        for node in nodes
    }
    inputs = {len(node.inputs) for node in nodes}
    return len(said) == 1 and len(inputs) == 1 and all(len(node.outputs) == 1 for node in nodes)


def _is_own_parameter(value: ir.Value | None) -> bool:
    return (
        value is not None
        and isinstance(value.const_value, Parameter)
        and len(value.consumers()) == 1
    )


def _shape(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(value.shape.numpy())


def common_pattern(names: Sequence[str]) -> str | None:
    """The names with braces in place of a number that counts them; None if none does.

    >>> common_pattern(["experts.0.up.weight", "experts.1.up.weight"])
    'experts.{}.up.weight'
    """
    parts = [name.split(".") for name in names]
    places = [
        place
        for place, each in enumerate(zip(*parts, strict=False))
        if list(each) == [str(number) for number in range(len(names))]
    ]
    for place in places:
        first = [*parts[0]]
        first[place] = "{}"
        pattern = ".".join(first)
        if [pattern.format(number) for number in range(len(names))] == list(names):
            return pattern
    return None
