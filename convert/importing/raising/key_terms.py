"""softmax(f · q kᵀ + t)  =  softmax(f · (q ‖ 1) (k ‖ t/f)ᵀ), t computed of each key's token alone.

A model may add to scores what it computes of the keys or values that its cache holds. As one more
element of each key it is computed once, and the cache holds it with the rest.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import SEQUENCE, TOTAL_SEQUENCE, remove_dead_nodes
from convert.importing.aten.attention import CACHED
from convert.importing.raising.cached_heads import repeated_heads
from convert.importing.raising.patterns import Rewriter, Value, array_of, made_by, rank_of, size_of
from convert.importing.raising.scores import without_conditions
from convert.importing.raising.written_masks import all_of
from passes.base import Pass

_INT64 = ir.DataType.INT64


class RaiseKeyTerms(Pass):
    """Only terms that are the same for all queries. That each is of one token is looked at later,
    with all the graph.
    """

    name = "raise_key_terms"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to = Rewriter(model)
        nodes = [node for node in model.graph if node.op_type == "Attention"]
        changed = sum(_raised(to, node) for node in nodes) > 0
        if changed:
            remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        """Nothing more than the rewriting says."""


def _raised(to: Rewriter, node: ir.Node) -> bool:
    mask, scale = node.inputs[3], node.attributes.get("scale")
    if mask is None or mask.dtype == ir.DataType.BOOL or scale is None:
        return False
    term, conditions = without_conditions(repeated_heads(mask) or mask)
    allowed = all_of(to, node, conditions, size_of(node.inputs[0], 1) or 0)
    row = _row(term)
    heads = size_of(node.inputs[1], 1)
    if allowed is None or row is None or size_of(row, 1) not in (1, heads):
        return False
    added = _Uncached(to, node).of(row)
    if added is None:
        return False
    _widen(to, node, added, scale.as_float())
    node.replace_input_with(3, allowed)
    return True


def _row(term: ir.Value) -> Value:
    """What is added for each key, ``[B, H, 1, T]``."""
    wide = made_by(term, "Expand")
    row = wide.inputs[0] if wide is not None else term
    return row if rank_of(row) == 4 and size_of(row, 2) == 1 else None


def _widen(to: Rewriter, node: ir.Node, added: ir.Value, scale: float) -> None:
    """Give each key its term, and each query a 1 to multiply it by."""
    query, key = node.inputs[:2]
    assert query is not None and query.shape is not None
    assert key is not None and key.shape is not None and added.shape is not None
    column_shape = [*list(added.shape)[:2], added.shape[3], 1]
    column = to.op(
        node, "Transpose", (added,), shape=column_shape, attributes={"perm": (0, 1, 3, 2)}
    )
    factor = to.constant(np.float32(1 / scale), f"constant_{1 / scale}")
    column = to.op(node, "Mul", (column, factor), shape=column_shape)
    one = to.constant(np.ones((1, 1, 1, 1), np.float32), "constant_1.0_4_axes")
    for place, (x, last) in enumerate(((query, one), (key, column))):
        assert x.shape is not None
        shape = [*list(x.shape)[:3], 1]
        wide = to.op(node, "Expand", (last, _sizes(to, node, x)), shape=shape)
        shape = [*list(x.shape)[:3], (size_of(x, 3) or 0) + 1]
        joined = to.op(node, "Concat", (x, wide), shape=shape, attributes={"axis": 3})
        node.replace_input_with(place, joined)


def _sizes(to: Rewriter, node: ir.Node, x: ir.Value) -> ir.Value:
    """The lengths of heads of one element."""
    first = {"start": 0, "end": 3}
    sizes = to.op(node, "Shape", (x,), shape=(3,), dtype=_INT64, attributes=first)
    one = to.constant(np.array([1]), "constant_1_axis")
    joined = {"axis": 0}
    return to.op(node, "Concat", (sizes, one), shape=(4,), dtype=_INT64, attributes=joined)


class _Uncached:
    """What follows from all slots of a cache, computed of the new tokens alone."""

    def __init__(self, to: Rewriter, before: ir.Node) -> None:
        self._to, self._before, self._reads = to, before, False

    def of(self, value: ir.Value) -> Value:
        """The value of new tokens; None if it is not computed from a cache by known sizes."""
        found = self._copied(value)
        return found if self._reads else None

    def _copied(self, value: ir.Value) -> Value:
        node = value.producer()
        if node is None:
            return value if array_of(value) is not None or value.is_initializer() else None
        if node.op_type == CACHED:
            self._reads = True
            return node.inputs[0]
        if value.shape is None or len(node.outputs) != 1:
            return None
        inputs = [None if each is None else self._copied(each) for each in node.inputs]
        if any(
            new is None and old is not None for new, old in zip(inputs, node.inputs, strict=True)
        ):
            return None
        shape = [SEQUENCE if str(size) == TOTAL_SEQUENCE else size for size in value.shape]
        attributes = {key: item.value for key, item in node.attributes.items()}
        dtype = value.dtype or ir.DataType.FLOAT
        if "to" in attributes:
            attributes["to"] = int(attributes["to"])
        symbolic = [ir.SymbolicDim(size) if isinstance(size, str) else size for size in shape]
        return self._to.op(
            self._before, node.op_type, inputs, shape=symbolic, dtype=dtype, attributes=attributes
        )
