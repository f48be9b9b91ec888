"""arange(past, past + S)  =  position_ids: positions that a model counts by itself.

It counts slots, and so the padding on the left too; what it is told counts tokens. Without padding
both are the same. Values ``[S]`` or ``[1, S, ...]`` become ``[B, S, ...]`` on the way, until they
meet what depends on the tokens; masks compare slots with slots and stay.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph import BATCH, KEY_SLOTS, POSITION_IDS, QUERY_SLOTS, remove_dead_nodes
from convert.importing.content import of_ids
from convert.importing.raising.lengths import PAST, SLOTS, TOKENS, length_of
from convert.importing.raising.patterns import Rewriter, Value, integers_of, orders, rank_of
from passes.base import Pass

_BY_ELEMENT = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Cast", "Sin", "Cos", "Neg", "Max", "Min", "Exp", "Pow"),
        *("Floor", "Log"),
    )
)


class RaisePositions(Pass):
    """In embeddings, rotations and factors of attention."""

    name = "raise_positions"
    exact = False  # with padding on the left it computes something else, which is the purpose

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        told = next((value for value in model.graph.inputs if value.name == POSITION_IDS), None)
        if told is None:
            return False
        changed, said = False, of_ids(model)
        for node in list(model.graph):
            if _counts_slots(node) and node.outputs[0].name not in _OWN:
                for use in list(node.outputs[0].uses()):
                    walk = _Walk(Rewriter(model), told, said)
                    changed = walk.widened(*use, node.outputs[0]) or changed
        remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        """Nothing more than the rewriting says."""


_OWN = (QUERY_SLOTS, KEY_SLOTS)
"""Slots that masks are made of."""


def _counts_slots(node: ir.Node) -> bool:
    """Whether a node gives the slots of the new tokens, ``[S]``."""
    if node.op_type == "Range":
        return length_of(node.inputs[0]) == PAST and length_of(node.inputs[1]) == SLOTS
    if node.op_type != "Add":
        return False
    for steps, past in orders(node):
        made = steps.producer() if steps is not None else None
        if made is None or made.op_type != "Range" or length_of(past) != PAST:
            continue
        if integers_of(made.inputs[0]) == [0] and length_of(made.inputs[1]) == TOKENS:
            return True
    return False


@dataclass(frozen=True)
class _Wide:
    """What takes the place of a value.

    Args:
        value: ``[B, ...]``.
        longer: Whether it has one axis more, or has ``B`` where there was 1.
    """

    value: ir.Value
    longer: bool


class _Walk:
    """From slots to where they meet what has the axis of the batch."""

    def __init__(self, to: Rewriter, told: ir.Value, said: Collection[ir.Value]) -> None:
        self._to, self._told, self._said = to, told, said
        self._met: list[tuple[ir.Node, int, ir.Value]] = []
        self._same: list[tuple[ir.Value, ir.Value]] = []

    def widened(self, node: ir.Node, place: int, slots: ir.Value) -> bool:
        """Let all that a node makes of slots follow from positions; False if something cannot."""
        if not self._step(node, place, slots, _Wide(self._told, longer=True)):
            return False
        for reader, index, value in self._met:
            reader.replace_input_with(index, value)
        for old, new in self._same:
            self._to.replace(old, new)
        return True

    def _follow(self, old: ir.Value, wide: _Wide) -> bool:
        if old.is_graph_output():
            return False
        return all(self._step(node, place, old, wide) for node, place in list(old.uses()))

    def _step(self, node: ir.Node, place: int, old: ir.Value, wide: _Wide) -> bool:
        result = node.outputs[0]
        if node.op_type in ("Expand", "Tile") and _text(result) == _text(wide.value):
            self._same.append((result, wide.value))
            return True
        if node.op_type in ("Unsqueeze", "Reshape"):
            moved = self._unsqueezed if node.op_type == "Unsqueeze" else self._reshaped
            return moved(node, wide)
        if node.op_type == "Gather" and place == 1 and rank_of(node.inputs[0]) == 2:
            shape = [*(wide.value.shape or ()), *(node.inputs[0].shape or ())[1:]]  # type: ignore[union-attr]
            made = self._to.op(node, "Gather", (node.inputs[0], wide.value), shape=shape)
            return self._follow(result, _Wide(made, wide.longer))
        return node.op_type in _BY_ELEMENT and self._computed(node, place, old, wide)

    def _computed(self, node: ir.Node, place: int, old: ir.Value, wide: _Wide) -> bool:
        result = node.outputs[0]
        if BATCH not in _text(result)[:1]:
            return self._by_element(node, place, old, wide)
        if result in self._said:
            self._met.append((node, place, wide.value))
        return result in self._said

    def _by_element(self, node: ir.Node, place: int, old: ir.Value, wide: _Wide) -> bool:
        others = [each for index, each in enumerate(node.inputs) if index != place]
        if any(rank_of(each) != 0 for each in others) or wide.value.shape is None:
            return False
        inputs = [wide.value if index == place else each for index, each in enumerate(node.inputs)]
        attributes = {key: item.value for key, item in node.attributes.items()}
        if "to" in attributes:
            attributes["to"] = int(attributes["to"])
        dtype = node.outputs[0].dtype or ir.DataType.FLOAT
        made = self._to.op(
            node, node.op_type, inputs, shape=wide.value.shape, dtype=dtype, attributes=attributes
        )
        return self._follow(node.outputs[0], _Wide(made, wide.longer))

    def _unsqueezed(self, node: ir.Node, wide: _Wide) -> bool:
        axes = integers_of(node.inputs[1])
        if axes is None or len(axes) != 1 or wide.value.shape is None:
            return False
        axis = axes[0] % rank_of(node.outputs[0])
        if axis == 0 and wide.longer:
            return self._follow(node.outputs[0], _Wide(wide.value, longer=False))
        axis = max(axis + wide.longer, 1)
        shape = [*wide.value.shape[:axis], 1, *wide.value.shape[axis:]]
        constant = self._to.constant(np.array([axis]), f"axes_{axis}")
        made = self._to.op(
            node,
            "Unsqueeze",
            (wide.value, constant),
            shape=shape,
            dtype=wide.value.dtype or ir.DataType.INT64,
        )
        return self._follow(node.outputs[0], _Wide(made, wide.longer))

    def _reshaped(self, node: ir.Node, wide: _Wide) -> bool:
        """Axes of length 1 added behind the tokens."""
        sizes, own = _text(node.outputs[0]), _text(wide.value)
        behind = sizes[1:] if sizes[:1] == ["1"] else sizes
        if behind[:1] != own[1:2] or set(behind[1:]) | set(own[2:]) > {"1"}:
            return False
        target = [0, 0, *[1] * (len(behind) - 1)]
        constant = self._to.constant(np.array(target), "constant_" + "_".join(map(str, target)))
        shape = [*(wide.value.shape or ())[:2], *target[2:]]
        dtype = wide.value.dtype or ir.DataType.INT64
        made = self._to.op(node, "Reshape", (wide.value, constant), shape=shape, dtype=dtype)
        return self._follow(node.outputs[0], _Wide(made, longer=behind == sizes))


def _text(value: Value) -> list[str]:
    """Lengths of the axes."""
    return [str(size) for size in value.shape] if value is not None and value.shape else []
