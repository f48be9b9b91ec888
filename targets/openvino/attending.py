"""Attention and the rotation of its heads, from the graph's operators to the runtime's."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from openvino import Node
from openvino.opset13 import concat

from convert.architectures.masks import is_only_causal
from convert.attention_sinks import sink_of
from targets.openvino.alibi import biased_mask
from targets.openvino.attention import attention, capped_attention, scores_to_add
from targets.openvino.context import Context, attributes, refuse_unless
from targets.openvino.rope import (
    first_elements,
    full_angles,
    in_halves,
    in_turn,
    rotate,
    rotate_first,
)
from targets.openvino.window import windowed_mask

_KEYS_AND_QUERIES = 2
"""How many of an attention's inputs are multiplied with each other: the first."""


def lower_rotary_embedding(context: Context, node: ir.Node) -> Sequence[Node]:
    """Heads rotated whole or in their first elements, in pairs of halves or in turn."""
    given = attributes(node, {"interleaved": 0, "rotary_embedding_dim": 0, "num_heads": 0})
    refuse_unless(len(node.inputs) == 3, node, "position_ids as an input")
    x = context.node(node.inputs[0])
    shape = x.get_output_partial_shape(0)
    refuse_unless(shape.rank.get_length() == 4, node, f"an input of shape {shape}")
    head_dim = shape[3].get_length()
    size = given["rotary_embedding_dim"] or head_dim
    if given["interleaved"]:
        x = in_halves(x, size=size, head_dim=head_dim)
    turned = first_elements(x, size) if size != head_dim else x
    cos, sin = (context.shared("full_angles", angle, full_angles) for angle in node.inputs[1:])
    rotated = rotate(turned, cos, sin, head_dim=size)
    if size != head_dim:
        rotated = rotate_first(x, rotated, size=size, head_dim=head_dim)
    if given["interleaved"] and not _is_multiplied_alike(node, size):
        rotated = in_turn(rotated, size=size, head_dim=head_dim)
    return [rotated]


def _is_multiplied_alike(node: ir.Node, size: int) -> bool:
    """Whether a rotation is read as queries or keys alone, by those that were rotated alike."""
    uses = list(node.outputs[0].uses())
    return bool(uses) and all(
        use.node.op_type == "Attention"
        and use.idx < _KEYS_AND_QUERIES
        and all(_is_in_turn(each, size) for each in use.node.inputs[:_KEYS_AND_QUERIES])
        for use in uses
    )


def _is_in_turn(value: ir.Value | None, size: int) -> bool:
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "RotaryEmbedding" or value is None or value.shape is None:
        return False
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    rotated = given.get("rotary_embedding_dim") or value.shape[3]
    return bool(given.get("interleaved")) and rotated == size


def lower_attention(context: Context, node: ir.Node) -> Sequence[Node]:
    """Attention that reads a cache, its scores bent by a softcap or not."""
    given = attributes(
        node, {"scale": None, "is_causal": 0, "softcap": 0.0, "qk_matmul_output_mode": 0}
    )
    refuse_unless(not given["is_causal"], node, "is_causal; the mask must say it")
    refuse_unless(len(node.inputs) == 6, node, "attention without a cache and a mask")
    q, k, v, _, past_k, past_v = context.inputs(node)
    allowed = node.inputs[3]
    assert allowed is not None
    mask, pageable = _mask(context, allowed)
    keys, values = concat([past_k, k], axis=2), concat([past_v, v], axis=2)
    scale = given["scale"]
    if scale is None:
        scale = q.get_output_partial_shape(0)[3].get_length() ** -0.5
    sink = sink_of(node)
    refuse_unless(len(node.outputs) <= 3 or sink is not None, node, "scores as an output")
    if sink is not None:
        refuse_unless(not given["softcap"], node, "a sink beside a softcap")
        refuse_unless(pageable, node, "a sink beside added scores or a mask of its own")
        mixed = attention(q, keys, values, mask, scale=scale, sink=context.node(sink.scores))
        context.absorb(sink.steps, sink.result, mixed)
    elif given["softcap"] or not pageable:
        # Said in full where paged attention would lose what is added, or the mask.
        cap = given["softcap"]
        mixed = capped_attention(q, keys, values, mask, scale=scale, softcap=cap)
    else:
        mixed = attention(q, keys, values, mask, scale=scale)
    return [mixed, keys, values]


def _mask(context: Context, allowed: ir.Value) -> tuple[Node, bool]:
    """What is added to scores, and whether paged attention knows all that it says."""
    pageable = windowed_mask(context, allowed) or biased_mask(context, allowed)
    if pageable is not None:
        return pageable, True
    if allowed.dtype != ir.DataType.BOOL:
        return context.node(allowed), False
    return context.shared("scores", allowed, scores_to_add), is_only_causal(allowed)
