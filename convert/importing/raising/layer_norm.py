"""(x - mean(x)) / sqrt(var(x) + ε) · w + b  =  LayerNormalization(x, w, b)."""

from __future__ import annotations

import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.patterns import (
    Rewriter,
    made_by,
    rank_of,
    reduced_over_last,
    size_of,
)
from passes.base import Pass

KIND = "LayerNormalization"


class RaiseLayerNorm(Pass):
    """A norm by the root mean square of what is left without the mean. Comes after those."""

    name = "raise_layer_norm"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        for node in list(model.graph):
            x = _centred(node)
            if x is None or x.shape is None:
                continue
            attributes = {"axis": -1, "epsilon": node.attributes["epsilon"].as_float()}
            inputs = (x, node.inputs[1])
            made = to.op(node, KIND, inputs, shape=x.shape, attributes=attributes)
            to.replace(node.outputs[0], made)
            changed = True
        remove_dead_nodes(model)
        return _give_biases(model, to) or changed

    def ensures(self, model: ir.Model) -> None:
        assert all(_centred(node) is None for node in model.graph)


def _centred(node: ir.Node) -> ir.Value | None:
    """X, if a node normalizes ``x - mean(x)``."""
    apart = made_by(node.inputs[0], "Sub") if node.op_type == "RMSNormalization" else None
    mean = made_by(apart.inputs[1], "ReduceMean") if apart is not None else None
    if apart is None or mean is None or not reduced_over_last(mean):
        return None
    return apart.inputs[0] if mean.inputs[0] is apart.inputs[0] else None


def _give_biases(model: ir.Model, to: Rewriter) -> bool:
    """Let a norm add what is added to its output alone."""
    changed = False
    for node in list(model.graph):
        result = node.outputs[0]
        if node.op_type != KIND or len(node.inputs) != 2 or result.is_graph_output():
            continue
        uses = list(result.uses())
        if len(uses) != 1 or uses[0].node.op_type != "Add":
            continue
        total = uses[0].node
        bias = total.inputs[1 - uses[0].idx]
        if rank_of(bias) != 1 or size_of(bias, 0) != size_of(result, -1):
            continue
        attributes = {"axis": -1, "epsilon": node.attributes["epsilon"].as_float()}
        assert result.shape is not None
        made = to.op(total, KIND, (*node.inputs, bias), shape=result.shape, attributes=attributes)
        to.replace(total.outputs[0], made)
        changed = True
    remove_dead_nodes(model)
    return changed
