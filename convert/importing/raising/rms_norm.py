"""x / sqrt(mean(x²) + ε) · w  =  RMSNormalization(x, w)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.patterns import (
    Rewriter,
    Value,
    array_of,
    made_by,
    orders,
    rank_of,
    reduced_over_last,
    scalar_of,
    scope_of,
    size_of,
)
from passes.base import Pass

KIND = "RMSNormalization"


class RaiseRmsNorm(Pass):
    """Norms by the root mean square, with a scale of their own or without."""

    name = "raise_rms_norm"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        for node in list(model.graph):
            found = _normalized(node)
            if found is None:
                continue
            x, epsilon = found
            size = size_of(x, -1)
            assert size is not None and x.shape is not None
            ones = to.constant(np.ones(size, np.float32), f"ones_{size}")
            attributes = {"axis": -1, "epsilon": epsilon}
            # The scale comes with the next node, which shall have the usual name.
            name = ".".join(filter(None, (scope_of(node), "normalized")))
            inputs = (x, ones)
            made = to.op(node, KIND, inputs, shape=x.shape, name=name, attributes=attributes)
            to.replace(node.outputs[0], made)
            changed = True
        remove_dead_nodes(model)
        changed = _give_scales(model, to) or changed
        remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        left = [str(node.name) for node in model.graph if _normalized(node) is not None]
        assert not left, f"{left[0]} is a norm still"


def _normalized(node: ir.Node) -> tuple[ir.Value, float] | None:
    """What a node divides by its root mean square, and what is added to the mean."""
    if node.op_type == "Mul":
        for x, factor in orders(node):
            inverse = made_by(factor, "Reciprocal")
            epsilon = _root_mean_square(inverse.inputs[0], x) if inverse else None
            if x is not None and epsilon is not None:
                return x, epsilon
    if node.op_type == "Div":
        x, root = node.inputs
        epsilon = _root_mean_square(root, x)
        if x is not None and epsilon is not None:
            return x, epsilon
    return None


def _root_mean_square(root: Value, x: Value) -> float | None:
    """Epsilon, if ``root`` is ``sqrt(mean(x²) + epsilon)`` of ``x`` over its last axis."""
    square_root = made_by(root, "Sqrt")
    added = made_by(square_root.inputs[0], "Add") if square_root else None
    if added is None or size_of(x, -1) is None:
        return None
    for mean, number in orders(added):
        epsilon, reduced = scalar_of(number), made_by(mean, "ReduceMean")
        if epsilon is None or reduced is None or not reduced_over_last(reduced):
            continue
        square = made_by(reduced.inputs[0], "Mul", "Pow")
        if square is not None and square.inputs[0] is x and _is_square(square):
            return epsilon
    return None


def _is_square(node: ir.Node) -> bool:
    if node.op_type == "Mul":
        return node.inputs[0] is node.inputs[1]
    return scalar_of(node.inputs[1]) == 2


def _give_scales(model: ir.Model, to: Rewriter) -> bool:
    """Let a norm multiply by what its output alone is multiplied by."""
    changed = False
    for node in list(model.graph):
        if node.op_type != KIND or not _is_plain(node):
            continue
        uses = list(node.outputs[0].uses())
        if len(uses) != 1 or uses[0].node.op_type != "Mul" or node.outputs[0].is_graph_output():
            continue
        product = uses[0].node
        scale = product.inputs[1 - uses[0].idx]
        if rank_of(scale) != 1 or size_of(scale, 0) != size_of(node.inputs[0], -1):
            continue
        inputs, attributes = (node.inputs[0], scale), _attributes(node)
        assert node.outputs[0].shape is not None
        made = to.op(product, KIND, inputs, shape=node.outputs[0].shape, attributes=attributes)
        to.replace(product.outputs[0], made)
        changed = True
    return changed


def _is_plain(node: ir.Node) -> bool:
    scale = array_of(node.inputs[1])
    return scale is not None and bool((scale == 1).all())


def _attributes(node: ir.Node) -> dict[str, float]:
    return {"axis": -1, "epsilon": node.attributes["epsilon"].as_float()}
