"""x · 1 = x, (xᵀ)ᵀ = x, f(constants) = constant: what tracing leaves behind and nothing needs."""

from __future__ import annotations

import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.folding import folded
from convert.importing.raising.patterns import (
    Rewriter,
    array_of,
    made_by,
    scalar_of,
)
from passes.base import Pass

_NEUTRAL = {"Mul": (1.0, True), "Div": (1.0, False), "Add": (0.0, True), "Sub": (0.0, False)}
"""Operator to the operand that changes nothing, and whether it may be the first."""


class Tidy(Pass):
    """Operators that change nothing go, those of constants are computed, equal ones are one."""

    name = "tidy"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        for node in list(model.graph):
            if node.graph is None:
                continue
            same = _same_as(node)
            if same is not None and not (
                node.outputs[0].is_graph_output() and same.producer() is None
            ):
                to.replace(node.outputs[0], same)
                changed = True
                continue
            changed = self._folded(to, node) or changed
        changed = _joined(model) or changed
        before = len(model.graph)
        remove_dead_nodes(model)
        return changed or len(model.graph) != before

    def ensures(self, model: ir.Model) -> None:
        left = [node for node in model.graph if _same_as(node) is not None]
        assert not left or all(node.outputs[0].is_graph_output() for node in left), (
            f"{left[0].name} changes nothing"
        )

    def _folded(self, to: Rewriter, node: ir.Node) -> bool:
        if len(node.outputs) != 1 or node.outputs[0].is_graph_output():
            return False
        arrays = [array_of(value) for value in node.inputs]
        known = [array for array in arrays if array is not None]
        if len(known) != len(arrays):
            return False
        found = folded(node, known)
        if found is None:
            return False
        constant = to.constant(found, f"{node.name}.constant")
        to.replace(node.outputs[0], constant)
        return True


def _same_as(node: ir.Node) -> ir.Value | None:
    """The input that a node gives back unchanged."""
    x, result = (node.inputs[0] if node.inputs else None), node.outputs[0]
    if x is None:
        return None
    kind = node.op_type
    if kind == "Identity" or (kind == "Cast" and x.dtype == result.dtype):
        return x
    if kind in _NEUTRAL:
        return _neutral(node)
    if kind in ("Reshape", "Expand") and _same_shape(x, result):
        return x
    if kind == "Transpose":
        return _turned_back(node)
    return None


def _neutral(node: ir.Node) -> ir.Value | None:
    number, either = _NEUTRAL[node.op_type]
    pairs = [(node.inputs[0], node.inputs[1])]
    pairs += [(node.inputs[1], node.inputs[0])] if either else []
    for kept, other in pairs:
        if kept is not None and scalar_of(other) == number and _same_shape(kept, node.outputs[0]):
            return kept
    return None


def _same_shape(x: ir.Value, y: ir.Value) -> bool:
    return x.shape is not None and y.shape is not None and _texts(x.shape) == _texts(y.shape)


def _texts(shape: ir.Shape) -> list[str]:
    return [str(size) for size in shape]


def _turned_back(node: ir.Node) -> ir.Value | None:
    """What two transpositions in a row leave as it was."""
    first = made_by(node.inputs[0], "Transpose")
    order = list(node.attributes["perm"].as_ints())
    if order == list(range(len(order))):
        return node.inputs[0]
    if first is None:
        return None
    inner = list(first.attributes["perm"].as_ints())
    together = [inner[place] for place in order]
    return first.inputs[0] if together == list(range(len(order))) else None


def _joined(model: ir.Model) -> bool:
    """Let nodes that compute the same from the same be one."""
    seen: dict[tuple[object, ...], ir.Node] = {}
    changed = False
    for node in list(model.graph):
        if len(node.outputs) != 1 or node.outputs[0].is_graph_output():
            continue
        attributes = tuple(sorted((key, str(item.value)) for key, item in node.attributes.items()))
        key = (node.domain, node.op_type, attributes, *(id(value) for value in node.inputs))
        if key not in seen:
            seen[key] = node
            continue
        node.outputs[0].replace_all_uses_with(seen[key].outputs[0])
        changed = True
    return changed
