"""X [E, N, in] W [E, in, out]  =  ExpertLinear(X [E·N, in], 0 ... 0 1 ... 1 ..., W): experts that
all tokens visit, each with the matrix of its own.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.aten.attention import DOMAIN
from convert.importing.aten.experts import EXPERT_LINEAR
from convert.importing.raising.patterns import Rewriter, is_parameter, rank_of, size_of
from passes.base import Pass

_INT64 = ir.DataType.INT64


class RaiseBatchedExperts(Pass):
    """Products with a parameter of three axes; each of its matrices is one of an expert."""

    name = "raise_batched_experts"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        nodes = [node for node in model.graph if _is_batched(node)]
        to = Rewriter(model)
        for node in nodes:
            _raise(to, node)
        if nodes:
            model.graph.opset_imports[DOMAIN] = 1
            remove_dead_nodes(model)
        return bool(nodes)

    def ensures(self, model: ir.Model) -> None:
        assert not any(map(_is_batched, model.graph))


def _is_batched(node: ir.Node) -> bool:
    x, weight = (*node.inputs, None, None)[:2]
    if node.op_type != "MatMul" or rank_of(x) != 3 or rank_of(weight) != 3:
        return False
    experts = size_of(weight, 0)
    alone = weight is not None and len(list(weight.uses())) == 1
    return is_parameter(weight) and alone and experts is not None and size_of(x, 0) == experts


def _raise(to: Rewriter, node: ir.Node) -> None:
    x, weight = node.inputs
    assert x is not None and x.shape is not None and weight is not None
    assert weight.shape is not None
    experts, tokens, width = x.shape
    out, rows = weight.shape[2], ir.SymbolicDim(f"{experts}*({tokens})")
    flat_shape = to.constant(np.array([-1, width]), f"constant_minus_1_{width}")
    flat = to.op(node, "Reshape", (x, flat_shape), shape=(rows, width))
    each = to.op(node, EXPERT_LINEAR, (flat, _visits(to, node, rows), weight), shape=(rows, out))
    made = each.producer()
    assert made is not None
    made.domain = DOMAIN
    made.attributes["turned"] = ir.AttrInt64("turned", 1)
    apart = to.constant(np.array([experts, -1, out]), f"constant_{experts}_minus_1_{out}")
    to.replace(node.outputs[0], to.op(node, "Reshape", (each, apart), shape=(experts, tokens, out)))


def _visits(to: Rewriter, node: ir.Node, rows: ir.SymbolicDim) -> ir.Value:
    """The expert of each row, i64 ``[E·N]``."""
    x = node.inputs[0]
    assert x is not None and x.shape is not None
    experts, tokens = size_of(x, 0) or 0, x.shape[1]
    sizes = to.op(node, "Shape", (x,), shape=(2,), dtype=_INT64, attributes={"start": 0, "end": 2})
    numbers = to.constant(np.arange(experts)[:, None], f"experts_{experts}_column")
    wide = to.op(node, "Expand", (numbers, sizes), shape=(experts, tokens), dtype=_INT64)
    flat = to.constant(np.array([-1]), "constant_minus_1")
    return to.op(node, "Reshape", (wide, flat), shape=(rows,), dtype=_INT64)
