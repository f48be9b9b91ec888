"""softmax(f · q kᵀ + terms) v  =  Attention(q, k, v, mask): attention that a model wrote out.

Keys and values are those that the model puts into its cache; attention reads them from it itself.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.aten.attention import CACHED, DOMAIN
from convert.importing.raising.cached_heads import Heads, cached_heads
from convert.importing.raising.patterns import Rewriter, Value, made_by, rank_of, size_of
from convert.importing.raising.scores import Scores, keeps_last_two, scores_of
from convert.importing.raising.written_masks import mask_of
from passes.base import Pass

KIND = "Attention"
_ONE_BY_ONE = ("Cast", "Reshape")


class RaiseAttention(Pass):
    """Attention in products and a softmax becomes one operator, and reads no cache of its own."""

    name = "raise_attention"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        for node in list(model.graph):
            if node.op_type == KIND:
                changed = _read_new(node) or changed
            elif node.op_type == "MatMul":
                changed = _raised(to, node) or changed
        remove_dead_nodes(model)
        if all(node.domain != DOMAIN for node in model.graph):
            model.graph.opset_imports.pop(DOMAIN, None)
        return changed

    def ensures(self, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type == KIND:
                assert made_by(node.inputs[1], CACHED) is None, f"{node.name} reads a cache"


def _read_new(node: ir.Node) -> bool:
    """Let attention read new keys and values, which it puts behind those of its cache itself."""
    changed = False
    for place in (1, 2):
        found = cached_heads(node.inputs[place])
        if found is not None and found.factor == 1 and not found.turned:
            node.replace_input_with(place, found.new)
            changed = True
    return changed


def _raised(to: Rewriter, node: ir.Node) -> bool:
    softmax = _softmax_of(node.inputs[0])
    values = cached_heads(node.inputs[1]) if softmax is not None else None
    scores = scores_of(softmax.inputs[0]) if softmax is not None else None
    if scores is None or values is None or values.turned:
        return False
    keys = cached_heads(scores.product.inputs[1])
    if keys is None or not keys.turned:
        return False
    heads = size_of(softmax.outputs[0], 1) if softmax and rank_of(softmax.outputs[0]) == 4 else None
    query = _with_heads(scores.product.inputs[0])
    heads = heads or size_of(query, 1)
    mixed = _four_axes(node.outputs[0])
    if query is None or heads is None or mixed is None:
        return False
    mask = mask_of(to, node, scores, heads)
    if mask is None:
        return False
    _replace(to, node, scores, (query, keys, values, mask), mixed)
    return True


def _replace(
    to: Rewriter,
    node: ir.Node,
    scores: Scores,
    inputs: tuple[ir.Value, Heads, Heads, ir.Value],
    mixed: ir.Value,
) -> None:
    query, keys, values, mask = inputs
    attributes = {"scale": scores.scale * keys.factor}
    if scores.softcap:
        attributes["softcap"] = scores.softcap
    given = (query, keys.new, values.new, mask)
    assert mixed.shape is not None
    made = to.op(node, KIND, given, shape=mixed.shape, attributes=attributes)
    if values.factor != 1:
        factor = to.constant(np.float32(values.factor), f"constant_{values.factor}")
        made = to.op(node, "Mul", (made, factor), shape=mixed.shape)
    to.replace(mixed, made)


def _softmax_of(value: Value) -> ir.Node | None:
    """The softmax over keys that a value is."""
    node = made_by(value, "Softmax", *_ONE_BY_ONE)
    while node is not None and node.op_type != "Softmax":
        if not keeps_last_two(node):
            return None
        node = made_by(node.inputs[0], "Softmax", *_ONE_BY_ONE)
    if node is None:
        return None
    last = node.attributes["axis"].as_int() in (-1, rank_of(node.outputs[0]) - 1)
    return node if last else None


def _with_heads(value: Value) -> ir.Value | None:
    """Queries ``[B, H, S, D]``, before their first axes were joined."""
    while value is not None and rank_of(value) != 4:
        node = made_by(value, *_ONE_BY_ONE)
        if node is None or not keeps_last_two(node):
            return None
        value = node.inputs[0]
    return value


def _four_axes(value: ir.Value) -> ir.Value | None:
    """What attention mixes as ``[B, H, S, D]``: itself, or what all that read it make of it."""
    if rank_of(value) == 4:
        return value
    readers = value.consumers()
    if len(readers) != 1 or readers[0].op_type not in _ONE_BY_ONE or not keeps_last_two(readers[0]):
        return None
    return _four_axes(readers[0].outputs[0])
