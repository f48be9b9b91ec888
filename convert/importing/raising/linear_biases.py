"""Biases slope · place of the key  =  slope · (key slot - query slot), as in hand-written graphs.

What is the same for all keys of a query changes no softmax, so that it does not matter from where
a model counts: tokens of the mask, places of a table, or slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures.alibi import FORBIDDEN
from convert.graph import (
    ATTENTION_MASK,
    KEY_SLOTS,
    QUERY_SLOTS,
    SEQUENCE,
    TOTAL_SEQUENCE,
    find_value,
    remove_dead_nodes,
)
from convert.importing.raising.patterns import (
    Rewriter,
    Value,
    array_of,
    made_by,
    orders,
    rank_of,
    scalar_of,
    size_of,
)
from passes.base import Pass

Slopes = NDArray[np.float32]

_SAME = ("Cast", "Reshape", "Unsqueeze", "Squeeze", "Expand")
_CLOSE = 1e-5


class RaiseLinearBiases(Pass):
    """Masks of attention whose added scores grow with the place of the key. Comes after it."""

    name = "raise_linear_biases"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        keys, queries = find_value(model, KEY_SLOTS), find_value(model, QUERY_SLOTS)
        if keys is None or queries is None:
            return False
        writer, changed = _Writer(Rewriter(model), keys, queries), False
        for node in list(model.graph):
            found = _biases_of(node)
            if found is not None:
                node.replace_input_with(3, writer.mask(node, *found))
                changed = True
        remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        """Nothing more than the rewriting says."""


@dataclass
class _Writer:
    """Writes masks, one for all layers that have the same.

    Args:
        to: The graph.
        keys: All slots ``[T]``.
        queries: Those of new tokens ``[S]``.
    """

    to: Rewriter
    keys: ir.Value
    queries: ir.Value

    def __post_init__(self) -> None:
        self._made: dict[tuple[int, bytes], ir.Value] = {}

    def mask(self, node: ir.Node, allowed: ir.Value, slopes: Slopes) -> ir.Value:
        """``Where(allowed, slopes · distances, forbidden)``."""
        key = (id(allowed), slopes.tobytes())
        if key not in self._made:
            self._made[key] = self._written(node, allowed, slopes)
        return self._made[key]

    def _written(self, node: ir.Node, allowed: ir.Value, slopes: Slopes) -> ir.Value:
        count, pairs = len(self._made), (ir.SymbolicDim(SEQUENCE), ir.SymbolicDim(TOTAL_SEQUENCE))
        scope = f"alibi_{count}" if count else "alibi"
        integers = ir.DataType.INT64
        axis = self.to.constant(np.array([1]), "axis_1")
        column = self.to.op(
            node,
            "Unsqueeze",
            (self.queries, axis),
            shape=(pairs[0], 1),
            dtype=integers,
            name=f"{scope}.queries",
        )
        slots = (self.keys, column)
        distance = self.to.op(
            node, "Sub", slots, shape=pairs, dtype=integers, name=f"{scope}.slots"
        )
        to = {"to": ir.DataType.FLOAT}
        distance = self.to.op(
            node, "Cast", (distance,), shape=pairs, name=f"{scope}.distance", attributes=to
        )
        by_head = self.to.constant(slopes.reshape(-1, 1, 1), f"{scope}.slopes")
        heads = len(slopes)
        inputs = (by_head, distance)
        bias = self.to.op(node, "Mul", inputs, shape=(heads, *pairs), name=f"{scope}.bias")
        forbidden = self.to.constant(np.array(FORBIDDEN, np.float32), "mask.forbidden")
        assert allowed.shape is not None
        shape = (allowed.shape[0], heads, *pairs)
        return self.to.op(
            node, "Where", (allowed, bias, forbidden), shape=shape, name=f"mask.full.{scope}"
        )


def _biases_of(node: ir.Node) -> tuple[ir.Value, Slopes] | None:
    """Where attention may look, and its slopes, if it adds linear biases and nothing else."""
    mask = node.inputs[3] if node.op_type == "Attention" and len(node.inputs) > 3 else None
    chosen = made_by(mask, "Where")
    if chosen is None or chosen.inputs[0] is None:
        return None
    lowest, heads = scalar_of(chosen.inputs[2]), size_of(node.inputs[0], 1)
    slopes = slopes_of(chosen.inputs[1])
    if slopes is None or lowest is None or lowest > FORBIDDEN or len(slopes) != heads:
        return None
    return chosen.inputs[0], slopes


def slopes_of(value: Value) -> Slopes | None:
    """The slope of each head, if a value is linear in the place of the key."""
    constant = array_of(value)
    if constant is not None:
        return _of_table(constant)
    node = made_by(value, *_SAME, "Slice")
    if node is not None:
        return slopes_of(node.inputs[0]) if _keeps_keys(node) else None
    total, quotient, product = made_by(value, "Add"), made_by(value, "Div"), made_by(value, "Mul")
    if total is not None:
        parts = [slopes_of(each) for each in total.inputs]
        known = [part for part in parts if part is not None]
        return _rounded(known[0] + known[1]) if len(known) == len(parts) else None
    if quotient is not None:
        found, divisor = slopes_of(quotient.inputs[0]), scalar_of(quotient.inputs[1])
        return None if found is None or not divisor else _rounded(found / divisor)
    return _of_product(product) if product is not None else None


def _of_product(node: ir.Node) -> Slopes | None:
    for by_head, places in orders(node):
        factors, found = array_of(by_head), slopes_of(places)
        if factors is not None and factors.size == 1 and found is not None:
            return _rounded(found * float(factors.reshape(-1)[0]))
        if factors is not None and factors.size > 1 and _counts_keys(places):
            return _rounded(factors.reshape(-1)) if _one_axis(factors) else None
    return None


def _rounded(slopes: NDArray[np.floating]) -> Slopes:
    return np.asarray(slopes, np.float32)


def _keeps_keys(node: ir.Node) -> bool:
    """Whether a node leaves the order of keys along the last axis."""
    if node.op_type != "Slice":
        return True
    x, y = node.inputs[0], node.outputs[0]
    steps = array_of(node.inputs[4]) if len(node.inputs) > 4 else np.array([1])
    others = [size_of(x, axis) in (1, size_of(y, axis)) for axis in range(rank_of(x) - 1)]
    return bool(steps is not None and all(others) and (steps == 1).all())


def _one_axis(factors: NDArray[np.floating]) -> bool:
    return bool(sum(size != 1 for size in factors.shape) == 1 and factors.shape[-1] == 1)


def _counts_keys(value: Value) -> bool:
    """Whether a value numbers the keys: their slots, or the tokens that a mask says."""
    while (node := made_by(value, *_SAME)) is not None:
        value = node.inputs[0]
    if value is None or value.name == KEY_SLOTS:
        return value is not None
    product = made_by(value, "Mul")
    if product is not None:
        pairs = list(orders(product))
        return any(_is_mask(mask) and _counts_keys(places) for places, mask in pairs)
    moved = made_by(value, "Sub", "Add")
    if moved is not None and scalar_of(moved.inputs[1]) is not None:
        return _counts_keys(moved.inputs[0])
    counted = made_by(value, "CumSum")
    return counted is not None and _is_mask(counted.inputs[0])


def _is_mask(value: Value) -> bool:
    while (node := made_by(value, *_SAME)) is not None:
        value = node.inputs[0]
    return value is not None and value.name == ATTENTION_MASK


def _of_table(table: NDArray[np.floating]) -> Slopes | None:
    """Slopes of biases by place ``[..., H, 1, N]``."""
    if table.dtype.kind != "f" or table.ndim < 3 or table.shape[-1] < 3 or table.shape[-2] != 1:
        return None
    by_head = table.reshape(-1, table.shape[-1]).astype(np.float64)
    steps = np.diff(by_head, axis=1)
    found = steps.mean(axis=1, keepdims=True)
    if not found.all() or (abs(steps - found) > _CLOSE * abs(found) * table.shape[-1]).any():
        return None
    return _rounded(found[:, 0])
