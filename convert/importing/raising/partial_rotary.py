"""(RotaryEmbedding(x₁) ‖ x₂)  =  RotaryEmbedding(x) of its first elements: heads that are cut."""

from __future__ import annotations

import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.raising.patterns import Rewriter, made_by, size_of
from convert.importing.raising.rotary import KIND, part_of
from passes.base import Pass


class RaisePartialRotary(Pass):
    """A part of each head is rotated, the rest is not. Comes after `RaiseRotary`."""

    name = "raise_partial_rotary"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        to, changed = Rewriter(model), False
        for node in list(model.graph):
            found = _cut(node)
            if found is None:
                continue
            x, rotation, size = found
            attributes = {"rotary_embedding_dim": size}
            if "interleaved" in rotation.attributes:
                attributes["interleaved"] = rotation.attributes["interleaved"].as_int()
            assert x.shape is not None
            inputs = (x, *rotation.inputs[1:])
            made = to.op(node, KIND, inputs, shape=x.shape, attributes=attributes)
            to.replace(node.outputs[0], made)
            changed = True
        remove_dead_nodes(model)
        return changed

    def ensures(self, model: ir.Model) -> None:
        assert all(_cut(node) is None for node in model.graph)


def _cut(node: ir.Node) -> tuple[ir.Value, ir.Node, int] | None:
    """Whole heads, the rotation of their beginnings, and how much of them that is."""
    if node.op_type != "Concat" or len(node.inputs) != 2:
        return None
    rotation, rest = made_by(node.inputs[0], KIND), part_of(node.inputs[1])
    begin = part_of(rotation.inputs[0]) if rotation is not None else None
    if rotation is None or rest is None or begin is None or begin[0] is not rest[0]:
        return None
    whole, size = begin[0], begin[1][1]
    if begin[1] != (0, size, 1) or rest[1] != (size, size_of(whole, -1), 1):
        return None
    return whole, rotation, size
