"""Products by matrices ``[in, out]``, and scales of 1 + w, as the hand-written graphs have them.

Which weights a graph wants turned or raised is written into its metadata; `derived` makes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.derived_weights import RaisedWeight, TurnedWeight
from convert.importing.raising.patterns import (
    Rewriter,
    is_parameter,
    made_by,
    orders,
    rank_of,
    scalar_of,
)
from convert.weights import Weight
from passes.base import Pass

KEY = "tricast.derived"
TURNED = "turned"


class Derive(Pass):
    """Linear layers multiply by Transpose(W), W ``[out, in]``; norms by a parameter."""

    name = "derive"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, found = Rewriter(model), derivations(model)
        before = dict(found)
        for node in list(model.graph):
            if node.op_type == "MatMul":
                _turn(to, node, found)
            if node.op_type in ("RMSNormalization", "LayerNormalization"):
                _raise(node, found)
        remove_dead_nodes(model)
        if found == before:
            return False
        model.metadata_props[KEY] = json.dumps(found, sort_keys=True)
        return True

    def ensures(self, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type == "MatMul" and is_parameter(node.inputs[1]):
                value = node.inputs[1]
                assert value is not None and len(list(value.uses())) > 1, f"{node.name} not turned"


def derivations(model: ir.Model) -> dict[str, Any]:
    """By name of a parameter: `TURNED`, or the number that is added to it."""
    return dict(json.loads(model.metadata_props.get(KEY, "{}")))


def note_turned(model: ir.Model, names: Iterable[str]) -> None:
    """Say of more parameters that the graph has them turned."""
    found = derivations(model) | dict.fromkeys(names, TURNED)
    if found:
        model.metadata_props[KEY] = json.dumps(found, sort_keys=True)


def derived(weight: Weight, how: Any) -> Weight:
    """The weight as the graph wants it."""
    return TurnedWeight(weight) if how == TURNED else RaisedWeight(weight, float(how))


def checkpoint_shape(shape: tuple[int, ...], how: Any) -> tuple[int, ...]:
    """Shape in the checkpoint of a parameter of the graph."""
    return shape[::-1] if how == TURNED else shape


def _turn(to: Rewriter, node: ir.Node, found: dict[str, Any]) -> None:
    matrix = node.inputs[1]
    if not is_parameter(matrix) or rank_of(matrix) != 2 or matrix is None:
        return
    if len(list(matrix.uses())) != 1 or matrix.shape is None:
        return
    rows, columns = matrix.shape
    matrix.shape = ir.Shape([columns, rows])
    turned = to.op(node, "Transpose", (matrix,), shape=(rows, columns), attributes={"perm": (1, 0)})
    node.replace_input_with(1, turned)
    found[str(matrix.name)] = TURNED


def _raise(node: ir.Node, found: dict[str, Any]) -> None:
    total = made_by(node.inputs[1], "Add")
    for weight, number in orders(total) if total else ():
        offset = scalar_of(number)
        if weight is None or offset is None or not is_parameter(weight):
            continue
        if len(list(weight.uses())) == 1 and len(list(node.inputs[1].uses())) == 1:  # type: ignore[union-attr]
            node.replace_input_with(1, weight)
            found[str(weight.name)] = offset
            return


def as_wanted(weights: Mapping[str, Weight], model: ir.Model) -> dict[str, Weight]:
    """Weights of a checkpoint as a graph wants them."""
    how = derivations(model)
    return {
        name: derived(weight, how[name]) if name in how else weight
        for name, weight in weights.items()
    }
