"""X or false = x, x and true = x: conditions that hold nowhere, or everywhere, for every length.

Values all of whose elements are one known number are found whatever shape they have when the graph
runs: "of an image", say, where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.folding import folded
from convert.importing.raising.patterns import Rewriter, Value, array_of, orders, scalar_of
from passes.base import Pass

_MOVING = frozenset(
    (
        *("Expand", "Gather", "GatherND", "Reshape", "Slice", "Squeeze", "Tile", "Transpose"),
        *("Unsqueeze", "Identity"),
    )
)
"""Operators that only move or repeat what their first input has."""

_BY_ELEMENT = frozenset(
    (
        *("Add", "And", "Cast", "Div", "Equal", "Greater", "GreaterOrEqual", "Less"),
        *("LessOrEqual", "Max", "Min", "Mul", "Neg", "Not", "Or", "Sub"),
    )
)

Known = dict[ir.Value, "np.generic | None"]


class DropUniform(Pass):
    """See the module."""

    name = "drop_uniform"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, known, changed = Rewriter(model), Known(), False
        for node in list(model.graph):
            kept = _kept(node, known)
            if kept is not None:
                to.replace(node.outputs[0], kept)
                changed = True
        if changed:
            remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        assert not any(_kept(node, {}) for node in model.graph)


def _kept(node: ir.Node, known: Known) -> Value:
    """The condition that another one beside it says nothing more to."""
    if node.op_type not in ("And", "Or"):
        return None
    for x, other in orders(node):
        same = x is not None and str(x.shape) == str(node.outputs[0].shape)
        if (
            same
            and (number := uniform_of(other, known)) is not None
            and number == (node.op_type == "And")
        ):
            return x
    return None


def uniform_of(value: Value, known: Known) -> Any:
    """The number that every element of a value is; None if they differ or are not known.

    Args:
        value: Of a graph.
        known: What was found before, which is added to.
    """
    if value is None:
        return None
    if value not in known:
        known[value] = None
        known[value] = _found(value, known)
    return known[value]


def _found(value: ir.Value, known: Known) -> Any:
    array = array_of(value)
    if array is not None:
        return array.reshape(-1)[0] if array.size and (array == array.flat[0]).all() else None
    node = value.producer()
    if node is None or value.dtype is None or len(node.outputs) != 1:
        return None
    kind = node.op_type
    if kind in _MOVING:
        return uniform_of(node.inputs[0], known)
    if kind in _JOINING:
        return _JOINING[kind](node, known)
    return _computed(node, known) if kind in _BY_ELEMENT else None


def _computed(node: ir.Node, known: Known) -> Any:
    numbers = [uniform_of(each, known) for each in node.inputs]
    if any(number is None for number in numbers):
        return _decided(node, numbers)
    made = _logical(node.op_type, numbers)
    if made is None:
        made = folded(node, [np.asarray(number) for number in numbers])
    return None if made is None else np.asarray(made).reshape(-1)[0]


def _decided(node: ir.Node, numbers: list[Any]) -> Any:
    """False and anything is False; True or anything is True."""
    if node.op_type not in ("And", "Or"):
        return None
    deciding = np.bool_(node.op_type == "Or")
    return deciding if any(number == deciding for number in numbers if number is not None) else None


def _logical(kind: str, numbers: list[Any]) -> Any:
    if kind == "And":
        return np.bool_(all(numbers))
    return np.bool_(any(numbers)) if kind == "Or" else None


def _joined(node: ir.Node, known: Known) -> Any:
    numbers = [uniform_of(each, known) for each in node.inputs]
    same = numbers[0] is not None and all(each == numbers[0] for each in numbers)
    return numbers[0] if same else None


def _padded(node: ir.Node, known: Known) -> Any:
    number = uniform_of(node.inputs[0], known)
    filled = scalar_of(node.inputs[2]) if len(node.inputs) > 2 else 0.0
    return number if number is not None and filled == number else None


def _chosen(node: ir.Node, known: Known) -> Any:
    condition = uniform_of(node.inputs[0], known)
    numbers = [uniform_of(each, known) for each in node.inputs[1:]]
    if condition is not None:
        return numbers[0 if condition else 1]
    return numbers[0] if numbers[0] is not None and numbers[0] == numbers[1] else None


_JOINING: Mapping[str, Callable[[ir.Node, Known], Any]] = {
    "Concat": _joined,
    "Pad": _padded,
    "Where": _chosen,
}
