"""Keys and values as a model reads them from its cache, back to what it put there.

Everything between is the same for each token, so that the cache may as well come behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

from convert.importing.aten.attention import CACHED
from convert.importing.raising.patterns import (
    Value,
    integers_of,
    made_by,
    orders,
    rank_of,
    scalar_of,
    size_of,
)
from convert.importing.raising.scores import keeps_last_two


@dataclass(frozen=True)
class Heads:
    """Heads ``[B, Hkv, S, D]``.

    Args:
        new: Those of the new tokens.
        factor: What they are multiplied by.
        turned: Whether the last two axes change places.
    """

    new: ir.Value
    factor: float = 1.0
    turned: bool = False


def cached_heads(value: Value) -> Heads | None:
    """What a value has of the cache; each head several times in a row, or once."""
    node = value.producer() if value is not None else None
    if node is None or value is None:
        return None
    kind, x = node.op_type, node.inputs[0]
    if kind == CACHED:
        return Heads(x) if x is not None and rank_of(x) == 4 else None
    if kind in ("Mul", "Div"):
        return _multiplied(node)
    if kind == "Expand" or _repeats(node):
        return _repeated(node)
    found = cached_heads(x) if kind in ("Transpose", "Cast", "Reshape") else None
    if found is not None and kind == "Transpose":
        return replace(found, turned=not found.turned) if _swaps_last_two(node) else None
    return found if found is not None and keeps_last_two(node) else None


def _swaps_last_two(node: ir.Node) -> bool:
    order = list(node.attributes["perm"].as_ints())
    last = len(order) - 1
    return order == [*range(last - 1), last, last - 1]


def _multiplied(node: ir.Node) -> Heads | None:
    pairs = list(orders(node))[: 1 if node.op_type == "Div" else 2]
    for x, other in pairs:
        number, found = scalar_of(other), cached_heads(x)
        if number and found:
            times = 1 / number if node.op_type == "Div" else number
            return replace(found, factor=found.factor * times)
    return None


def _repeats(node: ir.Node) -> bool:
    return node.op_type == "Reshape" and made_by(node.inputs[0], "Expand") is not None


def _repeated(node: ir.Node) -> Heads | None:
    """Heads broadcast: the only one to all, or each along an axis behind that of the heads."""
    expand = node if node.op_type == "Expand" else made_by(node.inputs[0], "Expand")
    assert expand is not None
    x, wide = expand.inputs[0], expand.outputs[0]
    if rank_of(x) == 4 and rank_of(wide) == 4:
        found = cached_heads(x)
        return found if size_of(x, 1) == 1 or _same(x, wide) else None
    column = made_by(x, "Unsqueeze")
    if column is None or rank_of(wide) != 5 or rank_of(node.outputs[0]) not in (3, 4):
        return None
    source = column.inputs[0]
    heads = size_of(source, 1)
    if integers_of(column.inputs[1]) != [2] and heads != 1:
        return None
    found = cached_heads(source)
    kept = [str(size) for size in wide.shape[-2:]] if wide.shape is not None else []
    return found if found and kept == [str(size) for size in node.outputs[0].shape[-2:]] else None  # type: ignore[index]


def repeated_heads(value: Value) -> ir.Value | None:
    """The heads ``[B, Hkv, S, T]`` that a value has several times in a row; None if it has not."""
    joined = made_by(value, "Reshape")
    expand = made_by(joined.inputs[0], "Expand") if joined is not None else None
    column = made_by(expand.inputs[0], "Unsqueeze") if expand is not None else None
    if column is None or integers_of(column.inputs[1]) != [2] or rank_of(value) != 4:
        return None
    return column.inputs[0]


def _same(x: Value, y: Value) -> bool:
    return x is not None and y is not None and str(x.shape) == str(y.shape)
