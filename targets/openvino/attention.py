"""Cached grouped-query attention, in the form that the CPU plugin and paged attention recognize.

ReadValue(zeros [B, Hkv, 0, D]) → Gather(beam_idx) → Concat(new) → Assign
                                                   ↘ repeat heads → ScaledDotProductAttention
"""

from __future__ import annotations

import numpy as np
from openvino import Node
from openvino import opset13 as ops
from openvino.utils.node_factory import _get_node_factory as get_node_factory
from openvino.utils.types import as_nodes

BLOCKED = np.float32(-65504.0)
"""Added to the score of a pair that does not attend: far below any score, finite in float16."""


def scores_to_add(allowed: Node) -> Node:
    """A mask that is True where a query sees a key, as what is added to the scores, f32.

    The plugin takes a boolean mask as well, but then computes attention about four times slower.
    """
    return ops.select(allowed, np.float32(0.0), BLOCKED)


def attention(
    q: Node, k: Node, v: Node, mask: Node, *, scale: float, sink: Node | None = None
) -> Node:
    """Scaled dot product of ``q`` ``[B, H, S, D]`` with ``k`` and ``v`` ``[B, Hkv, T, D]``.

    Args:
        q: Queries, f32.
        k: Keys, past and new.
        v: Values, past and new.
        mask: Added to the scores, f32, ``[B, 1, S, T]`` or ``[B, H, S, T]``.
        scale: Factor of the scores before softmax.
        sink: Score of one key more whose value is zero, ``[1, H, 1, 1]``.
    """
    heads, kv_heads = _heads(q), _heads(k)
    if heads != kv_heads:
        k = _repeat_heads(k, heads // kv_heads)
        v = _repeat_heads(v, heads // kv_heads)
    if sink is not None:
        inputs = [q, k, v, mask, ops.constant(np.float32(scale)), sink]
        return get_node_factory("opset13").create(
            "ScaledDotProductAttention", as_nodes(*inputs), {"causal": False}
        )
    return ops.scaled_dot_product_attention(q, k, v, mask, np.float32(scale))


def _heads(x: Node) -> int:
    return int(x.get_output_partial_shape(0)[1].get_length())


def _repeat_heads(x: Node, times: int) -> Node:
    """``[B, Hkv, T, D]`` to ``[B, Hkv * times, T, D]``, each head ``times`` times in a row."""
    shape = x.get_output_partial_shape(0)
    kv_heads, head_dim = shape[1].get_length(), shape[3].get_length()
    grouped = ops.unsqueeze(x, np.array([2], np.int64))
    target = np.array([1, 1, times, 1, 1], np.int64)
    repeated = ops.broadcast(grouped, target, broadcast_spec="BIDIRECTIONAL")
    merged = np.array([0, kv_heads * times, -1, head_dim], np.int64)
    return ops.reshape(repeated, merged, special_zero=True)


def capped_attention(
    q: Node, k: Node, v: Node, mask: Node, *, scale: float, softcap: float
) -> Node:
    """As `attention`, the scores bent to less than ``softcap``, if that is not 0, before the mask
    is added.

    No operator of the runtime does that, so it is said in products and a softmax.
    """
    heads, kv_heads = _heads(q), _heads(k)
    if heads != kv_heads:
        k = _repeat_heads(k, heads // kv_heads)
        v = _repeat_heads(v, heads // kv_heads)
    scores = ops.multiply(ops.matmul(q, k, False, True), np.float32(scale / (softcap or 1)))
    if softcap:
        scores = ops.multiply(ops.tanh(scores), np.float32(softcap))
    return ops.matmul(ops.softmax(ops.add(scores, mask), -1), v, False, False)
