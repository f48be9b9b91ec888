"""Tensors that a program writes to piece by piece, as pieces side by side along an axis, or as a
choice between what was there and what is written at equal distances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.errors import UnsupportedArchitectureError
from convert.importing.axes import expression_of
from convert.importing.translation import INT64, Translation

VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        *("slice.Tensor", "select.int", "view.default", "transpose.int", "narrow.default"),
        *("expand.default", "unsqueeze.default", "permute.default", "index.Tensor"),
        *("reshape.default", "t.default", "squeeze.dim", "alias.default", "unbind.int"),
        *("split.Tensor", "split_with_sizes.default", "chunk.default", "view_as.default"),
    )
)
"""Operators whose output is, or may be, a part of their input."""


@dataclass(frozen=True)
class _Piece:
    """Elements ``start`` to ``stop`` of an axis: all of ``value``, or as many of the whole."""

    start: int
    stop: int
    value: ir.Value | None


class InPlace:
    """Writes to parts of tensors.

    Args:
        to: Where operators are appended.
        operator: Name of the operator of a node of the program.
    """

    def __init__(self, to: Translation, operator: Callable[[Any], str]) -> None:
        self._to, self._operator = to, operator
        self._wholes: dict[Any, tuple[int, ir.Value, list[_Piece]]] = {}

    def write(self, node: Any, values: dict[Any, Any], made: ir.Value) -> None:
        """Let what is read from now on be what an operator wrote.

        Args:
            node: That writes to its first operand.
            values: Of the nodes of the program, which are changed.
            made: What is written.

        Raises:
            UnsupportedArchitectureError: It is a part that is not a range along one axis, or what
                was a part of the same tensor before is read again.
        """
        target = node.args[0]
        if not self._is_view(target):
            self._refuse_stale(node, target, target)
            values[target] = made
            return
        if self._is_left_alone(node, target):
            values[target] = made
            return
        whole, (axis, places) = target.args[0], self._places(target)
        if self._is_view(whole) and not self._is_alone(whole, node):
            raise _refused(self._operator(node))
        self._refuse_stale(node, whole, target)
        values[target] = made
        if places.step == 1:
            piece = _Piece(places.start, places.stop, made)
            values[whole] = self._with_piece(whole, values, axis, piece)
        else:
            self._wholes.pop(whole, None)
            values[whole] = self._scattered(whole, values[whole], axis, places, made)

    def _with_piece(
        self, whole: Any, values: Mapping[Any, Any], axis: int, piece: _Piece
    ) -> ir.Value:
        size = int(whole.meta["val"].shape[axis])
        known = self._wholes.get(whole)
        if known is None or known[0] != axis:
            known = (axis, values[whole], [_Piece(0, size, None)])
        _, base, pieces = known
        left = [_Piece(each.start, min(each.stop, piece.start), None) for each in pieces]
        right = [_Piece(max(each.start, piece.stop), each.stop, None) for each in pieces]
        cut: list[_Piece] = []
        for each, before, behind in zip(pieces, left, right, strict=True):
            if each.stop <= piece.start or each.start >= piece.stop:
                cut.append(each)
            elif each.value is not None and (each.start, each.stop) != (piece.start, piece.stop):
                raise _refused("a part of what was written before")
            else:
                cut += [part for part in (before, behind) if part.start < part.stop]
        cut = sorted([*cut, piece], key=lambda each: each.start)
        self._wholes[whole] = (axis, base, cut)
        return self._joined(whole, axis, base, cut)

    def _joined(self, whole: Any, axis: int, base: ir.Value, pieces: list[_Piece]) -> ir.Value:
        shape = list(whole.meta["val"].shape)
        parts = []
        for each in pieces:
            if each.value is not None:
                parts.append(each.value)
                continue
            bounds = [self._vector(at) for at in (each.start, each.stop, axis, 1)]
            own = [*shape[:axis], each.stop - each.start, *shape[axis + 1 :]]
            parts.append(self._to.op("Slice", base, *bounds, shape=own, dtype=base.dtype))
        if len(parts) == 1:
            return parts[0]
        return self._to.op(
            "Concat", *parts, shape=shape, dtype=base.dtype, attributes={"axis": axis}
        )

    def _scattered(
        self, whole: Any, base: ir.Value, axis: int, places: range, made: ir.Value
    ) -> ir.Value:
        """``base`` with what is written at places of an axis that do not lie side by side."""
        shape = list(whole.meta["val"].shape)
        chosen, order = np.zeros(shape[axis], bool), np.zeros(shape[axis], INT64.numpy())
        chosen[places], order[places] = True, np.arange(len(places))
        chosen = chosen.reshape(-1, *[1] * (len(shape) - axis - 1))
        spread = self._to.op(
            "Gather",
            made,
            self._to.constant(order),
            shape=shape,
            dtype=base.dtype,
            attributes={"axis": axis},
        )
        condition = self._to.constant(chosen)
        return self._to.op("Where", condition, spread, base, shape=shape, dtype=base.dtype)

    def _places(self, view: Any) -> tuple[int, range]:
        """Axis and places along it that a node takes out of its operand."""
        if self._operator(view) != "aten.slice.Tensor":
            raise _refused(self._operator(view))
        given = dict(zip(("self", "dim", "start", "end", "step"), view.args, strict=False))
        given |= view.kwargs
        sizes = given["self"].meta["val"].shape
        axis = int(given.get("dim", 0)) % len(sizes)
        size = expression_of(sizes[axis])
        bounds = [given.get("start") or 0, given.get("end"), given.get("step", 1)]
        known = [size if each is None else expression_of(each) for each in bounds]
        whole_numbers = isinstance(size, int) and all(isinstance(each, int) for each in known)
        if not whole_numbers:
            raise _refused(self._operator(view))
        start, stop = (each + size if each < 0 else min(each, size) for each in known[:2])
        return axis, range(start, stop, known[2])

    def _refuse_stale(self, node: Any, whole: Any, written: Any) -> None:
        """Parts taken out before are what they were; torch would show what is written."""
        for user in whole.users:
            stale = user is not written and user < node and self._is_view(user)
            if stale and any(reader > node for reader in user.users):
                raise _refused(self._operator(user))

    def _is_alone(self, row: Any, node: Any) -> bool:
        """Whether a view is one row of a tensor of which other rows alone are read from now on."""
        if self._operator(row) != "aten.select.int" or self._is_view(row.args[0]):
            return False
        for user in row.args[0].users:
            if user is row or (user < node and not self._is_view(user)):
                continue
            if self._operator(user) != "aten.select.int" or user.args[1] != row.args[1]:
                return False
            if user.args[2] == row.args[2]:
                return False
        return True

    def _is_left_alone(self, node: Any, target: Any) -> bool:
        """Whether nothing reads what a part was taken out of, once a node has written to it."""
        view = target
        while self._is_view(view):
            whole = view.args[0]
            others = (user for user in whole.users if user is not view)
            if any(self._is_read_behind(user, node) for user in others):
                return False
            view = whole
        return bool(view.op == "call_function")

    def _is_read_behind(self, user: Any, node: Any) -> bool:
        if user > node:
            return True
        return self._is_view(user) and any(
            self._is_read_behind(reader, node) for reader in user.users
        )

    def _is_view(self, node: Any) -> bool:
        return node.op == "call_function" and self._operator(node) in VIEWS

    def _vector(self, number: int) -> ir.Value:
        return self._to.constant(np.array([number], INT64.numpy()))


def _refused(found: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError("a part of a tensor is written in place", found=found)
