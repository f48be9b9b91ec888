"""Integers that a graph computes from the lengths of its inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx_ir as ir

from convert.graph import SEQUENCE, TOTAL_SEQUENCE
from convert.importing.raising.patterns import Value, integers_of

Length = Mapping[str, int]
"""How often each axis counts; a number under the empty name. Nothing counts zero times."""

PAST: Length = {TOTAL_SEQUENCE: 1, SEQUENCE: -1}
TOKENS: Length = {SEQUENCE: 1}
SLOTS: Length = {TOTAL_SEQUENCE: 1}


def length_of(value: Value) -> Length | None:
    """One integer as a sum of lengths of axes; None if it is none, or not known to be one."""
    numbers = integers_of(value)
    if numbers is not None:
        return _sum((_times({"": 1}, numbers[0]),)) if len(numbers) == 1 else None
    node = value.producer() if value is not None else None
    if node is None or node.op_type == "Shape":
        return _axis(node) if node is not None else None
    if node.op_type in ("Squeeze", "Unsqueeze", "Cast", "Reshape"):
        return length_of(node.inputs[0])
    return _combined(node) if node.op_type in ("Add", "Sub", "Mul") else None


def _combined(node: ir.Node) -> Length | None:
    first, second = (length_of(each) for each in node.inputs)
    if first is None or second is None:
        return None
    if node.op_type != "Mul":
        return _sum((first, _times(second, 1 if node.op_type == "Add" else -1)))
    for one, other in ((first, second), (second, first)):
        if set(one) <= {""}:
            return _times(other, one.get("", 0))
    return None


def _axis(node: ir.Node) -> Length | None:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    stop = node.attributes["end"].as_int() if "end" in node.attributes else len(x.shape)
    sizes = list(x.shape)[start:stop]
    if len(sizes) != 1:
        return None
    (size,) = sizes
    return {"": size} if isinstance(size, int) else {str(size.value): 1}


def _times(length: Length, factor: int) -> Length:
    return {name: count * factor for name, count in length.items() if count * factor}


def _sum(lengths: tuple[Length, ...]) -> Length:
    total: Counter[str] = Counter()
    for each in lengths:
        for name, count in each.items():
            total[name] += count
    return {name: count for name, count in total.items() if count}
