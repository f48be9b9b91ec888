"""The mask of attention that a model wrote out: what it adds to scores, and where it forbids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.patterns import Rewriter, rank_of
from convert.importing.raising.scores import (
    Condition,
    Scores,
    Term,
    allowed_by,
    simplest,
    without_conditions,
)
from convert.importing.raising.uniform import uniform_of
from passes.base import Pass

_BOOL = ir.DataType.BOOL
_LOWEST = np.float32(np.finfo(np.float32).min)


class RaiseMasks(Pass):
    """Masks that attention adds become bool, if they say no more than where it may look."""

    name = "raise_masks"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        for node in list(model.graph):
            mask = node.inputs[3] if node.op_type == "Attention" and len(node.inputs) > 3 else None
            found = allowed_by(mask) if mask is not None else None
            if found is not None:
                node.replace_input_with(3, _bool(to, node, found))
                changed = True
        remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        """Nothing more than the rewriting says."""


def mask_of(to: Rewriter, before: ir.Node, scores: Scores, heads: int) -> ir.Value | None:
    """The mask of scores ``[B, H, S, T]``: bool, or what is added; None if there is none."""
    conditions, terms = list(scores.conditions), []
    for term in scores.terms:
        if uniform_of(term.value, {}) == 0:
            continue  # such as what a product of torch is added to
        found = allowed_by(term.value)
        if found is None:
            rest, held = without_conditions(term.value)
            terms.append(replace(term, value=rest))
            conditions.extend(held)
        else:
            conditions.append(found)
    allowed = all_of(to, before, conditions, heads)
    if conditions and allowed is None:
        return None
    if not terms:
        return allowed
    added = _sum(to, before, terms, heads)
    if added is None or allowed is None:
        return added
    lowest = to.constant(_LOWEST, "forbidden")
    shape = _broadcast(allowed.shape or (), added.shape or ())
    return to.op(before, "Where", (allowed, added, lowest), shape=shape)


def all_of(
    to: Rewriter, before: ir.Node, conditions: Iterable[Condition], heads: int
) -> ir.Value | None:
    """Where all conditions hold, bool with four axes; None if there is none, or one has others."""
    allowed = None
    for each in map(simplest, conditions):
        one = _four_axes(to, before, _bool(to, before, each), heads, _BOOL)
        if one is None:
            return None
        allowed = one if allowed is None else _both(to, before, allowed, one)
    return allowed


def _bool(to: Rewriter, before: ir.Node, condition: Condition) -> ir.Value:
    value = condition.value
    if condition.holds:
        return value
    assert value.shape is not None
    return to.op(before, "Not", (value,), shape=value.shape, dtype=_BOOL)


def _both(to: Rewriter, before: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    if x is y:
        return x
    shape = _broadcast(x.shape or (), y.shape or ())
    return to.op(before, "And", (x, y), shape=shape, dtype=_BOOL)


def _sum(to: Rewriter, before: ir.Node, terms: Iterable[Term], heads: int) -> ir.Value | None:
    total = None
    for term in terms:
        value = _four_axes(to, before, term.value, heads, ir.DataType.FLOAT)
        if value is None or value.shape is None:
            return None
        if term.factor != 1:
            factor = to.constant(np.float32(term.factor), f"constant_{term.factor}")
            value = to.op(before, "Mul", (value, factor), shape=value.shape)
        if total is None:
            total = value
        else:
            shape = _broadcast(total.shape or (), value.shape or ())
            total = to.op(before, "Add", (total, value), shape=shape)
    return total


def _four_axes(
    to: Rewriter, before: ir.Node, value: ir.Value, heads: int, dtype: ir.DataType
) -> ir.Value | None:
    """As ``[B, H, S, T]`` or what broadcasts to it; three axes are those of batch times heads."""
    rank = rank_of(value)
    if rank == 4:
        return value
    if rank < 0 or rank > 4 or value.shape is None:
        return None
    if rank == 3 and value.shape[0] not in (1, heads):
        source = value.producer()
        whole = source.inputs[0] if source is not None and source.op_type == "Reshape" else None
        if rank_of(whole) == 4 and whole is not None and _ends(whole) == _ends(value):
            return whole
        sizes = [to.constant(np.array([-1, heads]), f"constant_minus_1_{heads}")]
        attributes = {"start": 1, "end": 3}
        rest = to.op(
            before, "Shape", (value,), shape=(2,), dtype=ir.DataType.INT64, attributes=attributes
        )
        joined = to.op(
            before,
            "Concat",
            (*sizes, rest),
            shape=(4,),
            dtype=ir.DataType.INT64,
            attributes={"axis": 0},
        )
        shape = [ir.SymbolicDim("batch"), heads, *value.shape[1:]]
        return to.op(before, "Reshape", (value, joined), shape=shape, dtype=dtype)
    axes = to.constant(np.arange(4 - rank), "axes_" + "_".join(map(str, range(4 - rank))))
    shape = [*[1] * (4 - rank), *value.shape]
    return to.op(before, "Unsqueeze", (value, axes), shape=shape, dtype=dtype)


def _ends(value: ir.Value) -> list[str]:
    assert value.shape is not None
    return [str(size) for size in value.shape[-2:]]


def _broadcast(
    x: Iterable[int | ir.SymbolicDim], y: Iterable[int | ir.SymbolicDim]
) -> list[int | ir.SymbolicDim]:
    return [b if a == 1 else a for a, b in zip(x, y, strict=True)]
