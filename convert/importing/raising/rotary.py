"""x · cos + rotated(x) · sin  =  RotaryEmbedding(x, cos, sin), in pairs of halves or in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.half_tables import HalfTables, Layout
from convert.importing.raising.patterns import (
    Rewriter,
    Value,
    integers_of,
    made_by,
    orders,
    rank_of,
    scalar_of,
    size_of,
)
from passes.base import Pass

KIND = "RotaryEmbedding"


@dataclass(frozen=True)
class Rotation:
    """What a node rotates.

    Args:
        x: ``[B, H, S, D]`` or, with ``heads_last``, ``[B, S, H, D]``.
        cos: The table of every element, or of each pair.
        sin: As ``cos``.
        layout: Where the two elements of a pair are.
        by_pair: Whether the tables are of each pair.
        backwards: Whether the angles are subtracted.
        parts: The first and the second elements of all pairs, where these lie in turn in ``x``
            and come out as halves.
    """

    x: ir.Value
    cos: ir.Value
    sin: ir.Value
    layout: Layout
    by_pair: bool = False
    backwards: bool = False
    parts: tuple[ir.Value, ir.Value] | None = None


class RaiseRotary(Pass):
    """Rotations of whole heads, or of what was cut off them; see `passes` for cut heads."""

    name = "raise_rotary"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        tables = HalfTables(to)
        for node in list(model.graph):
            found = _rotation(node)
            if found is not None and _raised(to, tables, node, found):
                changed = True
        remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type == KIND:
                assert rank_of(node.inputs[0]) == 4 and rank_of(node.inputs[1]) == 3, node.name


def _raised(to: Rewriter, tables: HalfTables, node: ir.Node, found: Rotation) -> bool:
    place = _heads_axis(found.cos)
    if rank_of(found.x) != 4 or place is None or place != _heads_axis(found.sin):
        return False
    halves = []
    for table in (found.cos, found.sin):
        half = table if found.by_pair else tables.of(table, found.layout)
        if half is None:
            return False
        narrow = _without_heads(to, node, half, place)
        halves.append(tables.of_every_sequence(node, narrow, found.x))
    halves = [_for_each_row(to, node, half, found.x) for half in halves]
    if found.backwards:
        sin = halves[1]
        assert sin.shape is not None
        halves[1] = to.op(node, "Neg", (sin,), shape=sin.shape)
    x = found.x
    if found.parts is not None:
        assert x.shape is not None
        x = to.op(node, "Concat", found.parts, shape=x.shape, attributes={"axis": 3})
    x = x if place == 1 else _turned(to, node, x)
    attributes = {"interleaved": 1} if found.layout is Layout.IN_TURN else {}
    assert x.shape is not None
    made = to.op(node, KIND, (x, *halves), shape=x.shape, attributes=attributes)
    to.replace(node.outputs[0], made if place == 1 else _turned(to, node, made))
    return True


def _heads_axis(table: ir.Value) -> int | None:
    """Axis of a table ``[B, 1, S, D]`` or ``[B, S, 1, D]`` along which all heads are alike."""
    if rank_of(table) != 4:
        return None
    places = [axis for axis in (1, 2) if size_of(table, axis) == 1]
    return places[0] if len(places) == 1 else None


def _without_heads(to: Rewriter, node: ir.Node, table: ir.Value, axis: int) -> ir.Value:
    added = made_by(table, "Unsqueeze")
    if added is not None and integers_of(added.inputs[1]) in ([axis], [axis - 4]):
        narrow = added.inputs[0]
        assert narrow is not None
        return narrow
    assert table.shape is not None
    shape = [size for place, size in enumerate(table.shape) if place != axis]
    return to.op(node, "Squeeze", (table, to.constant([axis], f"axes_{axis}")), shape=shape)


def _for_each_row(to: Rewriter, node: ir.Node, table: ir.Value, x: ir.Value) -> ir.Value:
    """A table of one row is written for each of the batch; the operator wants as many."""
    assert table.shape is not None and x.shape is not None
    if table.shape[0] != 1 or x.shape[0] == 1:
        return table
    integer, first = ir.DataType.INT64, {"start": 0, "end": 1}
    rows = to.op(node, "Shape", (x,), shape=(1,), dtype=integer, attributes=first)
    ones = to.constant(np.ones(2, np.int64), "ones_2_integers")
    joined = {"axis": 0}
    sizes = to.op(node, "Concat", (rows, ones), shape=(3,), dtype=integer, attributes=joined)
    shape = [x.shape[0], *list(table.shape)[1:]]
    return to.op(node, "Expand", (table, sizes), shape=shape)


def _turned(to: Rewriter, node: ir.Node, x: ir.Value) -> ir.Value:
    assert x.shape is not None
    shape = [x.shape[place] for place in (0, 2, 1, 3)]
    return to.op(node, "Transpose", (x,), shape=shape, attributes={"perm": (0, 2, 1, 3)})


def _rotation(node: ir.Node) -> Rotation | None:
    if node.op_type == "Add":
        return next(filter(None, (_of_sum(*pair) for pair in orders(node))), None)
    if node.op_type == "Concat":
        return _of_halves(node)
    return _of_neighbours(node) if node.op_type == "Reshape" else None


def _of_sum(plain: Value, turned: Value) -> Rotation | None:
    """``x · cos + rotated(x) · sin``."""
    first, second = made_by(plain, "Mul"), made_by(turned, "Mul")
    if first is None or second is None:
        return None
    for moved, sin in orders(second):
        found = rotated(moved)
        if found is None:
            continue
        source, layout, backwards = found
        for x, cos in orders(first):
            if x is source and x is not None and cos is not None and sin is not None:
                return Rotation(x, cos, sin, layout, backwards=backwards)
    return None


def rotated(value: Value) -> tuple[ir.Value, Layout, bool] | None:
    """X, if ``value`` is ``(-x₂ ‖ x₁)`` of its halves, or ``(-x₁, x₀, -x₃, x₂, ...)``.

    Returns:
        Also whether it is ``(x₂ ‖ -x₁)`` instead.
    """
    joined = made_by(value, "Concat")
    if joined is not None and len(joined.inputs) == 2:
        for backwards in (False, True):
            found = _of_halves_in(joined, backwards)
            if found is not None:
                return found, Layout.HALVES, backwards
        return None
    flat = made_by(value, "Reshape")
    stacked = made_by(flat.inputs[0], "Concat") if flat else None
    if stacked is None or len(stacked.inputs) != 2 or size_of(stacked.outputs[0], -1) != 2:
        return None
    columns = [made_by(each, "Unsqueeze") for each in stacked.inputs]
    if columns[0] is None or columns[1] is None:
        return None
    negative = made_by(columns[0].inputs[0], "Neg")
    odd = part_of(negative.inputs[0]) if negative else None
    even = part_of(columns[1].inputs[0])
    if not odd or not even or odd[0] is not even[0]:
        return None
    steps = (even[1][0], even[1][2], odd[1][0], odd[1][2])
    return (even[0], Layout.IN_TURN, False) if steps == (0, 2, 1, 2) else None


def _of_halves_in(joined: ir.Node, backwards: bool) -> ir.Value | None:
    """X, if its second half comes first, and the one or the other is negated."""
    negative = made_by(joined.inputs[int(backwards)], "Neg")
    parts = list(joined.inputs)
    if negative is None:
        return None
    parts[int(backwards)] = negative.inputs[0]
    second, first = part_of(parts[0]), part_of(parts[1])
    if not first or not second or first[0] is not second[0]:
        return None
    size = size_of(first[0], -1) or 0
    bounds = ((0, size // 2, 1), (size // 2, size, 1))
    return first[0] if size and (first[1], second[1]) == bounds else None


def _of_halves(node: ir.Node) -> Rotation | None:
    """``(x₁ · cos - x₂ · sin ‖ x₂ · cos + x₁ · sin)``, tables of each pair."""
    for first, second, cos, sin in _turned_pairs(*node.inputs[:2]) if len(node.inputs) == 2 else ():
        low, high = part_of(first), part_of(second)
        if not low or not high or low[0] is not high[0]:
            continue
        size = size_of(low[0], -1) or 0
        if size and (low[1], high[1]) == ((0, size // 2, 1), (size // 2, size, 1)):
            return Rotation(low[0], cos, sin, Layout.HALVES, by_pair=True)
        if size and (low[1], high[1]) == ((0, size, 2), (1, size, 2)):
            parts = (first, second)
            return Rotation(low[0], cos, sin, Layout.HALVES, by_pair=True, parts=parts)
    return None


def _of_neighbours(node: ir.Node) -> Rotation | None:
    """The two of each pair side by side again, as complex numbers are written out."""
    stacked = made_by(node.inputs[0], "Concat")
    if stacked is None or len(stacked.inputs) != 2 or size_of(stacked.outputs[0], -1) != 2:
        return None
    columns = [made_by(each, "Unsqueeze") for each in stacked.inputs]
    if columns[0] is None or columns[1] is None:
        return None
    for first, second, cos, sin in _turned_pairs(columns[0].inputs[0], columns[1].inputs[0]):
        even, odd = _number_of(first, 0), _number_of(second, 1)
        pairs = made_by(even, "Reshape") if even is odd else None
        x = pairs.inputs[0] if pairs is not None else None
        same = x is not None and x.shape is not None and node.outputs[0].shape is not None
        if same and x is not None and _texts(x) == _texts(node.outputs[0]):
            return Rotation(x, cos, sin, Layout.IN_TURN, by_pair=True)
    return None


def _number_of(value: Value, place: int) -> Value:
    """Pairs of which a value has the first elements or the second."""
    node = made_by(value, "Gather")
    if node is None or scalar_of(node.inputs[1]) != place:
        return None
    last = rank_of(node.inputs[0]) - 1
    whole = node.attributes["axis"].as_int() == last and size_of(node.inputs[0], -1) == 2
    return node.inputs[0] if whole else None


def _texts(value: ir.Value) -> list[str]:
    return [str(size) for size in value.shape or ()]


def _turned_pairs(
    one: Value, other: Value
) -> Iterator[tuple[ir.Value, ir.Value, ir.Value, ir.Value]]:
    """``x₁, x₂, cos, sin`` of ``x₁ · cos - x₂ · sin`` and ``x₂ · cos + x₁ · sin``, as it may be."""
    difference, total = made_by(one, "Sub"), made_by(other, "Add")
    if difference is None or total is None:
        return
    kept, taken = made_by(difference.inputs[0], "Mul"), made_by(difference.inputs[1], "Mul")
    if kept is None or taken is None:
        return
    for first, cos in orders(kept):
        for second, sin in orders(taken):
            if first is None or second is None or cos is None or sin is None:
                continue
            if _is_total(total, (second, cos), (first, sin)):
                yield first, second, cos, sin


def _is_total(total: ir.Node, one: tuple[Value, Value], other: tuple[Value, Value]) -> bool:
    """Whether a node adds two products of these operands."""
    for left, right in orders(total):
        first, second = made_by(left, "Mul"), made_by(right, "Mul")
        if first and second and _is_product(first, one) and _is_product(second, other):
            return True
    return False


def _is_product(node: ir.Node, operands: tuple[Value, Value]) -> bool:
    return any(pair[0] is operands[0] and pair[1] is operands[1] for pair in orders(node))


def part_of(value: Value) -> tuple[ir.Value, tuple[int, int, int]] | None:
    """What a value is a part of along the last axis: start, stop and step."""
    node = made_by(value, "Slice")
    if node is None or len(node.inputs) != 5 or node.inputs[0] is None:
        return None
    start, stop, axes, step = (integers_of(each) for each in node.inputs[1:])
    size = size_of(node.inputs[0], -1)
    last = rank_of(node.inputs[0]) - 1
    if not start or not stop or not step or axes not in ([-1], [last]) or size is None:
        return None
    begin = start[0] + size if start[0] < 0 else start[0]
    end = min(stop[0] + size if stop[0] < 0 else stop[0], size)
    return node.inputs[0], (begin, end, step[0])
