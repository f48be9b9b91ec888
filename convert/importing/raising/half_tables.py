"""Of cosines and sines for every element of a head, those of each rotated pair.

Models write each angle twice, side by side halves (a ‖ a) or in turn (a₀ a₀ a₁ a₁ ...), and then
compute with all of them; RotaryEmbedding wants each once.
"""

from __future__ import annotations

from enum import Enum

import onnx_ir as ir

from convert.importing.raising.patterns import (
    Rewriter,
    array_of,
    integers_of,
    made_by,
    rank_of,
    scalar_of,
    size_of,
)

_ONE_BY_ONE = ("Cos", "Sin", "Neg", "Cast", "Exp")


class Layout(Enum):
    """Where a head has the two elements of a pair."""

    HALVES = 0
    IN_TURN = 1


class HalfTables:
    """Tables by pair, each made once.

    Args:
        to: Where they are put.
    """

    def __init__(self, to: Rewriter) -> None:
        self._to = to
        self._made: dict[tuple[int, Layout], ir.Value] = {}
        self._repeated: dict[int, ir.Value] = {}

    def of(self, table: ir.Value | None, layout: Layout) -> ir.Value | None:
        """Table ``[..., D/2]`` of one ``[..., D]``; None if pairs do not share an angle."""
        if table is None or rank_of(table) < 1:
            return None
        key = (id(table), layout)
        if key not in self._made:
            made = self._make(table, layout)
            if made is None:
                return None
            self._made[key] = made
        return self._made[key]

    def of_every_sequence(self, node: ir.Node, table: ir.Value, x: ir.Value) -> ir.Value:
        """A table ``[B, S, D/2]`` of one ``[1, S, D/2]`` that all sequences of ``x`` share."""
        if table.shape is None or x.shape is None or table.shape[0] != 1 or x.shape[0] == 1:
            return table
        if id(table) not in self._repeated:
            place = {"start": 0, "end": 1}
            to, integers = self._to, ir.DataType.INT64
            batch = to.op(node, "Shape", (x,), shape=(1,), dtype=integers, attributes=place)
            ones = to.constant([1, 1], "constant_1_1")
            sizes = to.op(
                node, "Concat", (batch, ones), shape=(3,), dtype=integers, attributes={"axis": 0}
            )
            shape = [x.shape[0], *list(table.shape)[1:]]
            self._repeated[id(table)] = to.op(node, "Expand", (table, sizes), shape=shape)
        return self._repeated[id(table)]

    def _make(self, table: ir.Value, layout: Layout) -> ir.Value | None:
        node = table.producer()
        if node is None:
            return self._of_constant(table, layout)
        whole = _written_twice(node, layout)
        if whole is not None:
            return whole
        inputs = self._inputs(node, layout)
        if inputs is None or table.shape is None or size_of(table, -1) is None:
            return None
        shape = [*list(table.shape)[:-1], size_of(table, -1) // 2]  # type: ignore[operator]
        attributes = {key: item.value for key, item in node.attributes.items()}
        if "to" in attributes:
            attributes["to"] = int(attributes["to"])
        name = f"{node.name}.pairs"
        dtype = table.dtype or ir.DataType.FLOAT
        return self._to.op(
            node, node.op_type, inputs, shape=shape, dtype=dtype, name=name, attributes=attributes
        )

    def _inputs(self, node: ir.Node, layout: Layout) -> list[ir.Value | None] | None:
        """Operands that give the table by pair."""
        first = node.inputs[0]
        if node.op_type in _ONE_BY_ONE:
            half = self.of(first, layout)
            return None if half is None else [half]
        if node.op_type == "Unsqueeze":
            axes = integers_of(node.inputs[1]) or [-1]
            last = rank_of(node.outputs[0]) - 1
            if any(axis in (-1, last) for axis in axes):
                return None
            half = self.of(first, layout)
            return None if half is None else [half, node.inputs[1]]
        if node.op_type in ("Mul", "Add", "Div", "Sub"):
            return self._operands(node, layout)
        if node.op_type == "Gather" and node.attributes["axis"].as_int() == 0:
            half = self.of(first, layout) if rank_of(first) > 1 else None
            return None if half is None else [half, node.inputs[1]]
        return None

    def _operands(self, node: ir.Node, layout: Layout) -> list[ir.Value | None] | None:
        found: list[ir.Value | None] = []
        for value in node.inputs[:2]:
            if scalar_of(value) is not None or size_of(value, -1) == 1:
                found.append(value)
                continue
            half = self.of(value, layout)
            if half is None:
                return None
            found.append(half)
        return found

    def _of_constant(self, table: ir.Value, layout: Layout) -> ir.Value | None:
        array = array_of(table)
        if array is None or array.shape[-1] % 2:
            return None
        half = array.shape[-1] // 2
        if layout is Layout.HALVES:
            first, second = array[..., :half], array[..., half:]
        else:
            first, second = array[..., ::2], array[..., 1::2]
        if not (first == second).all():
            return None
        return self._to.constant(first.copy(), f"{table.name}.{layout.name.lower()}")


def _written_twice(node: ir.Node, layout: Layout) -> ir.Value | None:
    """The table that a node writes twice."""
    return _side_by_side(node) if layout is Layout.HALVES else _in_turn(node)


def _side_by_side(node: ir.Node) -> ir.Value | None:
    if node.op_type != "Concat" or len(node.inputs) != 2:
        return None
    last = node.attributes["axis"].as_int() in (-1, rank_of(node.outputs[0]) - 1)
    return node.inputs[0] if last and node.inputs[0] is node.inputs[1] else None


def _in_turn(node: ir.Node) -> ir.Value | None:
    if node.op_type != "Reshape":
        return None
    wide = made_by(node.inputs[0], "Expand", "Concat")
    if wide is None or size_of(wide.outputs[0], -1) != 2:
        return None
    column = made_by(wide.inputs[0], "Unsqueeze")
    if column is None or (wide.op_type == "Concat" and wide.inputs[0] is not wide.inputs[1]):
        return None
    narrow, result = column.inputs[0], node.outputs[0]
    doubled = size_of(narrow, -1)
    if doubled is None or size_of(column.outputs[0], -1) != 1:
        return None
    return narrow if size_of(result, -1) == 2 * doubled else None
