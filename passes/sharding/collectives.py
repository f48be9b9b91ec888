"""AllReduce: y = Σᵣ xᵣ on every rank. AllGather: y = [x₀ ‖ x₁ ‖ …] on every rank."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

DOMAIN = "com.microsoft"
"""The domain in which ONNX Runtime defines these operators."""

ALL_REDUCE, ALL_GATHER = "AllReduce", "AllGather"

_VERSION = 1


def is_collective(node: ir.Node) -> bool:
    """Whether the node exchanges values between ranks."""
    return node.domain == DOMAIN and node.op_type in (ALL_REDUCE, ALL_GATHER)


def all_reduce(x: ir.Value, ranks: int) -> ir.Node:
    """The node that sums ``x`` over the ranks."""
    name = f"{x.name}.{ALL_REDUCE}"
    attributes = [ir.AttrInt64("group_size", ranks)]
    shape = None if x.shape is None else x.shape.copy()
    y = ir.Value(name=name, type=x.type, shape=shape)
    return ir.Node(DOMAIN, ALL_REDUCE, (x,), attributes, outputs=(y,), name=name)


def all_gather(x: ir.Value, axis: int, lengths: Sequence[int]) -> ir.Node:
    """The node that joins ``x`` along ``axis``.

    Args:
        x: This rank's part.
        axis: Not negative.
        lengths: Of each rank's part. If they differ, the node carries them in an attribute
            ``lengths``, which ONNX Runtime does not know: its operator joins equal parts only.
    """
    name = f"{x.name}.{ALL_GATHER}"
    attributes = [ir.AttrInt64("group_size", len(lengths)), ir.AttrInt64("axis", axis)]
    if len(set(lengths)) > 1:
        attributes.append(ir.AttrInt64s("lengths", lengths))
    assert x.shape is not None
    whole = [sum(lengths) if index == axis else size for index, size in enumerate(x.shape)]
    y = ir.Value(name=name, type=x.type, shape=ir.Shape(whole))
    return ir.Node(DOMAIN, ALL_GATHER, (x,), attributes, outputs=(y,), name=name)


def declare(model: ir.Model) -> None:
    """Import the collectives' domain into the model."""
    model.graph.opset_imports[DOMAIN] = _VERSION
