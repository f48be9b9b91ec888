"""Which values of a graph depend on what is said, and which on how many tokens there are alone."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from convert.graph import INPUT_IDS

LENGTHS = frozenset(("Shape", "Size"))
"""Operators whose output does not depend on the numbers of their input."""


def depending_on(model: ir.Model, sources: Iterable[ir.Value]) -> set[ir.Value]:
    """Values whose numbers follow from those of some others, these included."""
    found = set(sources)
    for node in model.graph:
        if node.op_type not in LENGTHS and any(each in found for each in node.inputs):
            found |= set(node.outputs)
    return found


def of_ids(model: ir.Model) -> set[ir.Value]:
    """Values that depend on which tokens there are."""
    return depending_on(model, (each for each in model.graph.inputs if each.name == INPUT_IDS))
